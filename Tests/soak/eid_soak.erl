%% SPDX-License-Identifier: Apache-2.0

%% The long load: steers the nodes through busy and idle phases, orders
%% disconnects, samples, and judges at the end. See Tests/soak/run --help.
-module(eid_soak).

-export([main/0]).

-type span() :: #{cycle := pos_integer(),
                  full := pos_integer(),
                  trickle := pos_integer(),
                  idle := pos_integer()}.

-type state() :: #{peers := [eid_peers:peer()],
                   began := integer(),
                   span := span(),
                   self_test := boolean(),
                   ordered := #{{node(), node()} => non_neg_integer()},
                   trouble := [{atom(), string()}],
                   said := integer(),
                   say_every := pos_integer()}.

%% Of one node in one second.
-record(sample, {ms :: non_neg_integer(),
                 phase :: {atom(), pos_integer()},
                 node :: string(),
                 figures :: #{atom() => non_neg_integer()}}).

%% What is logged of a handshake that both nodes forgot; see forgotten/1.
-define(FORGOTTEN, "eid: cannot connect to ([^ ]+): .* accepted the connection "
        "but did not finish the handshake").
-define(NODES, ["a", "b", "c", "d"]).
%% With four ticks in it, a nodedown comes after 6 to 10 s without one.
-define(TICKTIME_S, 8).
-define(SAMPLE_MS, 1000).
%% What is given to whatever must happen, on a machine that does other things.
-define(PATIENCE_MS, 60000).
%% After that time of an idle phase a node has collected its garbage, and its
%% connections have let go of what they do not need at rest.
-define(SETTLED_MS, 4000).
-define(MB, 1048576).

-spec main() -> no_return().
main() ->
    [Minutes, Directory, SelfTest] = init:get_plain_arguments(),
    Status = try soak(list_to_integer(Minutes) * 60, Directory,
                      SelfTest =:= "yes") of
                 0 -> 0;
                 _ -> 1
             catch
                 Class:Reason:Stack ->
                     io:format("FAILED  the soak ended early: ~0P~n",
                               [{Class, Reason, Stack}, 100]),
                     count(Directory, 0, 1),
                     1
             end,
    halt(Status).

-spec count(file:filename(), non_neg_integer(), non_neg_integer()) -> ok.
count(Directory, Passed, Failed) ->
    ok = file:write_file(filename:join(Directory, "counts"),
                         io_lib:format("~w passed, ~w failed~n",
                                       [Passed, Failed])).

-spec soak(pos_integer(), file:filename(), boolean()) -> non_neg_integer().
soak(Seconds, Directory, SelfTest) ->
    ok = eid_peers:start_keeper(),
    Peers = start_nodes(SelfTest),
    Span = span(Seconds),
    Began = now_ms(),
    {Sampler, Sampling} =
        spawn_monitor(fun() ->
                              File = filename:join(Directory, "samples.csv"),
                              exit({samples, sampler(File, Began, Peers)})
                      end),
    true = register(eid_soak_sampler, Sampler),
    State = cycles(1, Began + Seconds * 1000,
                   #{peers => Peers, began => Began, span => Span,
                     self_test => SelfTest, ordered => #{}, trouble => [],
                     said => Began,
                     say_every => min(60000, Seconds * 1000 div 6)}),
    Sampler ! stop,
    Samples = receive
                  {'DOWN', Sampling, _, _, {samples, All}} -> All;
                  {'DOWN', Sampling, _, _, Reason} -> error({sampler, Reason})
              end,
    Lasted = now_ms() - Began,
    Reports = [eid_peers:call(Peer, eid_soak_node, report, [])
               || Peer <- Peers],
    tell(Lasted, Reports, Samples, State),
    Checks = checks(Lasted, Reports, Samples, State),
    judge(Directory, Checks, SelfTest).

%% Long enough at rest for a missing tick to show.
-spec span(pos_integer()) -> span().
span(Seconds) when Seconds < 300 ->
    #{cycle => 20000, full => 7000, trickle => 1500, idle => 10500};
span(_) ->
    #{cycle => 30000, full => 14000, trickle => 3000, idle => 11000}.

-spec now_ms() -> integer().
now_ms() ->
    erlang:monotonic_time(millisecond).

%% ---------------------------------------------------------------------
%% The nodes
%% ---------------------------------------------------------------------

-spec start_nodes(boolean()) -> [eid_peers:peer()].
start_nodes(SelfTest) ->
    %% Global would cut more connections than are ordered, to keep the cluster
    %% from overlapping in parts.
    Kernel = [{net_ticktime, ?TICKTIME_S},
              {prevent_overlapping_partitions, false}],
    Peers = eid_peers:start_all(
              [#{name => Name, kernel => Kernel, args => ["+sbwt", "none"]}
               || Name <- ?NODES]),
    Nodes = [Node || #{node := Node} <- Peers],
    Faulty = [{Peer, case SelfTest andalso Peer =:= hd(Peers) of
                         true -> [lost, twice, order, content, answer, load,
                                  log, forgotten, growth];
                         false -> []
                     end} || Peer <- Peers],
    [ok = eid_peers:call(Peer, eid_soak_node, start,
                         [Nodes -- [Node], Faults])
     || {#{node := Node} = Peer, Faults} <- Faulty],
    [ok = eid_peers:connect(A, B) || {A, B} <- pairs(Peers)],
    Receivers = [{Node, eid_peers:call(Peer, eid_soak_node, receivers, [])}
                 || #{node := Node} = Peer <- Peers],
    [ok = eid_peers:call(Peer, eid_soak_node, start_load,
                         [lists:keydelete(Node, 1, Receivers), Faults])
     || {#{node := Node} = Peer, Faults} <- Faulty],
    Peers.

-spec pairs([Item]) -> [{Item, Item}].
pairs(Items) ->
    [{A, B} || A <- Items, B <- Items, A < B].

%% On all nodes at once.
-spec everywhere([eid_peers:peer()], atom(), [term()]) -> [term()].
everywhere(Peers, Function, Arguments) ->
    Runs = [spawn_monitor(
              fun() ->
                      exit({answer, eid_peers:run(
                                      Peer,
                                      fun() ->
                                              apply(eid_soak_node, Function,
                                                    Arguments)
                                      end,
                                      2 * ?PATIENCE_MS)})
              end) || Peer <- Peers],
    [receive
         {'DOWN', Monitor, _, _, {answer, Answer}} -> Answer;
         {'DOWN', Monitor, _, _, Reason} -> error({Function, Reason})
     end || {_, Monitor} <- Runs].

%% ---------------------------------------------------------------------
%% Phases
%% ---------------------------------------------------------------------

%% At least three, since the first is left out where growth is judged.
-spec cycles(pos_integer(), integer(), state()) -> state().
cycles(Number, End, State) ->
    case Number > 3 andalso now_ms() >= End of
        true -> State;
        false -> cycles(Number + 1, End, cycle(Number, State))
    end.

-spec cycle(pos_integer(), state()) -> state().
cycle(Number, #{peers := Peers, span := Span} = State0) ->
    Began = now_ms(),
    #{full := Full, trickle := Trickle, cycle := Whole, idle := Idle} = Span,
    enter({full, Number}),
    _ = everywhere(Peers, phase, [full]),
    State1 = disconnects(Began + Full, State0),
    enter({trickle, Number}),
    _ = everywhere(Peers, phase, [trickle]),
    State2 = disconnects(Began + Full + Trickle, State1),
    enter({flush, Number}),
    State3 = flush(State2),
    enter({collect, Number}),
    _ = everywhere(Peers, collect, []),
    Rest = now_ms(),
    receive after ?SETTLED_MS -> ok end,
    enter({idle, Number}),
    State4 = unordered(State3),
    receive
    after max(Idle - ?SETTLED_MS, Began + Whole - now_ms()) -> ok
    end,
    true = now_ms() - Rest >= Idle,
    State5 = nodedowns_are_ordered(settle_mesh(State4)),
    progress(Number, State5).

-spec enter({atom(), pos_integer()}) -> ok.
enter(Phase) ->
    persistent_term:put({?MODULE, phase}, Phase).

%% One disconnect after the other, each seen by both sides before the next, so
%% that any nodedown beside them is seen as well.
-spec disconnects(integer(), state()) -> state().
disconnects(End, #{peers := Peers} = State) ->
    receive after 100 + rand:uniform(700) -> ok end,
    case now_ms() < End of
        true ->
            A = lists:nth(rand:uniform(length(Peers)), Peers),
            Others = Peers -- [A],
            B = lists:nth(rand:uniform(length(Others)), Others),
            disconnects(End, disconnect(A, B, State));
        false ->
            State
    end.

-spec disconnect(eid_peers:peer(), eid_peers:peer(), state()) -> state().
disconnect(#{node := NodeA} = A, #{node := NodeB} = B,
           #{ordered := Ordered} = State) ->
    %% Where B is not up yet although A is, B would never be told of its end.
    case is_connected(B, NodeA) andalso order(A, NodeB) of
        true ->
            Pair = pair(NodeA, NodeB),
            More = Ordered#{Pair => maps:get(Pair, Ordered, 0) + 1},
            await_downs(A, B, State#{ordered := More});
        false ->
            State
    end.

%% Not where there is no connection, which would be an order for nothing.
-spec order(eid_peers:peer(), node()) -> boolean().
order(Peer, Node) ->
    eid_peers:call(Peer, eid_soak_node, disconnect, [Node]).

-spec pair(node(), node()) -> {node(), node()}.
pair(A, B) ->
    {min(A, B), max(A, B)}.

-spec await_downs(eid_peers:peer(), eid_peers:peer(), state()) -> state().
await_downs(#{node := NodeA} = A, #{node := NodeB} = B, State) ->
    Wanted = ordered(NodeA, NodeB, State),
    try
        eid_peers:until(fun() ->
                                downs(A, NodeB) >= Wanted
                                    andalso downs(B, NodeA) >= Wanted
                        end, ?PATIENCE_MS),
        State
    catch
        error:{deadline, _} ->
            trouble(nodedown, "disconnect ~w of ~s and ~s was not seen by "
                    "both in ~w ms",
                    [Wanted, NodeA, NodeB, ?PATIENCE_MS], State)
    end.

-spec ordered(node(), node(), state()) -> non_neg_integer().
ordered(A, B, #{ordered := Ordered}) ->
    maps:get(pair(A, B), Ordered, 0).

-spec downs(eid_peers:peer(), node()) -> non_neg_integer().
downs(Peer, Node) ->
    eid_peers:call(Peer, eid_soak_node, downs, [Node]).

%% For the self-test: a disconnect that is not on the list.
-spec unordered(state()) -> state().
unordered(#{self_test := true, peers := [_, _, #{node := Node} | _] = Peers}
          = State) ->
    _ = order(lists:last(Peers), Node),
    State;
unordered(State) ->
    State.

%% All connected: traffic has seen to it, mostly.
-spec settle_mesh(state()) -> state().
settle_mesh(#{peers := Peers} = State) ->
    lists:foldl(
      fun({#{node := NodeA} = A, #{node := NodeB} = B}, Acc) ->
              try
                  eid_peers:until(
                    fun() ->
                            eid_peers:call(A, net_kernel, connect_node,
                                           [NodeB])
                                andalso is_connected(A, NodeB)
                                andalso is_connected(B, NodeA)
                    end, ?PATIENCE_MS),
                  Acc
              catch
                  error:{deadline, _} ->
                      trouble(nodedown, "~s and ~s did not connect in ~w ms",
                              [NodeA, NodeB, ?PATIENCE_MS], Acc)
              end
      end, State, pairs(Peers)).

-spec is_connected(eid_peers:peer(), node()) -> boolean().
is_connected(Peer, Node) ->
    eid_peers:call(Peer, eid_soak_node, is_connected, [Node]).

%% Until all that was sent has come: a last message on each stream, over
%% connections that nobody ends, must come, and all before it.
-spec flush(state()) -> state().
flush(#{peers := Peers} = State0) ->
    _ = everywhere(Peers, phase, [stop]),
    State = settle_mesh(State0),
    Marks = [{From, Sent} || {#{node := From}, Sent}
                                 <- lists:zip(Peers, everywhere(Peers, mark,
                                                                []))],
    lists:foldl(
      fun(#{node := Node} = Peer, Acc) ->
              Own = [{From, Stream, Number}
                     || {From, Sent} <- Marks,
                        {To, Stream, Number} <- Sent, To =:= Node],
              reached(Peer, Own, now_ms() + ?PATIENCE_MS, Acc)
      end, State, Peers).

-spec reached(eid_peers:peer(), [{node(), atom(), pos_integer()}], integer(),
              state()) -> state().
reached(#{node := Node} = Peer, Marks, End, State) ->
    case eid_peers:call(Peer, eid_soak_node, reached, [Marks]) of
        [] ->
            State;
        Left ->
            case now_ms() < End of
                true ->
                    receive after 20 -> ok end,
                    reached(Peer, Marks, End, State);
                false ->
                    trouble(lost, "~s waited ~w ms in vain for ~0p "
                            "({from, stream, sent, expected})",
                            [Node, ?PATIENCE_MS, Left], State)
            end
    end.

%% At rest, where all have been told: as many as were ordered, on both sides.
-spec nodedowns_are_ordered(state()) -> state().
nodedowns_are_ordered(#{peers := Peers} = State) ->
    lists:foldl(
      fun({Peer, Node, Other}, Acc) ->
              Wanted = ordered(Node, Other, Acc),
              case downs(Peer, Other) of
                  Wanted ->
                      Acc;
                  Downs ->
                      trouble(nodedown, "at ~w s: ~s was told ~w times that "
                              "~s is down, ~w were ordered",
                              [seconds(Acc), Node, Downs, Other, Wanted], Acc)
              end
      end, State,
      [{Peer, Node, Other} || #{node := Node} = Peer <- Peers,
                              #{node := Other} <- Peers, Other =/= Node]).

-spec trouble(atom(), io:format(), [term()], state()) -> state().
trouble(Check, Format, Arguments, #{trouble := Trouble} = State) ->
    Text = lists:flatten(io_lib:format(Format, Arguments)),
    io:format("~6w s  ! ~ts~n", [seconds(State), Text]),
    State#{trouble := [{Check, Text} | Trouble]}.

-spec seconds(state()) -> non_neg_integer().
seconds(#{began := Began}) ->
    (now_ms() - Began) div 1000.

-spec progress(pos_integer(), state()) -> state().
progress(Number, #{said := Said, say_every := Every, peers := Peers,
                   ordered := Ordered} = State) ->
    case now_ms() - Said >= Every of
        true ->
            Reports = everywhere(Peers, report, []),
            io:format("~6w s  ~w cycles, ~w messages, ~.2f GB, ~w requests, "
                      "~w disconnects, wrong: ~w~n",
                      [seconds(State), Number, total(messages, Reports),
                       total(bytes, Reports) / 1.0e9,
                       total(requests, Reports),
                       lists:sum(maps:values(Ordered)),
                       lists:sum([Count || #{wrong := Wrong} <- Reports,
                                           Count <- maps:values(Wrong)])]),
            State#{said := now_ms()};
        false ->
            State
    end.

-spec total(atom(), [eid_soak_node:report()]) -> non_neg_integer().
total(Key, Reports) ->
    lists:sum([maps:get(Key, Report) || Report <- Reports]).

%% ---------------------------------------------------------------------
%% Samples
%% ---------------------------------------------------------------------

-spec columns() -> [atom()].
columns() ->
    [total, binary, driver, resident, descriptors, ports, processes, atoms,
     messages, bytes].

-spec sampler(file:filename(), integer(), [eid_peers:peer()]) -> [#sample{}].
sampler(Path, Began, Peers) ->
    {ok, File} = file:open(Path, [write, raw]),
    ok = file:write(File, ["seconds,phase,cycle,node",
                           [[",", atom_to_list(Column)]
                            || Column <- columns()], "\n"]),
    sample(File, Began, Peers, Began, []).

-spec sample(file:io_device(), integer(), [eid_peers:peer()], integer(),
             [#sample{}]) -> [#sample{}].
sample(File, Began, Peers, Next, Samples) ->
    receive
        stop ->
            ok = file:close(File),
            lists:reverse(Samples)
    after max(0, Next - now_ms()) ->
            New = [take(Peer, Began) || Peer <- Peers],
            ok = file:write(File, [line(Sample) || Sample <- New]),
            sample(File, Began, Peers, max(Next + ?SAMPLE_MS, now_ms()),
                   lists:reverse(New, Samples))
    end.

-spec take(eid_peers:peer(), integer()) -> #sample{}.
take(#{node := Node, os_pid := OsPid} = Peer, Began) ->
    Before = persistent_term:get({?MODULE, phase}, {start, 0}),
    Figures = eid_peers:call(Peer, eid_soak_node, sample, []),
    Whole = Figures#{resident => eid_proc:resident_bytes(OsPid),
                     descriptors => eid_proc:descriptors(OsPid)},
    %% One that was long in coming is of neither phase.
    Phase = case persistent_term:get({?MODULE, phase}, {start, 0}) of
                Before -> Before;
                {_, Cycle} -> {between, Cycle}
            end,
    #sample{ms = now_ms() - Began, phase = Phase, figures = Whole,
            node = atom_to_list(Node)}.

-spec line(#sample{}) -> iolist().
line(#sample{ms = Ms, phase = {Phase, Cycle}, node = Node,
             figures = Figures}) ->
    [io_lib:format("~.3f,~s,~w,~s", [Ms / 1000, Phase, Cycle, Node]),
     [[",", integer_to_list(maps:get(Column, Figures))]
      || Column <- columns()], "\n"].

%% ---------------------------------------------------------------------
%% The verdict
%% ---------------------------------------------------------------------

%% What a figure at rest may be greater at the end than at the beginning.
%%
%% Counts must be what they were. Bytes vary by what the VM happens to keep
%% (heaps of processes that live on, atom caches): by 0.1 MB in all, by
%% nothing to speak of in binaries and drivers. What the system has given to
%% the process and what has not gone back yet varies by 10 MB after a minute,
%% by 2 MB after half an hour. After that, with 7 million messages and 700
%% connections for each node, this finds 1.4 KB lost for each connection if the
%% VM knows of it, and 4 bytes for each message if only the system does.
-spec allowed(atom()) -> non_neg_integer().
allowed(total) -> ?MB;
allowed(binary) -> ?MB div 4;
allowed(driver) -> ?MB div 32;
allowed(resident) -> 24 * ?MB;
%% Those of a module or two that are loaded late; far fewer than connections.
allowed(atoms) -> 200;
allowed(_) -> 0.

-spec grown() -> [{atom(), string()}].
grown() ->
    [{total, "the memory of the VMs does not grow"},
     {binary, "the binaries, the driver's among them, do not grow"},
     {driver, "what drivers allocate does not grow"},
     {resident, "what the system has given the VMs does not grow"},
     {descriptors, "no descriptors are left open"},
     {ports, "no ports are left"},
     {processes, "no processes are left"},
     {atoms, "no atoms are made"}].

%% Name, and what is wrong.
-spec checks(pos_integer(), [eid_soak_node:report()], [#sample{}], state()) ->
          [{string(), [string()]}].
checks(Lasted, Reports, Samples, #{peers := Peers} = State) ->
    [{Name, wrong(Check, Reports, State)}
     || {Check, Name} <-
            [{lost, "no message is lost, save by a disconnect"},
             {twice, "no message comes twice"},
             {order, "messages come in their order"},
             {content, "messages have the content that was sent"},
             {answer, "requests are answered, and rightly"},
             {nodedown, "no nodedown but by a disconnect"}]]
        ++ [{"all kinds of load took place",
             load(Lasted, Reports, Samples, State)},
            {"the nodes log nothing bad", lists:append([logged(Peer, Peers)
                                                        || Peer <- Peers])},
            {"hardly any handshake is forgotten", forgotten(State)}]
        ++ [{Name, growth(Figure, Samples)} || {Figure, Name} <- grown()].

-spec wrong(atom(), [eid_soak_node:report()], state()) -> [string()].
wrong(Check, Reports, #{trouble := Trouble}) ->
    Count = lists:sum([maps:get(Check, Wrong, 0)
                       || #{wrong := Wrong} <- Reports]),
    [io_lib:format("~w times, such as:", [Count]) || Count > 0]
        ++ [Text || #{examples := Examples} <- Reports,
                    {Of, Text} <- Examples, Of =:= Check]
        ++ [Text || {Of, Text} <- lists:reverse(Trouble), Of =:= Check].

%% What makes the rest say something.
-spec load(pos_integer(), [eid_soak_node:report()], [#sample{}], state()) ->
          [string()].
load(Lasted, Reports, Samples, #{peers := Peers, ordered := Ordered}) ->
    Nodes = [Node || #{node := Node} <- Peers],
    Zipped = lists:zip(Nodes, Reports),
    [io_lib:format("~s got no ~s messages from ~s", [Node, Stream, From])
     || {Node, #{streams := Streams}} <- Zipped, From <- Nodes -- [Node],
        Stream <- eid_soak_node:streams(),
        maps:get({From, Stream}, Streams, 0) < 2]
        ++ [io_lib:format("~s made no ~s requests to ~s", [Node, Kind, To])
            || {Node, #{kinds := Kinds}} <- Zipped, To <- Nodes -- [Node],
               Kind <- eid_soak_node:requests(),
               not is_map_key({To, Kind}, Kinds)]
        ++ ["no disconnects" || map_size(Ordered) =:= 0]
        ++ [io_lib:format("only ~w samples in ~w s",
                          [length(Samples) div length(Nodes), Lasted div 1000])
            || length(Samples) div length(Nodes) < Lasted div 2000]
        ++ ["too few idle phases with a sample"
            || length(quarters(total, Samples)) =/= length(Nodes)].

%% Save for what is to be said of disconnects: of spawns and handshakes that
%% these took along, and of locks that global had asked for.
-spec logged(eid_peers:peer(), [eid_peers:peer()]) -> [string()].
logged(#{node := Node} = Peer, Peers) ->
    Bad = eid_peers:logged(
            Peer, ["^(emergency|alert|critical|error|warning) "
                   "(?!\\*\\* Can not start eid_soak_node:"
                   "|eid: closed the connection from .* it closed in the mid"
                   "|" ++ ?FORGOTTEN ++
                   "|The global_name_server locker process received an unexp",
                   [["|'global' at '", A, "' failed to connect to '", B, "'$"]
                    || {X, Y, _} <- forgotten_by(Peers),
                       {A, B} <- [{X, Y}, {Y, X}]],
                   ")"]),
    [io_lib:format("~s: ~ts", [Node, string:slice(Line, 0, 400)])
     || Line <- lists:sublist(Bad, 5)].

%% A handshake that OTP's net_kernel forgets: the other node connects anew
%% before the end of the old connection is seen here, and has to wait for that
%% end; in the moment between the end and its notice to net_kernel a message of
%% this node makes it connect as well (do_auto_connect_2 of OTP 25 overwrites
%% the entry), and both wait for the other until net_setuptime. Of 10,000
%% disconnects of two nodes that did nothing else two ended so; with inet_tcp
%% some as well.
%%
%% Global, on both nodes, says at that time that it failed to connect, if it had
%% waited for this connection: its sync_other/2 wants one to each node that a
%% third one knows, and does not try again. With inet_tcp the same.
-spec forgotten(state()) -> [string()].
forgotten(#{peers := Peers, ordered := Ordered}) ->
    Lines = [Line || {_, _, Line} <- forgotten_by(Peers)],
    [io_lib:format("~w times, such as: ~ts", [length(Lines), hd(Lines)])
     || length(Lines) > 1 + lists:sum(maps:values(Ordered)) div 500].

%% By whom, with whom, and what it logged.
-spec forgotten_by([eid_peers:peer()]) -> [{string(), binary(), binary()}].
forgotten_by(Peers) ->
    [begin
         {match, [Other]} = re:run(Line, ?FORGOTTEN,
                                   [{capture, all_but_first, binary}]),
         {atom_to_list(Node), Other, Line}
     end || #{node := Node} = Peer <- Peers,
            Line <- eid_peers:logged(Peer, "^warning " ++ ?FORGOTTEN)].

%% Compares the last quarter of the idle phases with the first one, each by the
%% median of the phases, for one busy phase with more in its wake says nothing;
%% and a phase by its least sample, for what is measured while a tick is about.
%% The first tenth is left out: there, the VM's tables and pools grow to the
%% size that the load needs.
-spec growth(atom(), [#sample{}]) -> [string()].
growth(Figure, Samples) ->
    [io_lib:format("~s: ~s -> ~s; at most ~s more were allowed",
                   [Node, text(First, Figure), text(Last, Figure),
                    text(allowed(Figure), Figure)])
     || {Node, First, Last} <- quarters(Figure, Samples),
        Last - First > allowed(Figure)].

-spec quarters(atom(), [#sample{}]) ->
          [{string(), non_neg_integer(), non_neg_integer()}].
quarters(Figure, Samples) ->
    Resting = [{Node, Cycle, maps:get(Figure, Figures)}
               || #sample{phase = {idle, Cycle}, node = Node,
                          figures = Figures} <- Samples],
    [begin
         Cycles = lists:usort([Cycle || {Of, Cycle, _} <- Resting,
                                        Of =:= Node]),
         Least = [lists:min([Value || {Of, In, Value} <- Resting,
                                      Of =:= Node, In =:= Cycle])
                  || Cycle <- Cycles],
         Warm = lists:nthtail(max(1, length(Least) div 10), Least),
         Quarter = max(1, length(Warm) div 4),
         {Node, median(lists:sublist(Warm, Quarter)),
          median(lists:nthtail(length(Warm) - Quarter, Warm))}
     end || Node <- lists:usort([Node || {Node, _, _} <- Resting]),
            length(lists:usort([Cycle || {Of, Cycle, _} <- Resting,
                                         Of =:= Node])) >= 3].

-spec median([non_neg_integer()]) -> non_neg_integer().
median(Values) ->
    lists:nth((length(Values) + 1) div 2, lists:sort(Values)).

-spec text(number(), atom()) -> string().
text(Value, Figure) ->
    case lists:member(Figure, [total, binary, driver, resident]) of
        true -> lists:flatten(io_lib:format("~.2f MB", [Value / ?MB]));
        false -> integer_to_list(Value)
    end.

%% ---------------------------------------------------------------------
%% What is told
%% ---------------------------------------------------------------------

-spec tell(pos_integer(), [eid_soak_node:report()], [#sample{}], state()) ->
          ok.
tell(Lasted, Reports, Samples, #{ordered := Ordered}) ->
    Downs = lists:sum([Count || #{downs := Counts} <- Reports,
                                Count <- maps:values(Counts)]),
    Reasons = lists:foldl(
                fun(#{reasons := Counts}, Acc) ->
                        maps:merge_with(fun(_, A, B) -> A + B end, Counts,
                                        Acc)
                end, #{}, Reports),
    io:format("~nIn ~w s: ~w messages received, ~.2f GB; ~w requests "
              "answered~n"
              "~w disconnects ordered, ~w nodedowns seen (~0p); these took "
              "~w messages with them and ~w requests~n~n"
              "At rest, ~w samples of each node: first quarter -> last "
              "quarter~n",
              [Lasted div 1000, total(messages, Reports),
               total(bytes, Reports) / 1.0e9, total(requests, Reports),
               lists:sum(maps:values(Ordered)), Downs, Reasons,
               total(gone, Reports), total(excused, Reports),
               length([rest || #sample{phase = {idle, _}} <- Samples])
               div length(?NODES)]),
    [begin
         Texts = [[hd(string:lexemes(Node, "@")), " ", text(First, Figure),
                   " -> ", text(Last, Figure)]
                  || {Node, First, Last} <- quarters(Figure, Samples)],
         io:format("  ~-12s~s~n", [Figure, lists:join(", ", Texts)])
     end || {Figure, _} <- grown()],
    io:format("~n"),
    ok.

%% Says how each check came out: the number of those that failed. For the
%% self-test, those that should have and did not.
-spec judge(file:filename(), [{string(), [string()]}], boolean()) ->
          non_neg_integer().
judge(Directory, Checks, SelfTest) ->
    Failed = [Name || {Name, Wrong} <- Checks, (Wrong =/= []) =/= SelfTest],
    [begin
         Word = case lists:member(Name, Failed) of
                    true -> "FAILED  ";
                    false -> "ok      "
                end,
         Fails = case SelfTest of
                     true -> "fails when it must: ";
                     false -> ""
                 end,
         io:format("~s~s~s~n", [Word, Fails, Name]),
         [io:format("        | ~ts~n", [Text])
          || Text <- lists:sublist(Wrong, 12)]
     end || {Name, Wrong} <- Checks],
    count(Directory, length(Checks) - length(Failed), length(Failed)),
    length(Failed).
