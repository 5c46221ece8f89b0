%% SPDX-License-Identifier: Apache-2.0

%% What the command `eid' has a VM do: `erl -s eid_command FUNCTION -extra
%% ARGUMENT...'. The VM is a hidden node beside others, which it leaves with
%% `halt'; what it prints is for the command, or for whoever called that.
-module(eid_command).

-export([look_up/0, list/0, rpc/0, top/0, way_back/0]).

%% sysexits.h: EX_UNAVAILABLE. No connection came about; the log, on standard
%% error, says why.
-define(NOT_CONNECTED, 69).

-define(CALL_MS, 10000).

%% NAME HOST: where Docker says that NAME@HOST is reached, asked as a node asks:
%% prints `ok PORT' or `failed REASON SENTENCE'. Docker's API over TLS is what
%% the command does not speak itself.
-spec look_up() -> no_return().
look_up() ->
    [Name, Host] = init:get_plain_arguments(),
    in_unicode(),
    case eid_epmd:look_up(Name, Host) of
        {port, Port, _Version} ->
            io:format("ok ~w~n", [Port]);
        {error, {Reason, Sentence}} ->
            io:format("failed ~w ~ts~n", [Reason, Sentence])
    end,
    halt(0).

%% HOST IP REQUEST: asks Docker at HOST, which has that address, as a node
%% would ask it; the request is in hexadecimal digits. Prints the answer, in
%% such digits too, as lines `bytes DIGITS', and `end' behind it; or `plain IP
%% PORT' where that daemon is asked without TLS, which the command does itself;
%% or `failed SENTENCE'.
-spec list() -> no_return().
list() ->
    [Host, Address, Digits] = init:get_plain_arguments(),
    in_unicode(),
    {ok, Ip} = inet:parse_address(Address),
    case eid_epmd:daemon(Ip, Host, eid_settings:get(eid_lookup_timeout)) of
        {ok, Ip, #{tls := false, address := DaemonIp, port := Port}, _Left} ->
            io:format("plain ~s ~w~n", [inet:ntoa(DaemonIp), Port]);
        {ok, Ip, Daemon, Left} ->
            list(Daemon, Ip, Left, binary:decode_hex(list_to_binary(Digits)));
        {error, {_Reason, Sentence}} ->
            io:format("failed ~ts~n", [Sentence])
    end,
    halt(0).

-spec list(eid_epmd:daemon(), inet:ip_address(), pos_integer(), binary()) ->
          ok.
list(Daemon, Ip, Deadline, Request) ->
    Print = fun(Bytes) ->
                    io:format("bytes ~s~n", [binary:encode_hex(Bytes)])
            end,
    case eid_tls_lookup:relay(Daemon, Ip, Deadline, Request, Print) of
        ok -> io:format("end~n");
        {error, {_Reason, Sentence}} -> io:format("failed ~ts~n", [Sentence])
    end.

%% NODE MODULE FUNCTION ARGUMENT...: prints what the call returns.
-spec rpc() -> no_return().
rpc() ->
    [Text, Module, Function | Arguments] = plain_arguments(),
    in_unicode(),
    Node = connect(Text),
    case arguments(Arguments) of
        {ok, Terms} ->
            call(Node, list_to_atom(Module), list_to_atom(Function), Terms);
        {error, Argument, Reason} ->
            fail("~ts is not an Erlang term: ~ts", [Argument, Reason])
    end.

%% NODE MILLISECONDS COUNT: prints samples of eid:connections/0 there, COUNT
%% of them, or without end where that is 0. A sample is a line
%% `sample MICROSECONDS', then a line for each connection, then `end'.
-spec top() -> no_return().
top() ->
    [Text, Pause, Count] = init:get_plain_arguments(),
    Node = connect(Text),
    sample(Node, list_to_integer(Pause), list_to_integer(Count)).

%% PEER NAME HOST: whether the peer finds and reaches NAME@HOST: prints `ok
%% ADDRESS:PORT' or `failed SENTENCE'.
-spec way_back() -> no_return().
way_back() ->
    [Text, Name, Host] = init:get_plain_arguments(),
    in_unicode(),
    Peer = connect(Text),
    Line = try erpc:call(Peer, eid_epmd, look_up, [Name, Host],
                         ?CALL_MS) of
               {port, Port, _Version} ->
                   reach(Peer, Name, Host, Port);
               {error, {_Reason, Sentence}} ->
                   ["failed ", Text, " ", Sentence]
           catch
               error:{exception, undef, _} ->
                   ["failed ", Text, " has no eid, so that it cannot be "
                    "asked to look anybody up"];
               Class:Reason ->
                   io_lib:format("failed ~ts could not be asked: ~0tp",
                                 [Text, {Class, Reason}])
           end,
    io:format("~ts~n", [Line]),
    halt(0).

-spec reach(node(), string(), string(), inet:port_number()) -> iodata().
reach(Peer, Name, Host, Port) ->
    Resolved = case address(Peer, Name, Host, inet) of
                   {ok, _} = Found -> Found;
                   {error, _} -> address(Peer, Name, Host, inet6)
               end,
    case Resolved of
        {ok, Ip} ->
            Endpoint = eid_socket:format({Ip, Port}),
            case erpc:call(Peer, gen_tcp, connect,
                           [Ip, Port, [{active, false}], ?CALL_MS div 2],
                           ?CALL_MS) of
                {ok, _Socket} ->
                    %% It is closed with the process of the call.
                    ["ok ", Endpoint];
                {error, econnrefused} ->
                    ["failed connection refused by ", Endpoint,
                     ": no node listens there (yet)"];
                {error, timeout} ->
                    ["failed ", Endpoint, " does not answer: a firewall, or "
                     "no route"];
                {error, Reason} ->
                    ["failed ", Endpoint, ": ", inet:format_error(Reason)]
            end;
        {error, Reason} ->
            ["failed the host ", Host, " does not resolve (",
             inet:format_error(Reason), ")"]
    end.

-spec address(node(), string(), string(), inet | inet6) ->
          {ok, inet:ip_address()} | {error, inet:posix()}.
address(Peer, Name, Host, Family) ->
    erpc:call(Peer, eid_epmd, address_please, [Name, Host, Family],
              ?CALL_MS).

%% Without a locale that says otherwise, as in containers, OTP takes arguments
%% for Latin-1, and would print no other characters.
-spec plain_arguments() -> [string()].
plain_arguments() ->
    Arguments = init:get_plain_arguments(),
    case file:native_name_encoding() of
        utf8 -> Arguments;
        latin1 -> [eid_cluster_setting:from_utf8(Argument)
                   || Argument <- Arguments]
    end.

-spec in_unicode() -> ok.
in_unicode() ->
    lists:foreach(fun(Device) ->
                          _ = io:setopts(Device, [{encoding, unicode}])
                  end, [standard_io, standard_error]).

-spec connect(string()) -> node() | no_return().
connect(Text) ->
    Node = list_to_atom(Text),
    case net_kernel:connect_node(Node) of
        true ->
            %% What follows tells of its failures itself; that nobody reads
            %% its output any more would be told at length.
            ok = logger:set_primary_config(level, none),
            Node;
        _ ->
            %% The log says why, where the carrier does, and first.
            _ = logger_std_h:filesync(default),
            complain("cannot connect to ~ts: eid doctor ~ts says why",
                     [Text, Text]),
            halt(?NOT_CONNECTED)
    end.

-spec call(node(), module(), atom(), [term()]) -> no_return().
call(Node, Module, Function, Arguments) ->
    try erpc:call(Node, Module, Function, Arguments) of
        Result ->
            print(Result)
    catch
        error:{erpc, Reason} ->
            fail("the call came to nothing: ~tp", [Reason]);
        error:{exception, Reason, Stack} ->
            failed(Module, Function, Arguments, error, {Reason, Stack});
        exit:{exception, Reason} ->
            failed(Module, Function, Arguments, exit, Reason);
        exit:{signal, Reason} ->
            failed(Module, Function, Arguments, exit, Reason);
        throw:Value ->
            failed(Module, Function, Arguments, throw, Value)
    end.

-spec print(term()) -> no_return().
print(Result) ->
    try io:format("~tp~n", [Result]) of
        ok -> halt(0)
    catch
        %% Nobody reads any more.
        error:_ -> halt(1)
    end.

-spec failed(module(), atom(), [term()], error | exit | throw, term()) ->
          no_return().
failed(Module, Function, Arguments, Class, Reason) ->
    fail("~tw:~tw/~w failed: ~w ~0tP",
         [Module, Function, length(Arguments), Class, Reason, 30]).

%% The arguments of a call: a list alone is all of them, else each is one.
-spec arguments([string()]) ->
          {ok, [term()]} | {error, string(), string()}.
arguments(Texts) ->
    case terms(Texts, []) of
        {ok, [List]} when is_list(List) -> {ok, List};
        Result -> Result
    end.

-spec terms([string()], [term()]) ->
          {ok, [term()]} | {error, string(), string()}.
terms([], Terms) ->
    {ok, lists:reverse(Terms)};
terms([Text | Texts], Terms) ->
    case erl_scan:string(Text ++ ".") of
        {ok, Tokens, _} ->
            case erl_parse:parse_term(Tokens) of
                {ok, Term} ->
                    terms(Texts, [Term | Terms]);
                {error, {_, Module, Reason}} ->
                    {error, Text, lists:flatten(Module:format_error(Reason))}
            end;
        {error, {_, Module, Reason}, _} ->
            {error, Text, lists:flatten(Module:format_error(Reason))}
    end.

-spec sample(node(), non_neg_integer(), non_neg_integer()) -> no_return().
sample(Node, Pause, Count) ->
    Now = erlang:monotonic_time(microsecond),
    Connections =
        try
            erpc:call(Node, eid, connections, [], ?CALL_MS)
        catch
            error:{exception, undef, _} ->
                fail("~ts has no eid application: there is nothing to show",
                     [Node]);
            error:{erpc, Reason} ->
                fail("~ts does not answer: ~tp", [Node, Reason])
        end,
    Lines = [["sample ", integer_to_list(Now), $\n],
             %% Without the one that asks.
             [line(Connection) || #{node := Peer} = Connection <- Connections,
                                  Peer =/= node()],
             "end\n"],
    case file:write(standard_io, Lines) of
        ok when Count =:= 1 ->
            halt(0);
        ok ->
            receive after Pause -> ok end,
            sample(Node, Pause, max(0, Count - 1));
        {error, _} ->
            %% Nobody reads any more.
            halt(0)
    end.

-spec line(eid:connection()) -> iodata().
line(#{node := Node, peer := Peer, received_packets := ReceivedPackets,
       sent_packets := SentPackets, received_bytes := ReceivedBytes,
       sent_bytes := SentBytes, queued_bytes := Queued, busy := Busy,
       busy_microseconds := BusyTime,
       round_trip_microseconds := RoundTrip}) ->
    Fields = [atom_to_list(Node), eid_socket:format(Peer),
              integer_to_list(ReceivedPackets),
              integer_to_list(SentPackets), integer_to_list(ReceivedBytes),
              integer_to_list(SentBytes), integer_to_list(Queued),
              atom_to_list(Busy), integer_to_list(BusyTime),
              case RoundTrip of
                  undefined -> "-";
                  _ -> integer_to_list(RoundTrip)
              end],
    [lists:join(" ", Fields), $\n].

-spec fail(io:format(), [term()]) -> no_return().
fail(Format, Arguments) ->
    complain(Format, Arguments),
    halt(1).

-spec complain(io:format(), [term()]) -> ok.
complain(Format, Arguments) ->
    io:format(standard_error, "eid: " ++ Format ++ "~n", Arguments).
