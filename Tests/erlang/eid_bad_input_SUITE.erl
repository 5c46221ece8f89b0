%% SPDX-License-Identifier: Apache-2.0

%% What is not a node connects to the listen port. The node stays up, says once
%% for each connection what was wrong, goes on serving, and keeps nothing.
-module(eid_bad_input_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_testcase/2, end_per_testcase/2]).

-export([random_bytes/1, http_request/1, tls_hello/1,
         oversized_handshake_packet/1, empty_handshake_packet/1, half_a_name/1,
         half_of_the_handshake/1, no_nodeup_after_the_handshake/1,
         wrong_cookie/1, many_wrong_cookies/1, impossible_names/1,
         old_handshake/1, connect_and_close_a_thousand_times/1, resets/1,
         silence_and_single_bytes/1, many_silent_connections/1,
         garbage_after_the_handshake/1, oversized_packet/1,
         a_reset_connection_is_a_closed_one/1, half_a_packet/1,
         a_promise_of_two_gigabytes/1, no_descriptors_left/1]).

-define(SETUP_SECONDS, 2).
-define(LIAR, "Connection attempt from node 'liar@127.0.0.1' rejected. "
        "Invalid challenge reply").

suite() ->
    [{timetrap, {seconds, 60}}].

all() ->
    [random_bytes, http_request, tls_hello, oversized_handshake_packet,
     empty_handshake_packet, half_a_name, half_of_the_handshake,
     no_nodeup_after_the_handshake, wrong_cookie, many_wrong_cookies,
     impossible_names, old_handshake,
     connect_and_close_a_thousand_times, resets, silence_and_single_bytes,
     many_silent_connections, garbage_after_the_handshake, oversized_packet,
     a_reset_connection_is_a_closed_one, half_a_packet,
     a_promise_of_two_gigabytes, no_descriptors_left].

init_per_suite(Config) ->
    ok = eid_peers:only("eid_tcp"),
    %% What OTP sends to a node that it has just seen must not connect again.
    Kernel = [{connect_all, false}, {dist_auto_connect, never}],
    Node = eid_peers:start(#{name => "victim", keep => true,
                             kernel => [{net_setuptime, ?SETUP_SECONDS}
                                        | Kernel]}),
    Other = eid_peers:start(#{name => "other", keep => true,
                              kernel => Kernel}),
    %% The memory is taken after the first use: some is allocated only once.
    %% The rest is taken before it: later, something may still be ending.
    Fresh = eid_peers:kept(Node),
    ok = eid_peers:connect(Other, Node),
    disconnect(Other, Node),
    {ok, Socket} = open(Node),
    ok = gen_tcp:send(Socket, <<16#ffff:16>>),
    {error, closed} = gen_tcp:recv(Socket, 0, 5000),
    [_] = eid_peers:await_log(Node, "closed the connection"),
    eid_peers:await_kept(Node, Fresh#{memory := infinity}),
    [{victim, Node}, {other, Other}, {counts, maps:remove(memory, Fresh)}
     | Config].

end_per_suite(_Config) ->
    ok.

init_per_testcase(_Case, Config) ->
    Node = proplists:get_value(victim, Config),
    Counts = proplists:get_value(counts, Config),
    #{memory := Memory} = eid_peers:kept(Node),
    eid_peers:until(fun() -> has_said_all(Node) end),
    [{before, Counts#{memory => Memory}},
     {said, length(eid_peers:logged(Node, "."))} | Config].

%% Whatever the case did: the node keeps nothing of it and serves.
end_per_testcase(_Case, Config) ->
    Node = proplists:get_value(victim, Config),
    Other = proplists:get_value(other, Config),
    #{memory := Memory} = Before = proplists:get_value(before, Config),
    try
        eid_peers:await_kept(Node, Before#{memory := Memory + 3000000}),
        ok = eid_peers:connect(Other, Node),
        disconnect(Other, Node)
    catch
        error:Reason ->
            {fail, Reason}
    end.

%% Whether nothing more will be said of what was refused so far.
has_said_all(Node) ->
    eid_peers:run(
      Node,
      fun() ->
              process_info(whereis(eid_refusals),
                           [message_queue_len, current_function])
                  =:= [{message_queue_len, 0},
                       {current_function, {eid_refusals, init, 0}}]
      end).

disconnect(Other, #{node := Node} = Victim) ->
    true = eid_peers:call(Other, erlang, disconnect_node, [Node]),
    eid_peers:until(fun() -> not eid_peers:is_up(Victim, Other) end).

%% ---------------------------------------------------------------------
%% Before and during the handshake
%% ---------------------------------------------------------------------

random_bytes(Config) ->
    _ = rand:seed(exsss, 2014),
    Count = 100,
    [begin
         {ok, Socket} = open(Config),
         %% The node may have closed before all was sent.
         _ = gen_tcp:send(Socket, rand:bytes(rand:uniform(2000))),
         ok = gen_tcp:close(Socket)
     end || _ <- lists:seq(1, Count)],
    said_at_most(Config, Count).

http_request(Config) ->
    refuses(Config, "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "not those of an Erlang node; something else connects").

tls_hello(Config) ->
    refuses(Config, <<22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3, 0:1600>>,
            "not those of an Erlang node; something else connects").

oversized_handshake_packet(Config) ->
    refuses(Config, <<16#ffff:16, 0:80000>>, "not those of an Erlang node").

empty_handshake_packet(Config) ->
    refuses(Config, <<0:16>>, "not the handshake of an Erlang node").

half_a_name(Config) ->
    Whole = iolist_to_binary(name(<<"half@127.0.0.1">>)),
    [begin
         {ok, Socket} = open(Config),
         ok = gen_tcp:send(Socket, binary:part(Whole, 0, Length)),
         ok = gen_tcp:close(Socket)
     end || Length <- [1, 2, 3, 11, byte_size(Whole) - 1]],
    said_at_most(Config, 5).

half_of_the_handshake(Config) ->
    {ok, Socket} = open(Config),
    ok = gen_tcp:send(Socket, name(<<"half@127.0.0.1">>)),
    <<"sok">> = receive_packet(Socket),
    ok = gen_tcp:close(Socket),
    says(Config, 1, "closed in the middle of the handshake").

%% As when the other node disconnects at once: it was a node, all the same.
no_nodeup_after_the_handshake(Config) ->
    {ok, Socket} = open(Config),
    Challenge = challenged(Socket, <<"brief@127.0.0.1">>),
    ok = eid_peers:forget_pending(proplists:get_value(victim, Config),
                                  'brief@127.0.0.1'),
    answer(Socket, Challenge),
    {error, closed} = gen_tcp:recv(Socket, 0, 5000),
    ok = gen_tcp:close(Socket),
    says(Config, 1, "closed in the middle of the handshake").

wrong_cookie(Config) ->
    lie(Config),
    says(Config, 1, ?LIAR).

%% Those are dist_util's lines, but no more than one a second either.
many_wrong_cookies(Config) ->
    Start = erlang:monotonic_time(second),
    [lie(Config) || _ <- lists:seq(1, 200)],
    says(Config, 200, ?LIAR),
    said_at_most(Config, 3 + erlang:monotonic_time(second) - Start).

lie(Config) ->
    {ok, Socket} = open(Config),
    _ = challenged(Socket, <<"liar@127.0.0.1">>),
    ok = gen_tcp:send(Socket, packet([$r, <<1:32>>, <<0:128>>])),
    {error, closed} = gen_tcp:recv(Socket, 0, 5000),
    ok = gen_tcp:close(Socket).

impossible_names(Config) ->
    Names = [<<>>, <<"@">>, <<"noat">>, <<"a@b@c">>, <<"a@">>, <<"@b">>,
             binary:copy(<<"a">>, 300), <<255, 254, "@b">>,
             <<"x@", 0, "y">>],
    [begin
         {ok, Socket} = open(Config),
         ok = gen_tcp:send(Socket, name(Name)),
         _ = gen_tcp:recv(Socket, 0, 5000),
         ok = gen_tcp:close(Socket)
     end || Name <- Names],
    says(Config, length(Names), ".").

%% What OTP 22 and before sent, without the flags that are needed today.
old_handshake(Config) ->
    {ok, Socket} = open(Config),
    ok = gen_tcp:send(Socket, packet([$n, <<5:16, 0:32>>, "old@127.0.0.1"])),
    _ = gen_tcp:recv(Socket, 0, 5000),
    ok = gen_tcp:close(Socket),
    says(Config, 1, ".").

%% Health checks and port scans do it, so nothing is said.
connect_and_close_a_thousand_times(Config) ->
    [begin
         {ok, Socket} = open(Config),
         ok = gen_tcp:close(Socket)
     end || _ <- lists:seq(1, 1000)],
    says(Config, 0, "").

resets(Config) ->
    Reset = fun(Sent) ->
                    {ok, Socket} = open(Config),
                    ok = inet:setopts(Socket, [{linger, {true, 0}}]),
                    ok = gen_tcp:send(Socket, Sent),
                    ok = gen_tcp:close(Socket)
            end,
    %% Health checks end so, too.
    [Reset(<<>>) || _ <- lists:seq(1, 50)],
    says(Config, 0, ""),
    [Reset(<<0, 30, $N>>) || _ <- lists:seq(1, 50)],
    said_at_most(Config, 50).

silence_and_single_bytes(Config) ->
    Start = erlang:monotonic_time(millisecond),
    {ok, Silent} = open(Config),
    {ok, Slow} = open(Config),
    ok = drip(Slow, iolist_to_binary(name(<<"slow@127.0.0.1">>))),
    {error, closed} = gen_tcp:recv(Silent, 0, 5000),
    {error, closed} = gen_tcp:recv(Slow, 0, 5000),
    Took = erlang:monotonic_time(millisecond) - Start,
    true = Took > ?SETUP_SECONDS * 500 andalso Took < ?SETUP_SECONDS * 2000,
    says(Config, 2, "no complete handshake message in time").

drip(Socket, <<Byte, Bytes/binary>>) ->
    case gen_tcp:send(Socket, [Byte]) of
        ok ->
            receive after 150 -> drip(Socket, Bytes) end;
        {error, closed} ->
            ok
    end.

many_silent_connections(Config) ->
    Node = proplists:get_value(victim, Config),
    Other = proplists:get_value(other, Config),
    Sockets = [Socket || _ <- lists:seq(1, 300),
                         {ok, Socket} <- [open(Config)]],
    ok = eid_peers:connect(Other, Node),
    disconnect(Other, Node),
    [{error, closed} = gen_tcp:recv(Socket, 0, 10000) || Socket <- Sockets],
    %% More than may be in the handshake from one address: the first made room.
    says(Config, 300, "no complete handshake message in time|"
         "the oldest of 256 from its address").

%% ---------------------------------------------------------------------
%% After the handshake
%% ---------------------------------------------------------------------

garbage_after_the_handshake(Config) ->
    broken(Config, <<"bad1@127.0.0.1">>, [<<100:32>>, rand:bytes(100)]),
    says(Config, 1, "incompatible erlang").

oversized_packet(Config) ->
    broken(Config, <<"bad2@127.0.0.1">>, <<16#ffffffff:32, 0:80000>>),
    said_at_most(Config, 1).

%% The driver grows with what comes, not with what is promised.
a_promise_of_two_gigabytes(Config) ->
    #{os_pid := OsPid} = Node = proplists:get_value(victim, Config),
    Before = eid_proc:resident_bytes(OsPid),
    {ok, Socket} = handshake(Config, <<"bad4@127.0.0.1">>),
    ok = gen_tcp:send(Socket, [<<16#7ffffff0:32, 131, 68>>, <<0:8000000>>]),
    receive after 200 -> ok end,
    true = eid_proc:resident_bytes(OsPid) < Before + 64 * 1024 * 1024,
    [_] = eid_peers:call(Node, erlang, nodes, [connected]),
    ok = gen_tcp:close(Socket).

%% However it ends, it is closed: net_kernel's documented reason.
a_reset_connection_is_a_closed_one(Config) ->
    Node = proplists:get_value(victim, Config),
    Watch = eid_peers:run(
              Node,
              fun() ->
                      spawn(fun() ->
                                    ok = net_kernel:monitor_nodes(
                                           true, [{node_type, all},
                                                  nodedown_reason]),
                                    register(watch, self()),
                                    receive {nodeup, _, _} -> ok end,
                                    receive
                                        {nodedown, _, Info} ->
                                            receive
                                                {tell, Pid} -> Pid ! Info
                                            end
                                    end
                            end)
              end),
    eid_peers:until(fun() -> eid_peers:call(Node, erlang, whereis, [watch])
                                 =/= undefined
                    end),
    {ok, Socket} = handshake(Config, <<"bad5@127.0.0.1">>),
    eid_peers:until(fun() ->
                            eid_peers:call(Node, erlang, nodes, [connected])
                                =/= []
                    end),
    ok = inet:setopts(Socket, [{linger, {true, 0}}]),
    ok = gen_tcp:close(Socket),
    Info = eid_peers:run(Node, fun() ->
                                       Watch ! {tell, self()},
                                       receive Told -> Told end
                               end),
    {nodedown_reason, connection_closed} =
        lists:keyfind(nodedown_reason, 1, Info),
    says(Config, 0, "").

half_a_packet(Config) ->
    Node = proplists:get_value(victim, Config),
    {ok, Socket} = handshake(Config, <<"bad3@127.0.0.1">>),
    ok = gen_tcp:send(Socket, <<1000000:32, 131, 68, 0, 0:8000>>),
    ok = gen_tcp:close(Socket),
    eid_peers:until(fun() ->
                            eid_peers:call(Node, erlang, nodes, [connected])
                                =:= []
                    end),
    says(Config, 0, "").

%% A node that knows the cookie, but not what comes then.
broken(Config, Name, Bytes) ->
    Node = proplists:get_value(victim, Config),
    {ok, Socket} = handshake(Config, Name),
    eid_peers:until(fun() ->
                            eid_peers:call(Node, erlang, nodes, [connected])
                                =/= []
                    end),
    ok = gen_tcp:send(Socket, Bytes),
    closed = drain(Socket),
    ok = gen_tcp:close(Socket),
    eid_peers:until(fun() ->
                            eid_peers:call(Node, erlang, nodes, [connected])
                                =:= []
                    end).

drain(Socket) ->
    case gen_tcp:recv(Socket, 0, 5000) of
        {ok, _} -> drain(Socket);
        {error, Closed} when Closed =:= closed; Closed =:= econnreset -> closed
    end.

%% ---------------------------------------------------------------------
%% The machine's limits
%% ---------------------------------------------------------------------

%% The node cannot accept more; it neither spins nor gives up.
no_descriptors_left(_Config) ->
    Node = eid_peers:start(#{name => "full", descriptors => 60}),
    Other = eid_peers:start(#{name => "other"}),
    ok = eid_peers:connect(Other, Node),
    disconnect(Other, Node),
    Sockets = [Socket || _ <- lists:seq(1, 100),
                         {ok, Socket} <- [open(Node)]],
    eid_peers:until(fun() ->
                            #{os_pid := OsPid} = Node,
                            eid_proc:descriptors(OsPid) =:= 60
                    end),
    {Cpu, _} = eid_peers:call(Node, erlang, statistics, [runtime]),
    receive after 500 -> ok end,
    {Later, _} = eid_peers:call(Node, erlang, statistics, [runtime]),
    true = Later - Cpu < 200,
    [ok = gen_tcp:close(Socket) || Socket <- Sockets],
    ok = eid_peers:connect(Other, Node).

%% ---------------------------------------------------------------------
%% A client that speaks the handshake (see "Distribution Protocol" in OTP's
%% documentation)
%% ---------------------------------------------------------------------

open(Config) when is_list(Config) ->
    open(proplists:get_value(victim, Config));
open(Node) ->
    gen_tcp:connect(eid_peers:address(Node), eid_peers:port(),
                    [binary, {active, false}]).

%% Sends Bytes: the node closes, and says Pattern once.
refuses(Config, Bytes, Pattern) ->
    {ok, Socket} = open(Config),
    ok = gen_tcp:send(Socket, Bytes),
    closed = drain(Socket),
    says(Config, 1, Pattern).

packet(Content) ->
    [<<(iolist_size(Content)):16>>, Content].

receive_packet(Socket) ->
    {ok, <<Length:16>>} = gen_tcp:recv(Socket, 2, 5000),
    {ok, Packet} = gen_tcp:recv(Socket, Length, 5000),
    Packet.

name(Name) ->
    Flags = element(2, erts_internal:get_dflags()),
    packet([$N, <<Flags:64, 1:32, (byte_size(Name)):16>>, Name]).

challenged(Socket, Name) ->
    ok = gen_tcp:send(Socket, name(Name)),
    <<"sok">> = receive_packet(Socket),
    %% (Patterns would do, but OTP 29 does not load what OTP 25 makes of them.)
    Packet = receive_packet(Socket),
    $N = binary:first(Packet),
    binary:decode_unsigned(binary:part(Packet, 9, 4)).

handshake(Config, Name) ->
    {ok, Socket} = open(Config),
    answer(Socket, challenged(Socket, Name)),
    {ok, Socket}.

answer(Socket, Challenge) ->
    Digest = erlang:md5(["eid_test", integer_to_list(Challenge)]),
    ok = gen_tcp:send(Socket, packet([$r, <<1:32>>, Digest])),
    <<$a, _:16/binary>> = receive_packet(Socket),
    ok.

%% Since the case began, the node has said Pattern of Count connections, and of
%% no more.
says(Config, Count, Pattern) ->
    Node = proplists:get_value(victim, Config),
    Said = proplists:get_value(said, Config),
    try
        eid_peers:until(
          fun() -> told(lists:nthtail(Said, eid_peers:logged(Node, ".")))
                       >= Count
          end),
        New = lists:nthtail(Said, eid_peers:logged(Node, ".")),
        Count = told(New),
        [] = [Line || Line <- New, re:run(Line, Pattern) =:= nomatch],
        ok
    catch
        Class:Reason:Stack ->
            ct:pal("~ts", [eid_peers:log(Node)]),
            erlang:raise(Class, Reason, Stack)
    end.

%% Of how many connections these lines tell.
told(Lines) ->
    lists:sum([case re:run(Line, "closed (\\d+) more connections",
                           [{capture, all_but_first, list}]) of
                   {match, [Count]} -> list_to_integer(Count);
                   nomatch -> 1
               end || Line <- Lines]).

said_at_most(Config, Count) ->
    Node = proplists:get_value(victim, Config),
    Said = proplists:get_value(said, Config),
    true = length(eid_peers:logged(Node, ".")) =< Said + Count,
    ok.
