%% SPDX-License-Identifier: Apache-2.0

%% A Docker daemon for the lookup's suites, as good or bad as a test wants it:
%% for each container, and for the list of them and the stream of events, it has
%% an answer, or something that it does instead.
%%
%% It ends with the process that started it.
-module(eid_daemon).

-export([start/1, stop/1, port/0, set/3, requests/1, container/0,
         inspect/1, inspect/2, listed/1, listed/2, list/1, published/2,
         answer/2, answer/3, chunked/1]).

-export_type([daemon/0, answer/0]).

-type daemon() :: pid().

%% What is sent before the connection is closed; or what is done with the
%% connection once the request is there.
-type answer() :: iodata() | fun((gen_tcp:socket()) -> term()).

%% Listens at a host's address.
-spec start(string()) -> daemon().
start(Host) ->
    Owner = self(),
    {Daemon, Monitor} = spawn_monitor(fun() -> init(Owner, Host) end),
    receive
        {Daemon, ready} ->
            demonitor(Monitor, [flush]),
            Daemon;
        {'DOWN', Monitor, _, _, Reason} ->
            error(Reason)
    end.

-spec stop(daemon()) -> ok.
stop(Daemon) ->
    Monitor = monitor(process, Daemon),
    Daemon ! stop,
    receive {'DOWN', Monitor, _, _, _} -> ok end.

%% The port on which all of them listen: docker_daemon_port.
-spec port() -> inet:port_number().
port() ->
    eid_peers:port() + 1.

%% From now on this is the answer about the container, the list or the events.
-spec set(daemon(), string() | list | events, answer()) -> ok.
set(Daemon, Container, Answer) ->
    ask(Daemon, {set, Container, Answer}).

%% All requests so far, the last one first.
-spec requests(daemon()) -> [binary()].
requests(Daemon) ->
    ask(Daemon, requests).

ask(Daemon, Question) ->
    Monitor = monitor(process, Daemon),
    Daemon ! {Question, self(), Monitor},
    receive
        {Monitor, Answer} ->
            demonitor(Monitor, [flush]),
            Answer;
        {'DOWN', Monitor, _, _, Reason} ->
            error(Reason)
    end.

%% ---------------------------------------------------------------------
%% Answers
%% ---------------------------------------------------------------------

%% A container ID that no other test has.
-spec container() -> string().
container() ->
    Number = erlang:unique_integer([positive]),
    lists:flatten(io_lib:format("c0~10.16.0b", [Number])).

-spec inspect(string()) -> iodata().
inspect(Container) ->
    inspect(Container, #{}).

%% The JSON about a container that runs and publishes the port of the run.
-spec inspect(string(), #{atom() => iodata()}) -> iodata().
inspect(Container, Changes) ->
    Id = [Container, lists:duplicate(64 - length(Container), $0)],
    Values = maps:merge(
               #{id => ["\"", Id, "\""],
                 name => ["\"/", Container, "\""],
                 state => "\"Status\":\"running\",\"Running\":true,"
                 "\"Paused\":false,\"Restarting\":false,\"Dead\":false",
                 network_mode => "default",
                 ports => published("0.0.0.0", eid_peers:port())}, Changes),
    #{id := IdValue, name := Name, state := State, network_mode := Mode,
      ports := Ports} = Values,
    ["{\"Id\":", IdValue, ",\"Created\":\"2024-02-30T12:00:00.5Z\","
     "\"Args\":[\"-name\",\"\\u0022\"],\"State\":{", State,
     ",\"Pid\":4711,\"Health\":null},\"Name\":", Name,
     ",\"HostConfig\":{\"NetworkMode\":\"", Mode,
     "\",\"PortBindings\":", published("", 1), "},"
     "\"Config\":{\"Labels\":{\"Ports\":\"{}\"}},"
     "\"NetworkSettings\":{\"Bridge\":\"\",\"Ports\":", Ports, "}}\n"].

%% The JSON of the list of these containers.
-spec list([iodata()]) -> iodata().
list(Containers) ->
    ["[", lists:join(",", Containers), "]\n"].

-spec listed(string()) -> iodata().
listed(Container) ->
    listed(Container, #{}).

%% What such a list has of a container that runs and publishes the port of the
%% run.
-spec listed(string(), #{atom() => iodata()}) -> iodata().
listed(Container, Changes) ->
    Id = [Container, lists:duplicate(64 - length(Container), $0)],
    Port = integer_to_list(eid_peers:port()),
    Values = maps:merge(
               #{id => Id, name => Container, state => "running",
                 ports => ["{\"IP\":\"0.0.0.0\",\"PrivatePort\":", Port,
                           ",\"PublicPort\":", Port,
                           ",\"Type\":\"tcp\"}"]}, Changes),
    #{id := IdValue, name := Name, state := State, ports := Ports} = Values,
    ["{\"Id\":\"", IdValue, "\",\"Names\":[\"/", Name,
     "\"],\"Image\":\"rec\",\"Created\":1700000000,\"Ports\":[", Ports,
     "],\"Labels\":{\"a\":\"[\"},\"State\":\"", State,
     "\",\"Status\":\"Up 2 seconds\",\"HostConfig\":{\"NetworkMode\":"
     "\"default\"},\"NetworkSettings\":{\"Networks\":{}},\"Mounts\":[]}"].

%% The Ports of a container: the run's port, and one more.
-spec published(string(), inet:port_number() | string()) -> iodata().
published(HostIp, HostPort) ->
    io_lib:format("{\"80/tcp\":null,\"~w/udp\":[{\"HostIp\":\"0.0.0.0\","
                  "\"HostPort\":\"9\"}],\"~w/tcp\":[{\"HostIp\":\"~s\","
                  "\"HostPort\":\"~s\"}]}",
                  [eid_peers:port(), eid_peers:port(), HostIp,
                   lists:concat([HostPort])]).

-spec answer(string(), iodata()) -> iodata().
answer(Status, Body) ->
    answer(Status, "Content-Type: application/json\r\n", Body).

%% With lines of headers of its own.
-spec answer(string(), string(), iodata()) -> iodata().
answer(Status, Headers, Body) ->
    ["HTTP/1.1 ", Status, "\r\n", Headers, "Content-Length: ",
     integer_to_list(iolist_size(Body)), "\r\n\r\n", Body].

%% As Docker sends what is longer than 2 KB.
-spec chunked(iodata()) -> iodata().
chunked(Body) ->
    Bytes = iolist_to_binary(Body),
    Half = byte_size(Bytes) div 2,
    <<First:Half/binary, Second/binary>> = Bytes,
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
     [[integer_to_list(byte_size(Chunk), 16), "\r\n", Chunk, "\r\n"]
      || Chunk <- [First, Second]], "0\r\n\r\n"].

%% ---------------------------------------------------------------------
%% The processes
%% ---------------------------------------------------------------------

-spec init(pid(), string()) -> ok.
init(Owner, Host) ->
    Monitor = monitor(process, Owner),
    {ok, Listener} =
        gen_tcp:listen(port(), [binary, {ip, eid_peers:address(Host)},
                                {active, false}, {reuseaddr, true},
                                {backlog, 128}]),
    Daemon = self(),
    _ = spawn_link(fun() -> accept(Daemon, Listener) end),
    Owner ! {Daemon, ready},
    serve(Monitor, #{}, []).

serve(Owner, Answers, Requests) ->
    receive
        {{set, Container, Answer}, From, Tag} ->
            From ! {Tag, ok},
            serve(Owner, Answers#{Container => Answer}, Requests);
        {requests, From, Tag} ->
            From ! {Tag, Requests},
            serve(Owner, Answers, Requests);
        {{request, Container, Request}, From, Tag} ->
            From ! {Tag, maps:get(Container, Answers, none(Container))},
            serve(Owner, Answers, [Request | Requests]);
        {'DOWN', Owner, _, _, _} ->
            exit(shutdown);
        stop ->
            exit(shutdown)
    end.

-spec none(string() | list | events) -> iodata().
none(list) ->
    answer("200 OK", list([]));
none(events) ->
    answer("403 Forbidden", "{\"message\":\"no events\"}\n");
none(Container) ->
    answer("404 Not Found", ["{\"message\":\"No such container: ", Container,
                             "\"}\n"]).

-spec accept(daemon(), gen_tcp:socket()) -> no_return().
accept(Daemon, Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    Pid = spawn(fun() ->
                        _ = monitor(process, Daemon),
                        receive go -> ok end,
                        connection(Daemon, Socket)
                end),
    ok = gen_tcp:controlling_process(Socket, Pid),
    Pid ! go,
    accept(Daemon, Listener).

connection(Daemon, Socket) ->
    case request(Socket, <<>>) of
        {ok, Container, Request} ->
            case ask(Daemon, {request, Container, Request}) of
                Do when is_function(Do) -> Do(Socket);
                Answer -> gen_tcp:send(Socket, Answer)
            end;
        {error, _} ->
            ok
    end,
    gen_tcp:close(Socket).

request(Socket, Request) ->
    case binary:match(Request, <<"\r\n\r\n">>) of
        nomatch ->
            case gen_tcp:recv(Socket, 0) of
                {ok, More} -> request(Socket, <<Request/binary, More/binary>>);
                {error, _} = Error -> Error
            end;
        _ ->
            {ok, asked_for(Request), Request}
    end.

asked_for(Request) ->
    {match, [Path]} = re:run(Request, "^GET ([^ ?]*)[^ ]* HTTP/1.1\r\n",
                             [{capture, all_but_first, list}]),
    case string:lexemes(Path, "/") of
        ["containers", "json"] -> list;
        ["events"] -> events;
        ["containers", Container, "json"] -> Container
    end.
