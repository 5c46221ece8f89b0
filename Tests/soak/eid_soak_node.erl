%% SPDX-License-Identifier: Apache-2.0

%% The load of one node of the soak: streams of numbered messages to each other
%% node, and requests of all kinds; and what it finds wrong with those that
%% come in. eid_soak steers it over standard I/O.
-module(eid_soak_node).

-export([start/2, receivers/0, start_load/2, phase/1, mark/0, reached/1,
         collect/0, disconnect/1, downs/1, is_connected/1, sample/0,
         report/0, streams/0, requests/0]).

%% Run in other nodes, or put into messages
-export([sum/1, give_back/1, leave/1, wait/0]).
-export([init/1, handle_call/3, handle_cast/2]).

-behaviour(gen_server).

-export_type([stream/0, fault/0, sample/0, report/0]).

-type stream() :: small | medium | large | terms.

%% What the self-test has this node do wrong.
-type fault() :: lost | twice | order | content | answer | load | log
               | forgotten | growth.

-type sample() :: #{atom() => non_neg_integer()}.

-type report() :: #{messages := non_neg_integer(),
                    bytes := non_neg_integer(),
                    requests := non_neg_integer(),
                    excused := non_neg_integer(),
                    gone := non_neg_integer(),
                    downs := #{node() => non_neg_integer()},
                    reasons := #{term() => non_neg_integer()},
                    streams := #{{node(), stream()} => non_neg_integer()},
                    kinds := #{{node(), atom()} => non_neg_integer()},
                    wrong := #{atom() => pos_integer()},
                    examples := [{atom(), string()}]}.

%% The sender of a stream.
-record(tx, {to :: node(),
             receiver :: pid() | {atom(), node()},
             stream :: stream(),
             faults :: [fault()],
             phase = stop :: stop | full | trickle,
             sent = 0 :: non_neg_integer(),
             acked = 0 :: non_neg_integer(),
             burst = 0 :: non_neg_integer()}).

%% Its receiver. gap: whether the connection has been down since the last
%% message.
-record(rx, {from :: node(),
             stream :: stream(),
             expected = 1 :: pos_integer(),
             gap = false :: boolean(),
             missing = [] :: [{pos_integer(), pos_integer()}]}).

-define(BASE_BYTES, (16 * 1024 * 1024)).
%% More than an atom cache of a connection holds (2048).
-define(ATOMS, 3000).
-define(REQUEST_MS, 40000).
-define(WAITS_MS, 5000).
%% How long after a failure the nodedown that explains it may be told.
-define(EXPLAINED_MS, 10000).
%% A sender sends on after that although nothing was acknowledged: all that was
%% on its way may have gone with a connection that never came about.
-define(SILENCE_MS, 3000).

%% Counters
-define(MESSAGES, 1).
-define(BYTES, 2).
-define(REQUESTS, 3).
-define(EXCUSED, 4).
-define(GONE, 5).

-spec streams() -> [stream()].
streams() ->
    [small, medium, large, terms].

-spec requests() -> [atom()].
requests() ->
    [erpc, rpc, call, cast, spawn_monitor, spawn_link, kill, monitor, unlink,
     noproc, spawn_request, multicall, alias].

%% ---------------------------------------------------------------------
%% For who steers
%% ---------------------------------------------------------------------

%% Starts what receives from these nodes.
-spec start([node()], [fault()]) -> ok.
start(Others, Faults) ->
    persistent_term:put({?MODULE, counters},
                        counters:new(5, [write_concurrency])),
    persistent_term:put({?MODULE, base}, rand:bytes(?BASE_BYTES)),
    persistent_term:put({?MODULE, atoms},
                        list_to_tuple(
                          [list_to_atom("soak_" ++ integer_to_list(Number))
                           || Number <- lists:seq(1, ?ATOMS)])),
    Caller = self(),
    Ready = make_ref(),
    _ = spawn(fun() ->
                      ?MODULE = ets:new(?MODULE, [named_table, public]),
                      ok = net_kernel:monitor_nodes(true, [nodedown_reason]),
                      Caller ! Ready,
                      tally()
              end),
    receive Ready -> ok end,
    {ok, _} = gen_server:start({local, ?MODULE}, ?MODULE, [], []),
    Receivers = [{{From, Stream}, start_receiver(From, Stream)}
                 || From <- Others, Stream <- streams()],
    persistent_term:put({?MODULE, receivers}, maps:from_list(Receivers)),
    lists:member(growth, Faults) andalso spawn(fun() -> grow([]) end),
    %% Loads what logging needs now, not in the middle.
    logger:notice("the load ~0p begins", [?MODULE]),
    lists:member(log, Faults)
        andalso logger:error("this is what the self-test looks for"),
    lists:member(forgotten, Faults)
        andalso [logger:warning("eid: cannot connect to ~s: it accepted the "
                                "connection but did not finish the handshake",
                                [Other]) || Other <- Others],
    ok.

-spec receivers() -> #{{node(), stream()} => pid()}.
receivers() ->
    persistent_term:get({?MODULE, receivers}).

%% Starts the senders to the receivers of other nodes, and the requests; they
%% rest until told.
-spec start_load([{node(), #{{node(), stream()} => pid()}}], [fault()]) -> ok.
start_load(Others, Faults) ->
    Senders = [spawn(fun() -> start_sender(Node, Stream, Pids, Faults) end)
               || {Node, Pids} <- Others, Stream <- streams()],
    Kinds = case lists:member(load, Faults) of
                true -> tl(requests());
                false -> requests()
            end,
    Requesters = [spawn(fun() -> requester(Node, stop, Kinds, [], Faults) end)
                  || {Node, _} <- Others, _ <- [1, 2]],
    persistent_term:put({?MODULE, senders}, Senders),
    persistent_term:put({?MODULE, workers}, Senders ++ Requesters).

%% Returns when all have heeded it: then nobody is at it any more.
-spec phase(full | trickle | stop) -> ok.
phase(Phase) ->
    _ = ask(workers, {phase, Phase}),
    ok.

%% Has each sender send one more message: the numbers of these.
-spec mark() -> [{node(), stream(), pos_integer()}].
mark() ->
    ask(senders, mark).

-spec ask(workers | senders, term()) -> [term()].
ask(Whom, What) ->
    Asked = [begin
                 Monitor = monitor(process, Pid),
                 Pid ! {?MODULE, self(), Monitor, What},
                 Monitor
             end || Pid <- persistent_term:get({?MODULE, Whom})],
    [receive
         {Monitor, Answer} -> true = demonitor(Monitor, [flush]), Answer;
         {'DOWN', Monitor, _, _, Reason} -> error({died, Reason})
     end || Monitor <- Asked].

%% What of these marks (by this node's receivers) has not come.
-spec reached([{node(), stream(), pos_integer()}]) ->
          [{node(), stream(), pos_integer(), pos_integer()}].
reached(Marks) ->
    [{From, Stream, Mark, Expected}
     || {From, Stream, Mark} <- Marks,
        Expected <- [expected(maps:get({From, Stream}, receivers()))],
        Expected =< Mark].

-spec expected(pid()) -> pos_integer().
expected(Receiver) ->
    Monitor = monitor(process, Receiver),
    Receiver ! {expected, self(), Monitor},
    receive
        {Monitor, Expected} -> true = demonitor(Monitor, [flush]), Expected;
        {'DOWN', Monitor, _, _, Reason} -> error({died, Reason})
    end.

%% So that what is measured at rest is no garbage.
-spec collect() -> ok.
collect() ->
    _ = [garbage_collect(Pid) || Pid <- processes()],
    ok.

-spec disconnect(node()) -> boolean().
disconnect(Node) ->
    erlang:disconnect_node(Node) =:= true.

%% How often the node has been told that Node is down.
-spec downs(node()) -> non_neg_integer().
downs(Node) ->
    case ets:lookup(?MODULE, {down, Node}) of
        [{_, Count}] -> Count;
        [] -> 0
    end.

-spec is_connected(node()) -> boolean().
is_connected(Node) ->
    lists:member(Node, nodes(connected)).

-spec sample() -> sample().
sample() ->
    Memory = erlang:memory([total, binary, processes]),
    #{total => proplists:get_value(total, Memory),
      binary => proplists:get_value(binary, Memory),
      driver => blocks(driver_alloc),
      ports => length(erlang:ports()),
      processes => length(processes()),
      atoms => erlang:system_info(atom_count),
      messages => count(?MESSAGES),
      bytes => count(?BYTES)}.

%% The bytes in use that this allocator has given out.
-spec blocks(atom()) -> non_neg_integer().
blocks(Allocator) ->
    lists:sum([element(2, Size)
               || {instance, _, Pools}
                      <- erlang:system_info({allocator_sizes, Allocator}),
                  {_, Pool} <- Pools,
                  {blocks, Types} <- Pool,
                  {_, Sizes} <- Types,
                  Size <- Sizes,
                  element(1, Size) =:= size]).

-spec report() -> report().
report() ->
    All = ets:tab2list(?MODULE),
    Named = fun(Kind) ->
                    maps:from_list([{Key, Count}
                                    || {{K, Key}, Count} <- All, K =:= Kind])
            end,
    #{messages => count(?MESSAGES), bytes => count(?BYTES),
      requests => count(?REQUESTS), excused => count(?EXCUSED),
      gone => count(?GONE),
      downs => Named(down), reasons => Named(reason),
      streams => Named(stream), kinds => Named(kind),
      wrong => Named(wrong),
      examples => [{Check, Text}
                   || {{example, Check, _}, Text} <- lists:sort(All)]}.

%% ---------------------------------------------------------------------
%% Keeping count
%% ---------------------------------------------------------------------

%% Owns the table, and counts the nodedowns.
-spec tally() -> no_return().
tally() ->
    receive
        {nodedown, Node, Info} ->
            Reason = proplists:get_value(nodedown_reason, Info),
            _ = add({reason, Reason}, 1),
            _ = add({down, Node}, 1),
            tally();
        _ ->
            tally()
    end.

-spec add(term(), pos_integer()) -> pos_integer().
add(Key, Count) ->
    ets:update_counter(?MODULE, Key, Count, {Key, 0}).

-spec add_to(pos_integer(), non_neg_integer()) -> ok.
add_to(Counter, Count) ->
    counters:add(persistent_term:get({?MODULE, counters}), Counter, Count).

-spec count(pos_integer()) -> non_neg_integer().
count(Counter) ->
    counters:get(persistent_term:get({?MODULE, counters}), Counter).

%% Something is wrong: counted, and the first few are told.
-spec wrong(atom(), io:format(), [term()]) -> ok.
wrong(Check, Format, Arguments) ->
    case add({wrong, Check}, 1) of
        Few when Few =< 3 ->
            Text = io_lib:format("~s: " ++ Format, [node() | Arguments]),
            Short = string:slice(Text, 0, 400),
            true = ets:insert(?MODULE, {{example, Check, Few},
                                        unicode:characters_to_list(Short)}),
            ok;
        _ ->
            ok
    end.

%% ---------------------------------------------------------------------
%% Senders
%% ---------------------------------------------------------------------

-spec start_sender(node(), stream(), #{{node(), stream()} => pid()},
                   [fault()]) -> no_return().
start_sender(Node, Stream, Pids, Faults) ->
    ok = net_kernel:monitor_nodes(true),
    Receiver = case Stream of
                   small -> {receiver_name(node(), Stream), Node};
                   _ -> maps:get({node(), Stream}, Pids)
               end,
    sender(#tx{to = Node, receiver = Receiver, stream = Stream,
               faults = Faults}).

-spec sender(#tx{}) -> no_return().
sender(Tx) ->
    receive
        Message -> sender(heed(Message, Tx))
    after delay(Tx) ->
            sender(send_burst(Tx))
    end.

-spec heed(term(), #tx{}) -> #tx{}.
heed({?MODULE, From, Ref, {phase, Phase}}, Tx) ->
    From ! {Ref, ok},
    Tx#tx{phase = Phase};
heed({?MODULE, From, Ref, mark}, Tx) ->
    Marked = send_one(Tx#tx{faults = []}),
    From ! {Ref, {Tx#tx.to, Tx#tx.stream, Marked#tx.sent}},
    Marked#tx{faults = Tx#tx.faults};
heed({ack, Number}, Tx) ->
    Tx#tx{acked = max(Number, Tx#tx.acked)};
heed({nodedown, Node}, #tx{to = Node} = Tx) ->
    Tx#tx{acked = Tx#tx.sent};
heed(_, Tx) ->
    Tx.

-spec delay(#tx{}) -> timeout().
delay(#tx{phase = stop}) ->
    infinity;
delay(#tx{phase = trickle}) ->
    100 + rand:uniform(300);
delay(#tx{stream = Stream, sent = Sent, acked = Acked, burst = Burst}) ->
    {Window, _, Pause} = pace(Stream),
    if Sent - Acked >= Window -> ?SILENCE_MS;
       Burst =:= 0 -> rand:uniform(Pause);
       true -> 0
    end.

%% How many may be unacknowledged; how many go at once, at most; and the
%% longest pause between, in ms. A burst of small ones, or one large one, is
%% more than a port takes before it is busy.
-spec pace(stream()) -> {pos_integer(), pos_integer(), pos_integer()}.
pace(small) -> {6000, 6000, 1200};
pace(medium) -> {300, 150, 400};
pace(large) -> {4, 3, 2500};
pace(terms) -> {200, 40, 300}.

-spec send_burst(#tx{}) -> #tx{}.
send_burst(#tx{burst = 0, phase = full} = Tx) ->
    {_, Most, _} = pace(Tx#tx.stream),
    send_one(Tx#tx{burst = rand:uniform(Most) - 1});
send_burst(#tx{burst = Burst} = Tx) ->
    send_one(Tx#tx{burst = max(0, Burst - 1)}).

-spec send_one(#tx{}) -> #tx{}.
send_one(#tx{stream = Stream, sent = Sent, faults = Faults} = Tx) ->
    Number = Sent + 1,
    Message = message(Number, Stream),
    case lists:member(fault(Stream), Faults) andalso Number rem 53 =:= 7 of
        true when Stream =:= small ->
            send(Message, Tx),
            send(Message, Tx),
            Tx#tx{sent = Number};
        true when Stream =:= medium ->
            Tx#tx{sent = Number};
        true when Stream =:= terms ->
            send(message(Number + 1, Stream), Tx),
            send(Message, Tx),
            Tx#tx{sent = Number + 1};
        true ->
            send(setelement(4, Message, 1 + element(4, Message)), Tx),
            Tx#tx{sent = Number};
        false ->
            send(Message, Tx),
            Tx#tx{sent = Number}
    end.

%% The fault that is made in this stream.
-spec fault(stream()) -> fault().
fault(small) -> twice;
fault(medium) -> lost;
fault(large) -> content;
fault(terms) -> order.

-spec send(tuple(), #tx{}) -> ok.
send(Message, #tx{receiver = Receiver}) ->
    _ = erlang:send(Receiver, Message),
    ok.

-spec message(pos_integer(), stream()) -> tuple().
message(Number, Stream) ->
    Payload = payload(Stream),
    {message, self(), Number, sum(Payload), Payload}.

%% ---------------------------------------------------------------------
%% Receivers
%% ---------------------------------------------------------------------

-spec receiver_name(node(), stream()) -> atom().
receiver_name(From, Stream) ->
    list_to_atom(lists:concat([?MODULE, "_", Stream, "_", From])).

-spec start_receiver(node(), stream()) -> pid().
start_receiver(From, Stream) ->
    Caller = self(),
    Pid = spawn(fun() ->
                        true = register(receiver_name(From, Stream), self()),
                        %% The VM tells of a nodedown after all that came over
                        %% the connection, and of a nodeup before it.
                        ok = net_kernel:monitor_nodes(true),
                        Caller ! {self(), ready},
                        receiver(#rx{from = From, stream = Stream})
                end),
    receive {Pid, ready} -> Pid end.

-spec receiver(#rx{}) -> no_return().
receiver(Rx) ->
    receive
        {message, Sender, Number, Sum, Payload} ->
            check_content(Number, Sum, Payload, Rx),
            Number rem every(Rx#rx.stream) =:= 0
                andalso (Sender ! {ack, Number}),
            add_to(?MESSAGES, 1),
            add_to(?BYTES, bytes(Payload)),
            receiver(check_number(Number, Rx));
        {expected, From, Ref} ->
            _ = ets:insert(?MODULE, {{stream, {Rx#rx.from, Rx#rx.stream}},
                                     Rx#rx.expected - 1}),
            From ! {Ref, Rx#rx.expected},
            receiver(Rx);
        {nodedown, Node} when Node =:= Rx#rx.from ->
            receiver(Rx#rx{gap = true});
        {NodeEvent, _} when NodeEvent =:= nodeup; NodeEvent =:= nodedown ->
            receiver(Rx);
        Other ->
            wrong(content, "from ~s (~s): no message of ours: ~0P",
                  [Rx#rx.from, Rx#rx.stream, Other, 20]),
            receiver(Rx)
    end.

%% Every how many messages are acknowledged.
-spec every(stream()) -> pos_integer().
every(small) -> 500;
every(medium) -> 25;
every(large) -> 1;
every(terms) -> 10.

-spec check_number(pos_integer(), #rx{}) -> #rx{}.
check_number(Number, #rx{expected = Number} = Rx) ->
    Rx#rx{expected = Number + 1, gap = false};
check_number(Number, #rx{expected = Expected, gap = true} = Rx)
  when Number > Expected ->
    add_to(?GONE, Number - Expected),
    Rx#rx{expected = Number + 1, gap = false};
check_number(Number, #rx{expected = Expected, missing = Missing} = Rx)
  when Number > Expected ->
    wrong(lost, "from ~s (~s): ~w after ~w, without a nodedown",
          [Rx#rx.from, Rx#rx.stream, Number, Expected - 1]),
    Rx#rx{expected = Number + 1,
          missing = lists:sublist([{Expected, Number - 1} | Missing], 100)};
check_number(Number, #rx{expected = Expected, missing = Missing} = Rx) ->
    Check = case [Gap || {First, Last} = Gap <- Missing, First =< Number,
                         Number =< Last] of
                [_ | _] -> order;
                [] -> twice
            end,
    wrong(Check, "from ~s (~s): ~w after ~w",
          [Rx#rx.from, Rx#rx.stream, Number, Expected - 1]),
    Rx.

-spec check_content(pos_integer(), integer(), term(), #rx{}) -> ok.
check_content(Number, Sum, Payload, #rx{from = From, stream = Stream}) ->
    case sum(Payload) of
        Sum ->
            ok;
        Other ->
            wrong(content, "from ~s (~s): number ~w has checksum ~w, not ~w",
                  [From, Stream, Number, Other, Sum])
    end.

%% ---------------------------------------------------------------------
%% What is sent
%% ---------------------------------------------------------------------

-spec sum(term()) -> non_neg_integer().
sum(Binary) when is_binary(Binary) -> erlang:crc32(Binary);
sum({pieces, Binaries}) -> erlang:crc32(Binaries);
sum(Term) -> erlang:phash2(Term, 1 bsl 32).

-spec bytes(term()) -> non_neg_integer().
bytes(Binary) when is_binary(Binary) -> byte_size(Binary);
bytes({pieces, Binaries}) -> iolist_size(Binaries);
bytes(Term) -> erlang:external_size(Term).

-spec payload(stream()) -> term().
payload(small) ->
    case rand:uniform(6) of
        1 -> <<>>;
        2 -> [];
        3 -> rand:uniform(1 bsl 40);
        4 -> atom();
        5 -> slice(rand:uniform(64));
        6 -> binary:copy(slice(rand:uniform(300)))
    end;
payload(medium) ->
    case rand:uniform(4) of
        1 -> {pieces, [slice(rand:uniform(2000))
                       || _ <- lists:seq(1, rand:uniform(60))]};
        2 -> binary:copy(slice(size_between(64, 65536)));
        _ -> slice(size_between(64, 65536))
    end;
payload(large) ->
    case rand:uniform(5) of
        1 -> {pieces, [slice(size_between(1000, 300000))
                       || _ <- lists:seq(1, 12)]};
        2 -> binary:copy(slice(size_between(65536, 1 bsl 23)));
        _ -> slice(size_between(65536, 1 bsl 23))
    end;
payload(terms) ->
    term(rand:uniform(9)).

-spec term(pos_integer()) -> term().
term(1) ->
    {self(), make_ref(), hd(erlang:ports()), node(), nodes()};
term(2) ->
    [atom() || _ <- lists:seq(1, rand:uniform(400))];
term(3) ->
    maps:from_list([{atom(), {Number, rand:uniform()}}
                    || Number <- lists:seq(1, rand:uniform(100))]);
term(4) ->
    Number = rand:uniform(1000),
    {fun ?MODULE:sum/1, fun(X) -> {X, Number} end};
term(5) ->
    lists:seq(1, rand:uniform(20000));
term(6) ->
    %% Bits, numbers of all sizes, an improper list.
    Bits = rand:uniform(7),
    [<<0:Bits>>, 1 bsl rand:uniform(5000), -(1 bsl rand:uniform(100)),
     rand:uniform(), "text", [] | tail];
term(7) ->
    nested(rand:uniform(200));
term(8) ->
    list_to_tuple([{slice(rand:uniform(100)), rand:uniform(255)}
                   || _ <- lists:seq(1, rand:uniform(300))]);
term(9) ->
    #{small => slice(10), large => slice(size_between(1000, 200000)),
      list => lists:duplicate(100, rand:uniform(10))}.

-spec nested(non_neg_integer()) -> term().
nested(0) -> [];
nested(Depth) -> {Depth, [nested(Depth - 1)]}.

-spec atom() -> atom().
atom() ->
    element(rand:uniform(?ATOMS), persistent_term:get({?MODULE, atoms})).

%% As many small as large ones, so to speak.
-spec size_between(pos_integer(), pos_integer()) -> pos_integer().
size_between(Least, Most) ->
    round(Least * math:pow(Most / Least, rand:uniform())).

%% A part of a large binary, without a copy.
-spec slice(non_neg_integer()) -> binary().
slice(Size) ->
    binary:part(persistent_term:get({?MODULE, base}),
                rand:uniform(?BASE_BYTES - Size) - 1, Size).

%% ---------------------------------------------------------------------
%% Requests
%% ---------------------------------------------------------------------

-spec requester(node(), stop | full | trickle, [atom()], [atom()],
                [fault()]) -> no_return().
requester(Node, Phase, Kinds, [], Faults) ->
    requester(Node, Phase, Kinds, Kinds, Faults);
requester(Node, Phase, Kinds, [Kind | Next], Faults) ->
    Delay = case Phase of
                stop -> infinity;
                full -> rand:uniform(10);
                trickle -> 100 + rand:uniform(300)
            end,
    receive
        {?MODULE, From, Ref, {phase, New}} ->
            From ! {Ref, ok},
            requester(Node, New, Kinds, [Kind | Next], Faults)
    after Delay ->
            request(Kind, Node, Faults),
            requester(Node, Phase, Kinds, Next, Faults)
    end.

%% One request, in a process of its own, with its outcome judged. One that was
%% not answered is excused when the connection was down meanwhile.
-spec request(atom(), node(), [fault()]) -> ok.
request(Kind, Node, Faults) ->
    Downs = downs(Node),
    Up = is_connected(Node),
    {Pid, Monitor} = spawn_monitor(fun() -> exit(attempt(Kind, Node)) end),
    Outcome = receive
                  {'DOWN', Monitor, _, _, Reason} -> Reason
              after ?REQUEST_MS ->
                      Info = process_info(Pid, [messages, links, monitors]),
                      exit(Pid, kill),
                      receive {'DOWN', Monitor, _, _, _} -> {hangs, Info} end
              end,
    Wrong = lists:member(answer, Faults) andalso rand:uniform(50) =:= 1,
    case Outcome of
        right when not Wrong ->
            add_to(?REQUESTS, 1),
            _ = add({kind, {Node, Kind}}, 1),
            ok;
        {unanswered, What} ->
            case not Up orelse is_explained(Node, Downs, ?EXPLAINED_MS) of
                true -> add_to(?EXCUSED, 1);
                false -> wrong(answer, "~s to ~s, without a nodedown: ~0P",
                               [Kind, Node, What, 30])
            end;
        Other ->
            wrong(answer, "~s to ~s: ~0P", [Kind, Node, Other, 30])
    end.

%% Whether a nodedown comes, or came, since there were so many.
-spec is_explained(node(), non_neg_integer(), integer()) -> boolean().
is_explained(_Node, _Downs, Left) when Left =< 0 ->
    false;
is_explained(Node, Downs, Left) ->
    downs(Node) > Downs
        orelse begin
                   receive after 20 -> ok end,
                   is_explained(Node, Downs, Left - 20)
               end.

-spec attempt(atom(), node()) -> right | {unanswered, term()} | {wrong, term()}.
attempt(Kind, Node) ->
    try do(Kind, Node) of
        right -> right;
        {unanswered, _} = Unanswered -> Unanswered;
        Other -> {wrong, Other}
    catch
        Class:Reason -> {unanswered, {Class, Reason}}
    end.

-spec do(atom(), node()) -> right | term().
do(erpc, Node) ->
    Payload = payload(medium),
    same(Payload, erpc:call(Node, ?MODULE, give_back, [Payload]));
do(rpc, Node) ->
    Payload = payload(terms),
    case rpc:call(Node, ?MODULE, give_back, [Payload]) of
        {badrpc, _} = Bad -> {unanswered, Bad};
        Answer -> same(Payload, Answer)
    end;
do(call, Node) ->
    Payload = payload(medium),
    same(Payload, gen_server:call({?MODULE, Node}, Payload, ?REQUEST_MS));
do(cast, Node) ->
    true = monitor_node(Node, true),
    Ref = make_ref(),
    ok = gen_server:cast({?MODULE, Node}, {self(), Ref}),
    receive
        Ref -> right;
        {nodedown, Node} -> {unanswered, nodedown}
    end;
do(spawn_monitor, Node) ->
    {Pid, Monitor} = spawn_monitor(Node, ?MODULE, leave, [{went, self()}]),
    receive
        {'DOWN', Monitor, process, Pid, Reason} ->
            ended(Reason, {went, self()})
    end;
do(spawn_link, Node) ->
    process_flag(trap_exit, true),
    Pid = spawn_link(Node, ?MODULE, leave, [linked]),
    receive {'EXIT', Pid, Reason} -> ended(Reason, linked) end;
do(kill, Node) ->
    process_flag(trap_exit, true),
    Pid = spawn(Node, ?MODULE, wait, []),
    true = link(Pid),
    Monitor = monitor(process, Pid),
    exit(Pid, kill),
    receive
        {'EXIT', Pid, Linked} ->
            receive
                {'DOWN', Monitor, _, _, Seen} ->
                    case {ended(Linked, killed), ended(Seen, killed)} of
                        {right, Other} -> Other;
                        {Other, _} -> Other
                    end
            end
    end;
do(monitor, Node) ->
    Monitor = monitor(process, {?MODULE, Node}),
    true = demonitor(Monitor, [flush]),
    receive {'DOWN', Monitor, _, _, _} = Down -> Down after 0 -> right end;
%% Not linked again: OTP 25 may lose such a link when a disconnect comes
%% between, with inet_tcp as well.
do(unlink, Node) ->
    process_flag(trap_exit, true),
    {Pid, Monitor} = spawn_monitor(Node, ?MODULE, wait, []),
    true = link(Pid),
    true = unlink(Pid),
    receive {'EXIT', Pid, noconnection} -> ok after 0 -> ok end,
    exit(Pid, enough),
    receive
        {'EXIT', Pid, _} = Exit -> Exit;
        {'DOWN', Monitor, process, Pid, Reason} -> ended(Reason, enough)
    end;
do(noproc, Node) ->
    Monitor = monitor(process, {nobody_here, Node}),
    receive {'DOWN', Monitor, _, _, Reason} -> ended(Reason, noproc) end;
do(spawn_request, Node) ->
    Request = spawn_request(Node, ?MODULE, wait, [], [monitor]),
    receive
        {spawn_reply, Request, ok, Pid} ->
            exit(Pid, enough),
            receive
                {'DOWN', Request, process, Pid, Reason} ->
                    ended(Reason, enough)
            end;
        {spawn_reply, Request, error, Reason} ->
            {unanswered, Reason}
    end;
do(multicall, Node) ->
    Payload = payload(small),
    case erpc:multicall([Node, node()], ?MODULE, give_back, [Payload],
                        ?REQUEST_MS) of
        [{ok, There}, {ok, Payload}] -> same(Payload, There);
        Other -> {unanswered, Other}
    end;
do(alias, Node) ->
    Alias = monitor(process, {?MODULE, Node}, [{alias, reply_demonitor}]),
    _ = erlang:send({?MODULE, Node}, {'$gen_cast', {Alias, {Alias, late}}}),
    receive
        {Alias, late} ->
            right;
        {'DOWN', Alias, _, _, Reason} ->
            {unanswered, Reason}
    end.

-spec same(term(), term()) -> right | {sent, term(), got, term()}.
same(Same, Same) -> right;
same(Sent, Got) -> {sent, Sent, got, Got}.

-spec ended(term(), term()) -> right | {unanswered | ended, term()}.
ended(Reason, Reason) -> right;
ended(noconnection, _) -> {unanswered, noconnection};
ended(Other, _) -> {ended, Other}.

-spec give_back(term()) -> term().
give_back(Term) ->
    Term.

-spec leave(term()) -> no_return().
leave(Reason) ->
    exit(Reason).

%% To be ended by a signal. Where a disconnect took that along, nothing is left
%% behind for long.
-spec wait() -> no_return().
wait() ->
    receive never -> ok after ?WAITS_MS -> exit(waited) end.

-spec init([]) -> {ok, none}.
init([]) ->
    {ok, none}.

-spec handle_call(term(), gen_server:from(), none) -> {reply, term(), none}.
handle_call(Payload, _From, none) ->
    {reply, Payload, none}.

-spec handle_cast({pid() | reference(), term()}, none) -> {noreply, none}.
handle_cast({To, What}, none) ->
    To ! What,
    {noreply, none}.

%% ---------------------------------------------------------------------
%% For the self-test
%% ---------------------------------------------------------------------

%% Lets everything grow that must not.
-spec grow([term()]) -> no_return().
grow(Kept) ->
    receive after 100 -> ok end,
    {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    Child = spawn(fun() -> receive never -> ok end end),
    Atoms = [list_to_atom(lists:concat([grown, Letter,
                                        erlang:unique_integer()]))
             || Letter <- "abcdef"],
    grow([Socket, Child, Atoms, binary:copy(<<1>>, 500000) | Kept]).
