%% SPDX-License-Identifier: Apache-2.0

%% The rows of the benchmark, as they run in the node that measures.
%%
%% bench/run writes one request a line to standard input, a term
%% {Row, Peer, Milliseconds}, and gets two lines: `begin' when all is warm and
%% waits for a line `go.', then the result, a flat JSON object. Times in it
%% are microseconds.
-module(eid_bench).

-export([serve/0, crowd/0]).

%% Spawned, here and on the other node
-export([sink/2, echo/0, stream_loop/5, flood_loop/3]).

%% Called by gen_server
-export([init/1, handle_call/3, handle_cast/2]).

-type result() :: [{atom(), number()}].

-define(KB, 1024).
-define(MB, (1024 * 1024)).

%% Messages under way at once in the rows `stream_*' and `both_*', and how
%% often the receiver says how far it is.
-define(WINDOW, 4096).
-define(ACK_EVERY, 1024).

-define(NO_ACK, (1 bsl 50)).

-define(WARM_UP_MS, 300).
-define(PING_WARM_UP, 500).

%% ---------------------------------------------------------------------
%% Requests
%% ---------------------------------------------------------------------

-spec serve() -> no_return().
serve() ->
    say("ready"),
    loop(fun({Row, Peer, Milliseconds}) ->
                 connected(Row, Peer),
                 run(Row, Peer, Milliseconds)
         end).

%% The other end of many connections: {Ip, Port, Node, Cookie} and how many.
-spec crowd() -> no_return().
crowd() ->
    say("ready"),
    loop(fun({connect, Count, Burst, Hub}) ->
                 eid_bench_crowd:connect(Count, Burst, Hub);
            (stop) ->
                 halt()
         end).

-spec loop(fun((term()) -> result())) -> no_return().
loop(Serve) ->
    case io:read('') of
        {ok, Request} ->
            say(json(Serve(Request))),
            loop(Serve);
        _ ->
            halt()
    end.

-spec say(iodata()) -> ok.
say(Line) ->
    io:put_chars([Line, "\n"]).

-spec json(result()) -> iolist().
json(Result) ->
    ["{", lists:join(", ", [io_lib:format("\"~s\": ~w", [Key, Value])
                            || {Key, Value} <- Result]), "}"].

%% Tells bench/run that what is measured begins now, and waits for it to have
%% read its clocks.
-spec begin_measuring() -> integer().
begin_measuring() ->
    say("begin"),
    {ok, go} = io:read(''),
    now_us().

-spec now_us() -> integer().
now_us() ->
    erlang:monotonic_time(microsecond).

-spec connected(atom(), node()) -> ok.
connected(connect, _Peer) ->
    ok;
connected(hub, _Peer) ->
    ok;
connected(_Row, Peer) ->
    true = net_kernel:connect_node(Peer),
    ok.

-spec run(atom(), node(), pos_integer()) -> result().
run(stream_64, Peer, Ms) -> stream([node()], Peer, 64, Ms);
run(stream_1k, Peer, Ms) -> stream([node()], Peer, ?KB, Ms);
run(stream_16k, Peer, Ms) -> stream([node()], Peer, 16 * ?KB, Ms);
run(both_64, Peer, Ms) -> stream([node(), Peer], Peer, 64, Ms);
run(flood_64, Peer, Ms) -> flood(Peer, 64, 1, Ms);
run(flood_64_16, Peer, Ms) -> flood(Peer, 64, 16, Ms);
run(flood_1k, Peer, Ms) -> flood(Peer, ?KB, 1, Ms);
run(call_64, Peer, Ms) -> calls(gen_server, 64, Peer, Ms);
run(call_1000, Peer, Ms) -> calls(gen_server, 1000, Peer, Ms);
run(erpc_64, Peer, Ms) -> calls(erpc, 64, Peer, Ms);
run(erpc_1000, Peer, Ms) -> calls(erpc, 1000, Peer, Ms);
run(binary_64k, Peer, Ms) -> binaries(Peer, 64 * ?KB, 64, Ms);
run(binary_1m, Peer, Ms) -> binaries(Peer, ?MB, 8, Ms);
run(binary_16m, Peer, Ms) -> binaries(Peer, 16 * ?MB, 2, Ms);
run(round_trip, Peer, Ms) -> round_trip(Peer, Ms);
run(head_of_line, Peer, Ms) -> head_of_line(Peer, Ms);
run(connect, Peer, Ms) -> connect(Peer, Ms);
run(slow_receiver, Peer, Ms) -> slow_receiver(Peer, Ms);
run(hub, _Peer, _Ms) -> hub().

%% ---------------------------------------------------------------------
%% Streams with a window, and floods without
%% ---------------------------------------------------------------------

%% One stream from each of the nodes to the other.
-spec stream([node()], node(), pos_integer(), pos_integer()) -> result().
stream(From, Peer, Size, Ms) ->
    _ = streams(From, Peer, Size, ?WARM_UP_MS, fun now_us/0),
    streams(From, Peer, Size, Ms, fun begin_measuring/0).

-spec streams([node()], node(), pos_integer(), pos_integer(),
              fun(() -> integer())) -> result().
streams(From, Peer, Size, Ms, Begin) ->
    Senders = [spawn_link(Node, ?MODULE, stream_loop,
                          [self(), other(Node, Peer), Size, ?WINDOW,
                           ?ACK_EVERY])
               || Node <- From],
    [receive {ready, Sender} -> ok end || Sender <- Senders],
    Start = Begin(),
    [Sender ! {send, Ms} || Sender <- Senders],
    Counts = [receive {sent, Sender, Count} -> Count end
              || Sender <- Senders],
    [{ops, lists:sum(Counts)}, {time, now_us() - Start}].

-spec other(node(), node()) -> node().
other(Node, Peer) when Node =:= node(Peer) -> node();
other(Node, Peer) when Node =:= Peer -> node();
other(_Node, Peer) -> Peer.

%% Sends for so long with at most Window messages that the sink has not told
%% of, then waits until it has told of all.
-spec stream_loop(pid(), node(), pos_integer(), pos_integer(),
                  pos_integer()) -> ok.
stream_loop(Parent, Peer, Size, Window, AckEvery) ->
    Sink = spawn_link(Peer, ?MODULE, sink, [self(), AckEvery]),
    receive {Sink, ready} -> ok end,
    Parent ! {ready, self()},
    receive {send, Ms} -> ok end,
    End = now_us() + Ms * 1000,
    Payload = payload(Size),
    Count = stream_until(End, Sink, Payload, Window, AckEvery, 0),
    Parent ! {sent, self(), Count},
    unlink(Sink),
    Sink ! stop,
    ok.

stream_until(End, Sink, Payload, 0, AckEvery, Count) ->
    receive {Sink, ack} -> ok end,
    case now_us() < End of
        true ->
            stream_until(End, Sink, Payload, AckEvery, AckEvery, Count);
        false ->
            all_acked(Sink, AckEvery, Count),
            Count
    end;
stream_until(End, Sink, Payload, Credit, AckEvery, Count) ->
    Sink ! Payload,
    stream_until(End, Sink, Payload, Credit - 1, AckEvery, Count + 1).

%% The window was full, and one ack of it has come.
all_acked(Sink, AckEvery, Count) ->
    Left = min(?WINDOW, Count) div AckEvery - 1,
    [receive {Sink, ack} -> ok end || _ <- lists:seq(1, Left)].

%% Takes messages, and says so after every AckEvery of them.
-spec sink(pid(), pos_integer()) -> ok.
sink(Sender, AckEvery) ->
    Sender ! {self(), ready},
    sink(Sender, AckEvery, AckEvery, 0).

sink(Sender, 0, AckEvery, Total) ->
    Sender ! {self(), ack},
    sink(Sender, AckEvery, AckEvery, Total);
sink(Sender, Left, AckEvery, Total) ->
    receive
        {total, From} ->
            From ! {self(), Total},
            sink(Sender, Left, AckEvery, Total);
        stop ->
            ok;
        _Payload ->
            sink(Sender, Left - 1, AckEvery, Total + 1)
    end.

%% As many as the carrier takes; all have arrived at the end.
-spec flood(node(), pos_integer(), pos_integer(), pos_integer()) -> result().
flood(Peer, Size, Senders, Ms) ->
    Sink = spawn_sink(Peer, ?NO_ACK),
    _ = floods(Sink, Size, Senders, ?WARM_UP_MS, fun now_us/0),
    floods(Sink, Size, Senders, Ms, fun begin_measuring/0).

-spec floods(pid(), pos_integer(), pos_integer(), pos_integer(),
             fun(() -> integer())) -> result().
floods(Sink, Size, Senders, Ms, Begin) ->
    Before = total(Sink),
    Start = Begin(),
    End = now_us() + Ms * 1000,
    Monitors = [spawn_monitor(?MODULE, flood_loop, [Sink, payload(Size), End])
                || _ <- lists:seq(1, Senders)],
    [receive {'DOWN', Monitor, _, _, normal} -> ok end
     || {_, Monitor} <- Monitors],
    %% It has taken all that was sent before when it answers this, for one
    %% sender; with more of them, what is in the queue went before as well.
    Count = total(Sink) - Before,
    [{ops, Count}, {time, now_us() - Start}].

-spec flood_loop(pid(), term(), integer()) -> ok.
flood_loop(Sink, Payload, End) ->
    [Sink ! Payload || _ <- lists:seq(1, 100)],
    case now_us() < End of
        true -> flood_loop(Sink, Payload, End);
        false -> ok
    end.

-spec spawn_sink(node(), pos_integer()) -> pid().
spawn_sink(Peer, AckEvery) ->
    Sink = spawn_link(Peer, ?MODULE, sink, [self(), AckEvery]),
    receive {Sink, ready} -> Sink end.

-spec total(pid()) -> non_neg_integer().
total(Sink) ->
    Sink ! {total, self()},
    receive {Sink, Total} when is_integer(Total) -> Total end.

-spec payload(pos_integer()) -> binary().
payload(Size) ->
    binary:copy(<<"x">>, Size).

%% Binaries with so many of them under way.
-spec binaries(node(), pos_integer(), pos_integer(), pos_integer()) ->
          result().
binaries(Peer, Size, Window, Ms) ->
    Sink = spawn_sink(Peer, 1),
    Payload = payload(Size),
    _ = bulk(Sink, Payload, Window, now_us() + ?WARM_UP_MS * 1000),
    Start = begin_measuring(),
    Count = bulk(Sink, Payload, Window, Start + Ms * 1000),
    Time = now_us() - Start,
    [{ops, Count}, {bytes, Count * Size}, {time, Time}].

-spec bulk(pid(), binary(), pos_integer(), integer()) -> pos_integer().
bulk(Sink, Payload, Window, End) ->
    [Sink ! Payload || _ <- lists:seq(1, Window)],
    bulk(Sink, Payload, Window, End, Window).

bulk(Sink, Payload, Window, End, Count) ->
    receive {Sink, ack} -> ok end,
    case now_us() < End of
        true ->
            Sink ! Payload,
            bulk(Sink, Payload, Window, End, Count + 1);
        false ->
            [receive {Sink, ack} -> ok end || _ <- lists:seq(2, Window)],
            Count
    end.

%% ---------------------------------------------------------------------
%% Calls
%% ---------------------------------------------------------------------

-spec calls(gen_server | erpc, pos_integer(), node(), pos_integer()) ->
          result().
calls(Kind, Callers, Peer, Ms) ->
    Call = caller(Kind, Peer),
    _ = call_all(Call, Callers, now_us() + ?WARM_UP_MS * 1000),
    Start = begin_measuring(),
    Count = call_all(Call, Callers, Start + Ms * 1000),
    [{ops, Count}, {time, now_us() - Start}].

-spec caller(gen_server | erpc, node()) -> fun(() -> term()).
caller(gen_server, Peer) ->
    {ok, Server} = erpc:call(Peer, gen_server, start, [?MODULE, [], []]),
    fun() -> ok = gen_server:call(Server, ping, infinity) end;
caller(erpc, Peer) ->
    fun() -> Peer = erpc:call(Peer, erlang, node, []) end.

-spec call_all(fun(() -> term()), pos_integer(), integer()) ->
          non_neg_integer().
call_all(Call, Callers, End) ->
    Pids = [spawn_monitor(fun() -> exit({count, call_until(Call, End, 0)}) end)
            || _ <- lists:seq(1, Callers)],
    lists:sum([receive {'DOWN', Monitor, _, _, {count, Count}} -> Count end
               || {_, Monitor} <- Pids]).

call_until(Call, End, Count) ->
    Call(),
    case now_us() < End of
        true -> call_until(Call, End, Count + 1);
        false -> Count + 1
    end.

init([]) ->
    {ok, none}.

handle_call(ping, _From, State) ->
    {reply, ok, State}.

handle_cast(_Request, State) ->
    {noreply, State}.

%% ---------------------------------------------------------------------
%% Latency
%% ---------------------------------------------------------------------

-spec round_trip(node(), pos_integer()) -> result().
round_trip(Peer, Ms) ->
    Echo = spawn_link(Peer, ?MODULE, echo, []),
    [ping(Echo) || _ <- lists:seq(1, ?PING_WARM_UP)],
    Start = begin_measuring(),
    Times = pings(Echo, Start + Ms * 1000, []),
    [{ops, length(Times)}, {time, now_us() - Start} | quantiles(Times)].

%% Round trips while 64 MB binaries flow on the same connection, two of them
%% under way.
-spec head_of_line(node(), pos_integer()) -> result().
head_of_line(Peer, Ms) ->
    Echo = spawn_link(Peer, ?MODULE, echo, []),
    Parent = self(),
    Payload = payload(64 * ?MB),
    Bulk = spawn_link(fun() ->
                              Sink = spawn_sink(Peer, 1),
                              bulk_loop(Parent, Sink, Payload)
                      end),
    _ = pings(Echo, now_us() + 1000 * ?WARM_UP_MS, []),
    Before = bytes(Bulk),
    Start = begin_measuring(),
    Times = pings(Echo, Start + Ms * 1000, []),
    Bytes = bytes(Bulk) - Before,
    Time = now_us() - Start,
    [{ops, length(Times)}, {bytes, Bytes}, {time, Time} | quantiles(Times)].

bulk_loop(Parent, Sink, Payload) ->
    [Sink ! Payload || _ <- [1, 2]],
    bulk_loop(Parent, Sink, Payload, 0).

bulk_loop(Parent, Sink, Payload, Acked) ->
    receive
        {Sink, ack} ->
            Sink ! Payload,
            bulk_loop(Parent, Sink, Payload, Acked + 1);
        bytes ->
            Parent ! {self(), Acked * byte_size(Payload)},
            bulk_loop(Parent, Sink, Payload, Acked)
    end.

-spec bytes(pid()) -> non_neg_integer().
bytes(Bulk) ->
    Bulk ! bytes,
    receive {Bulk, Bytes} -> Bytes end.

-spec echo() -> no_return().
echo() ->
    receive
        {Pid, Ref} -> Pid ! Ref
    end,
    echo().

%% In nanoseconds.
-spec ping(pid()) -> integer().
ping(Echo) ->
    Ref = make_ref(),
    Start = erlang:monotonic_time(nanosecond),
    Echo ! {self(), Ref},
    receive Ref -> ok end,
    erlang:monotonic_time(nanosecond) - Start.

pings(Echo, End, Times) ->
    Time = ping(Echo),
    case now_us() < End of
        true -> pings(Echo, End, [Time | Times]);
        false -> [Time | Times]
    end.

-spec quantiles([integer()]) -> result().
quantiles(Times) ->
    Sorted = list_to_tuple(lists:sort(Times)),
    [{Name, element(1 + trunc(Part * (tuple_size(Sorted) - 1)), Sorted)
      / 1000}
     || {Name, Part} <- [{p50, 0.5}, {p99, 0.99}]].

%% ---------------------------------------------------------------------
%% Connections
%% ---------------------------------------------------------------------

%% The median time to connect and to disconnect. In between is a pause, for
%% the other side to have seen the end.
-spec connect(node(), pos_integer()) -> result().
connect(Peer, Ms) ->
    _ = [connect_once(Peer) || _ <- lists:seq(1, 5)],
    Start = begin_measuring(),
    Times = connects(Peer, Start + Ms * 1000, []),
    [{ops, length(Times)}, {time, now_us() - Start} | quantiles(Times)].

connects(Peer, End, Times) ->
    Time = connect_once(Peer),
    case now_us() < End of
        true -> connects(Peer, End, [Time | Times]);
        false -> [Time | Times]
    end.

connect_once(Peer) ->
    Start = erlang:monotonic_time(nanosecond),
    true = net_kernel:connect_node(Peer),
    Connected = erlang:monotonic_time(nanosecond),
    receive after 10 -> ok end,
    Again = erlang:monotonic_time(nanosecond),
    true = erlang:disconnect_node(Peer),
    Down = erlang:monotonic_time(nanosecond),
    receive after 10 -> ok end,
    Connected - Start + Down - Again.

%% Keeps sending to a node that bench/run stops meanwhile, then waits until
%% all that was sent has arrived.
-spec slow_receiver(node(), pos_integer()) -> result().
slow_receiver(Peer, Ms) ->
    Sink = spawn_sink(Peer, ?NO_ACK),
    floods(Sink, 64 * ?KB, 16, Ms, fun begin_measuring/0).

%% For the connections of a crowd: everything that is garbage goes.
-spec hub() -> result().
hub() ->
    [garbage_collect(Pid) || Pid <- processes()],
    [{connections, length(nodes(connected))},
     {memory, erlang:memory(total)}].
