%% SPDX-License-Identifier: Apache-2.0

%% A peer that does not read: senders wait, memory stays bounded, and nothing
%% is lost once it reads again, nor when the connection closes in good order.
-module(eid_backpressure_SUITE).

-export([all/0, suite/0]).

-export([senders_wait_for_a_stopped_peer/1, small_messages_wait_as_well/1,
         a_stuttering_peer_gets_all/1, ticks_pass_a_full_queue/1,
         a_burst_before_disconnect_arrives/1,
         a_burst_to_a_peer_that_sends_arrives/1, a_burst_before_halt_arrives/1,
         a_burst_before_stop_arrives/1,
         a_stopped_peer_does_not_hold_up_halt/1,
         disconnect_frees_waiting_senders/1,
         other_nodes_are_served_meanwhile/1]).

%% Run in the nodes
-export([counter/0, send_loop/4]).

-define(KB, 1024).
-define(MB, (1024 * 1024)).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [senders_wait_for_a_stopped_peer, small_messages_wait_as_well,
     a_stuttering_peer_gets_all, ticks_pass_a_full_queue,
     a_burst_before_disconnect_arrives, a_burst_to_a_peer_that_sends_arrives,
     a_burst_before_halt_arrives, a_burst_before_stop_arrives,
     a_stopped_peer_does_not_hold_up_halt, disconnect_frees_waiting_senders,
     other_nodes_are_served_meanwhile].

senders_wait_for_a_stopped_peer(_Config) ->
    stopped(20, 64 * ?KB, 10).

small_messages_wait_as_well(_Config) ->
    stopped(4, 32, 2000).

%% So many senders meet a stopped peer; each has at least AtLeast messages
%% more to send when it goes on.
stopped(Senders, Size, AtLeast) ->
    {A, B} = eid_peers:pair(),
    Sink = sink(B),
    ok = eid_peers:freeze(B),
    Before = eid_peers:call(A, eid_peers, memory, [total]),
    Pids = senders(A, Sink, Senders, Size),
    all_wait(A, Pids),
    false = eid_peers:run(A, fun() ->
                                     erlang:send_nosuspend(Sink, more)
                             end),
    nosuspend = eid_peers:run(A, fun() ->
                                         erlang:send(Sink, more, [nosuspend])
                                 end),
    Sent = sent(A, Pids),
    Waiting = eid_peers:call(A, eid_peers, memory, [total]),
    %% The VM's own limit is 1 MB and the driver's queue half of that; each
    %% sender has one message in its hands.
    true = Waiting - Before < 16 * ?MB + 2 * Senders * Size,
    receive after 500 -> ok end,
    Sent = sent(A, Pids),
    true = all_suspended(A, Pids),
    ok = eid_peers:thaw(B),
    eid_peers:until(fun() -> sent(A, Pids) >= Sent + Senders * AtLeast end),
    Total = stop_senders(A, Pids),
    arrived(B, Sink, Total).

%% Stopped and let go again and again while much is sent in both directions.
a_stuttering_peer_gets_all(_Config) ->
    {A, B} = eid_peers:pair(),
    SinkA = sink(A),
    SinkB = sink(B),
    PidsA = senders(A, SinkB, 5, 10000),
    PidsB = senders(B, SinkA, 5, 10000),
    [begin
         ok = eid_peers:freeze(B),
         receive after 100 -> ok end,
         ok = eid_peers:thaw(B),
         receive after 30 -> ok end
     end || _ <- lists:seq(1, 15)],
    arrived(B, SinkB, stop_senders(A, PidsA)),
    arrived(A, SinkA, stop_senders(B, PidsB)).

%% A peer that reads so slowly that the queue stays full for longer than the
%% tick time is alive nevertheless, on both sides.
ticks_pass_a_full_queue(_Config) ->
    {A, #{node := NodeB} = B} =
        eid_peers:pair(#{kernel => [{net_ticktime, 4}]}),
    Sink = sink(B),
    Pids = senders(A, Sink, 5, 64 * ?KB),
    End = erlang:monotonic_time(millisecond) + 7000,
    stutter(B, End),
    true = eid_peers:is_up(A, B),
    true = eid_peers:is_up(B, A),
    arrived(B, Sink, stop_senders(A, Pids)),
    [NodeB] = eid_peers:call(A, erlang, nodes, []),
    ok.

stutter(B, End) ->
    case erlang:monotonic_time(millisecond) < End of
        true ->
            ok = eid_peers:freeze(B),
            receive after 900 -> ok end,
            ok = eid_peers:thaw(B),
            receive after 5 -> ok end,
            stutter(B, End);
        false ->
            ok
    end.

%% ---------------------------------------------------------------------
%% Closing with data queued
%% ---------------------------------------------------------------------

a_burst_before_disconnect_arrives(_Config) ->
    burst(fun(Node) -> true = erlang:disconnect_node(Node) end).

a_burst_before_halt_arrives(_Config) ->
    burst(fun(_Node) -> erlang:halt() end).

a_burst_before_stop_arrives(_Config) ->
    burst(fun(_Node) -> init:stop() end).

%% Over TCP a close loses what is on its way when something comes in afterwards:
%% inet_tcp loses messages here, eid_tcp reads on.
a_burst_to_a_peer_that_sends_arrives(_Config) ->
    eid_peers:only("eid_tcp"),
    burst(fun(Node) -> true = erlang:disconnect_node(Node) end, fun talk/1).

talk(NodeA) ->
    Talker = spawn(fun() -> talk_on(NodeA, binary:copy(<<"y">>, ?KB)) end),
    register(talker, Talker).

talk_on(NodeA, Payload) ->
    erlang:send({nobody, NodeA}, Payload, [noconnect]),
    talk_on(NodeA, Payload).

%% Sends more than the sockets hold, so that the port has the rest, and ends the
%% connection.
burst(Fun) ->
    burst(Fun, fun(_NodeA) -> true end).

burst(Fun, Meanwhile) ->
    {#{node := NodeA} = A, #{node := NodeB} = B} =
        eid_peers:pair(#{args => ["+zdbbl", "1"],
                         kernel => [{dist_auto_connect, never},
                                    {connect_all, false}]}),
    Sink = sink(B),
    true = eid_peers:run(B, fun() -> Meanwhile(NodeA) end),
    ok = eid_peers:freeze(B),
    #{peer := PeerA} = A,
    Sent = eid_peers:run(A, fun() -> fill(Sink) end),
    ok = peer:cast(PeerA, erlang, apply, [Fun, [NodeB]]),
    ok = eid_peers:thaw(B),
    eid_peers:until(fun() -> not eid_peers:is_up(B, A) end),
    %% The last one may be in the VM's own queue, which it drops.
    eid_peers:until(fun() -> got(B, Sink) >= Sent - 2 end).

%% Sends until nothing more is taken: how many messages.
fill(Sink) ->
    fill(Sink, 0, binary:copy(<<"x">>, 64 * ?KB), 0).

fill(_Sink, N, _Payload, 30) ->
    N;
fill(Sink, N, Payload, Tries) ->
    case erlang:send(Sink, {N + 1, self(), Payload}, [nosuspend]) of
        ok ->
            fill(Sink, N + 1, Payload, 0);
        nosuspend ->
            receive after 10 -> ok end,
            fill(Sink, N, Payload, Tries + 1)
    end.

%% What cannot be sent is given up after five seconds. (Over inet_tcp halt/0
%% waits for as long as the peer is stopped.)
a_stopped_peer_does_not_hold_up_halt(_Config) ->
    eid_peers:only("eid_tcp"),
    {#{os_pid := OsPid, peer := PeerA} = A, B} = eid_peers:pair(),
    Sink = sink(B),
    ok = eid_peers:freeze(B),
    true = eid_peers:run(A, fun() -> fill(Sink) end) > 0,
    ok = peer:cast(PeerA, erlang, halt, []),
    eid_peers:until(fun() -> not filelib:is_dir("/proc/" ++ OsPid) end,
                    7000).

disconnect_frees_waiting_senders(_Config) ->
    {A, #{node := NodeB} = B} = eid_peers:pair(
                                  #{kernel => [{dist_auto_connect, once}]}),
    Sink = sink(B),
    ok = eid_peers:freeze(B),
    Pids = senders(A, Sink, 5, 64 * ?KB),
    all_wait(A, Pids),
    true = eid_peers:call(A, erlang, disconnect_node, [NodeB]),
    eid_peers:until(fun() -> not all_suspended(A, Pids) end, 2000),
    [] = eid_peers:call(A, erlang, nodes, [connected]),
    ok.

other_nodes_are_served_meanwhile(_Config) ->
    [A, B, #{node := NodeC} = C] =
        eid_peers:start_all([#{name => Name} || Name <- ["a", "b", "c"]]),
    ok = eid_peers:connect(A, B),
    ok = eid_peers:connect(A, C),
    Sink = sink(B),
    ok = eid_peers:freeze(B),
    Pids = senders(A, Sink, 5, 64 * ?KB),
    all_wait(A, Pids),
    eid_peers:run(A, fun() ->
                             [NodeC = erpc:call(NodeC, erlang, node, [], 2000)
                              || _ <- lists:seq(1, 1000)]
                     end),
    ok.

%% ---------------------------------------------------------------------
%% Helpers
%% ---------------------------------------------------------------------

sink(Peer) ->
    eid_peers:run(Peer, fun() -> spawn(?MODULE, counter, []) end).

%% Counts what arrives, and fails when it is not in each sender's order.
counter() ->
    sink(0, #{}).

sink(Count, Last) ->
    receive
        {N, From, _Payload} ->
            Before = maps:get(From, Last, 0),
            N =:= Before + 1 orelse error({out_of_order, From, Before, N}),
            sink(Count + 1, Last#{From => N});
        {how_many, From} ->
            From ! {count, Count},
            sink(Count, Last)
    end.

got(Peer, Sink) ->
    eid_peers:run(Peer, fun() ->
                                Sink ! {how_many, self()},
                                receive {count, Count} -> Count
                                after 5000 -> no_sink
                                end
                        end).

arrived(Peer, Sink, Total) ->
    eid_peers:until(fun() -> got(Peer, Sink) =:= Total end),
    ok.

senders(Peer, Sink, Count, Size) ->
    Payload = binary:copy(<<"x">>, Size),
    eid_peers:run(Peer,
                  fun() ->
                          Sent = counters:new(Count + 1, []),
                          persistent_term:put(?MODULE, Sent),
                          [spawn(?MODULE, send_loop,
                                 [Sink, Payload, Sent, N + 1])
                           || N <- lists:seq(1, Count)]
                  end).

%% Counts in the N-th counter, and ends when the first is set.
send_loop(Sink, Payload, Sent, N) ->
    case counters:get(Sent, 1) of
        0 ->
            Sink ! {counters:get(Sent, N) + 1, self(), Payload},
            counters:add(Sent, N, 1),
            send_loop(Sink, Payload, Sent, N);
        1 ->
            ok
    end.

%% How many they have sent in all.
sent(Peer, Pids) ->
    eid_peers:run(Peer, fun() ->
                                Sent = persistent_term:get(?MODULE),
                                lists:sum([counters:get(Sent, N + 1)
                                           || N <- lists:seq(1, length(Pids))])
                        end).

%% Ends them when what they have in hand is sent: how many they have sent.
stop_senders(Peer, Pids) ->
    eid_peers:run(Peer, fun() ->
                                Monitors = [monitor(process, Pid)
                                            || Pid <- Pids],
                                counters:put(persistent_term:get(?MODULE), 1,
                                             1),
                                [receive {'DOWN', Monitor, _, _, _} -> ok end
                                 || Monitor <- Monitors]
                        end),
    sent(Peer, Pids).

%% Until all wait, and still do a while later. (What the peer's socket can hold
%% lets some go on.)
all_wait(Peer, Pids) ->
    eid_peers:until(fun() ->
                            Sent = sent(Peer, Pids),
                            receive after 300 -> ok end,
                            all_suspended(Peer, Pids)
                                andalso sent(Peer, Pids) =:= Sent
                    end).

all_suspended(Peer, Pids) ->
    eid_peers:run(Peer, fun() ->
                                lists:all(fun(Pid) ->
                                                  process_info(Pid, status)
                                                      =:= {status, suspended}
                                          end, Pids)
                        end).
