%% SPDX-License-Identifier: Apache-2.0

%% Sends numbered messages of all sizes to the other nodes, without end, and
%% checks those that it gets: that they come in order, whole, and that none is
%% lost or comes twice, save where the VM reported a nodedown in between.
%%
%% How that is known. A sender numbers its messages 1, 2, 3 ... for as long as
%% it lives, and puts into each the number with which it began on the present
%% connection. The receiver is told by the VM of each nodeup before the
%% first and of each nodedown after the last message of that connection
%% (net_kernel:monitor_nodes/2). So between a nodeup and a nodedown the numbers
%% must start with that first one and go up by one. What is missing between two
%% connections is counted as lost with the connection. The end of what was sent
%% is checked by settle/0.
%%
%% The counts are written to files in a directory as they come about, so that
%% they outlive a VM that is killed.
-module(eid_checker).

-export([start/3, stop/0, peers/1, settle/0, resume/0, settled/0, mark/0,
         well/0, events/2, flood/2, hoard/1, starve/2, starved/0,
         finds_faults/0]).

%% A message is of 10 bytes to 100 KB, and one in a hundred of 1 to 2 MB.
-define(SMALLEST, 10).
-define(LARGE_RATIO, 10000).
-define(HUGE_ONE_IN, 100).
-define(HUGE, 1000000).
%% So many messages at once, and then a pause of up to so many milliseconds.
-define(BURST, 20).
-define(PAUSE_MS, 400).
%% How often a node tries to reach one that it does not see.
-define(RETRY_MS, 250).
-define(HELLO_MS, 100).
-define(WRITE_MS, 200).
-define(ATOMS, 3000).

%% A connection, as a sender counts: which sender, and which connection of it.
-type epoch() :: none | {integer(), integer()}.

-record(out, {peer :: atom(),
              node :: node(),
              to :: undefined | pid(),
              life :: integer(),
              epoch = none :: epoch(),
              first = 1 :: pos_integer(),
              sent = 0 :: non_neg_integer(),
              paused = false :: boolean(),
              block :: binary()}).

%% What is known of the messages from one node; fresh: none has come since the
%% last nodeup.
-record(in, {last = 0 :: non_neg_integer(),
             epoch = none :: epoch(),
             fresh = true :: boolean(),
             after_mark :: undefined | integer(),
             messages = 0 :: non_neg_integer(),
             bytes = 0 :: non_neg_integer(),
             epochs = 0 :: non_neg_integer(),
             lost = 0 :: non_neg_integer(),
             violations = 0 :: non_neg_integer()}).

-record(state, {me :: atom(),
                dir :: file:filename(),
                peers = #{} :: #{atom() => node()},
                names = #{} :: #{node() => atom()},
                in = #{} :: #{atom() => #in{}},
                senders = #{} :: #{atom() => pid()},
                settled = #{} :: #{atom() => boolean()},
                trying = #{} :: #{pid() => node()},
                events = [] :: [{integer(), nodeup | nodedown, atom(),
                                 term()}]}).

%% ---------------------------------------------------------------------
%% Called by the script
%% ---------------------------------------------------------------------

%% Me and the keys of Peers are short names for the nodes; Dir is where the
%% counts go.
-spec start(atom(), [{atom(), node()}], file:filename()) -> ok.
start(Me, Peers, Dir) ->
    Caller = self(),
    {_, Monitor} =
        spawn_opt(fun() ->
                          register(?MODULE, self()),
                          init(Caller, Me, Dir)
                  end, [monitor, {message_queue_data, off_heap}]),
    receive
        {?MODULE, started} ->
            demonitor(Monitor, [flush]),
            peers(Peers);
        {'DOWN', Monitor, process, _, Reason} ->
            error(Reason)
    end.

-spec stop() -> ok.
stop() ->
    call(stop).

%% From now on these.
-spec peers([{atom(), node()}]) -> ok.
peers(Peers) ->
    call({peers, Peers}).

%% No more new messages; all that were sent must arrive: see settled/0.
-spec settle() -> ok.
settle() ->
    call(settle).

-spec resume() -> ok.
resume() ->
    call(resume).

%% The peers of which it is not yet known that they have got everything.
-spec settled() -> [atom()].
settled() ->
    call(settled).

%% From now on, well/0 tells when the next message came from each peer (or the
%% first after a nodedown).
-spec mark() -> ok.
mark() ->
    call(mark).

%% When the last of the peers sent its first message after mark/0 (or the
%% start), in milliseconds since 1970; false while one has not.
-spec well() -> integer() | false.
well() ->
    call(well).

%% The nodeups and nodedowns since a time: [{Time, What, Peer, Reason}].
-spec events(integer(), all | atom()) ->
          [{integer(), nodeup | nodedown, atom(), term()}].
events(Since, Peer) ->
    call({events, Since, Peer}).

%% Sends so many messages of 1 MB to a process on another node, for as long as
%% that is connected, from a process of its own; gives that one.
-spec flood(pid() | {atom(), node()}, pos_integer()) -> pid().
flood(To, MB) ->
    Message = rand:bytes(1000000),
    spawn(fun() ->
                  lists:all(fun(N) ->
                                    ok =:= erlang:send(To, {N, Message},
                                                       [noconnect])
                            end, lists:seq(1, MB))
          end).

%% A process with this name that keeps all that it gets, and reads nothing.
-spec hoard(atom()) -> true.
hoard(Name) ->
    register(Name, spawn(fun() -> receive after infinity -> ok end end)).

%% Takes all descriptors, in a moment, and gives them back after so many
%% milliseconds; meanwhile Peer becomes one more peer. For as long as it lasts,
%% no file can be opened, not even for the answer to a call.
-spec starve(pos_integer(), {atom(), node()}) -> ok.
starve(Milliseconds, Peer) ->
    _ = spawn(fun() ->
                      timer:sleep(500),
                      persistent_term:put(?MODULE, {hog(0), milliseconds()}),
                      ok = call({peer, Peer}),
                      timer:sleep(Milliseconds)
              end),
    ok.

%% How many files were opened in starve/2 until there was no descriptor left,
%% and when that was.
-spec starved() -> {non_neg_integer(), integer()}.
starved() ->
    persistent_term:get(?MODULE).

-spec hog(non_neg_integer()) -> non_neg_integer().
hog(Count) ->
    case file:open("/dev/null", [read, raw]) of
        {ok, File} ->
            put({file, Count}, File),
            hog(Count + 1);
        {error, emfile} ->
            Count
    end.

%% Whether the checker finds what can be wrong: it is fed with it.
-spec finds_faults() -> ok.
finds_faults() ->
    State = #state{me = test, dir = "/tmp/checked"},
    Good = fun(N) ->
                   Content = {<<"some bytes">>, [N]},
                   {message, peer, {1, 1}, 1, N, sum(N, Content), Content}
           end,
    Altered = setelement(7, Good(2), {<<"some bytez">>, [2]}),
    Fed = fun(Messages) ->
                  lists:foldl(fun(M, Known) -> received(M, Known, State) end,
                              #in{}, Messages)
          end,
    Found = fun(Messages) -> (Fed(Messages))#in.violations end,
    0 = Found([Good(1), Good(2), Good(3)]),
    1 = Found([Good(2), Good(3)]),
    1 = Found([Good(1), Good(3)]),
    1 = Found([Good(1), Good(2), Good(2)]),
    2 = Found([Good(2), Good(1)]),
    1 = Found([Good(1), Altered]),
    %% The end is missing, and is not.
    Last = fun(N) ->
                   Before = State#state{in = #{peer => Fed([Good(1)])}},
                   #state{in = #{peer := Known}} =
                       handle({fin, peer, self(), {1, 1}, 1, N}, Before),
                   receive {fin_seen, _} -> ok end,
                   Known#in.violations
           end,
    0 = Last(1),
    1 = Last(2),
    ok.

-spec call(term()) -> term().
call(Request) ->
    Monitor = monitor(process, ?MODULE),
    ?MODULE ! {call, self(), Monitor, Request},
    receive
        {Monitor, Answer} ->
            demonitor(Monitor, [flush]),
            Answer;
        {'DOWN', Monitor, process, _, Reason} ->
            error({checker, Reason})
    end.

%% ---------------------------------------------------------------------
%% The process that receives, and knows everything
%% ---------------------------------------------------------------------

-spec init(pid(), atom(), file:filename()) -> no_return().
init(Caller, Me, Dir) ->
    process_flag(trap_exit, true),
    ok = monitor_nodes(),
    _ = erlang:send_after(?RETRY_MS, self(), retry),
    _ = erlang:send_after(?WRITE_MS, self(), write),
    Caller ! {?MODULE, started},
    %% One file for each life of the VM.
    File = filename:join(Dir, io_lib:format("checked.~s.~b",
                                            [Me, milliseconds()])),
    loop(#state{me = Me, dir = lists:flatten(File)}).

-spec monitor_nodes() -> ok.
monitor_nodes() ->
    net_kernel:monitor_nodes(true, [nodedown_reason, {node_type, all}]).

-spec loop(#state{}) -> no_return().
loop(State) ->
    receive
        Message -> loop(handle(Message, State))
    end.

-spec handle(term(), #state{}) -> #state{}.
handle({message, From, _, _, _, _, _} = Message, State) ->
    #state{in = In} = State,
    State#state{in = In#{From => received(Message, maps:get(From, In, #in{}),
                                          State)}};
handle({fin, From, Sender, Epoch, First, Sent}, #state{in = In} = State) ->
    Known = maps:get(From, In, #in{}),
    Sender ! {fin_seen, Epoch},
    case Known of
        _ when Sent < First ->
            %% Nothing was sent on this connection.
            State;
        #in{epoch = Epoch, last = Last} when Last =:= Sent ->
            State;
        #in{fresh = true, epoch = Epoch} ->
            %% Sent before the sender knew that the connection is a new one.
            State;
        #in{last = Last} ->
            Wrong = violation("~s: ~b is the last, but should be ~b",
                              [From, Last, Sent], Known, State),
            State#state{in = In#{From => Wrong}}
    end;
handle({hello, Sender, Epoch}, State) ->
    Sender ! {ready, Epoch, self()},
    State;
handle({settled, Peer}, #state{settled = Settled} = State) ->
    State#state{settled = Settled#{Peer => true}};
handle({unsettled, Peer}, #state{settled = Settled} = State) ->
    State#state{settled = Settled#{Peer => false}};
handle({nodeup, Node, _}, State) ->
    connection(nodeup, Node, none, State);
handle({nodedown, Node, Info}, State) ->
    connection(nodedown, Node, proplists:get_value(nodedown_reason, Info),
               State);
handle(retry, State) ->
    _ = erlang:send_after(?RETRY_MS, self(), retry),
    retry(State);
handle(write, State) ->
    _ = erlang:send_after(?WRITE_MS, self(), write),
    ok = write(State),
    State;
handle({'EXIT', Pid, Reason}, #state{trying = Trying} = State) ->
    case maps:is_key(Pid, Trying) of
        true -> State#state{trying = maps:remove(Pid, Trying)};
        false when Reason =:= normal; Reason =:= shutdown -> State;
        false -> exit({died, Pid, Reason})
    end;
handle({call, From, Tag, stop}, State) ->
    ok = write(State),
    From ! {Tag, ok},
    exit(normal);
handle({call, From, Tag, Request}, State) ->
    {Answer, New} = answer(Request, State),
    From ! {Tag, Answer},
    New.

-spec answer(term(), #state{}) -> {term(), #state{}}.
answer({peers, Peers}, #state{me = Me, senders = Old} = State) ->
    Wanted = maps:from_list(Peers),
    {Keep, Gone} = lists:partition(
                     fun({Peer, _}) ->
                             maps:find(Peer, Wanted)
                                 =:= maps:find(Peer, State#state.peers)
                     end, maps:to_list(Old)),
    _ = [begin unlink(Pid), exit(Pid, kill) end || {_, Pid} <- Gone],
    New = [{Peer, start_sender(Me, Peer, Node)}
           || {Peer, Node} <- Peers, not lists:keymember(Peer, 1, Keep)],
    Names = maps:from_list([{Node, Peer} || {Peer, Node} <- Peers]),
    {ok, retry(State#state{peers = Wanted,
                           names = maps:merge(State#state.names, Names),
                           senders = maps:from_list(Keep ++ New),
                           settled = #{}})};
answer({peer, Peer}, #state{peers = Peers} = State) ->
    answer({peers, [Peer | maps:to_list(Peers)]}, State);
answer(settle, State) ->
    {ok, tell_senders(settle, State#state{settled = #{}})};
answer(resume, State) ->
    {ok, tell_senders(resume, State#state{settled = #{}})};
answer(settled, #state{peers = Peers, settled = Settled} = State) ->
    {[Peer || Peer <- maps:keys(Peers),
              not maps:get(Peer, Settled, false)], State};
answer(mark, #state{in = In} = State) ->
    {ok, State#state{in = maps:map(fun(_, Known) ->
                                           Known#in{after_mark = undefined}
                                   end, In)}};
answer(well, #state{peers = Peers, in = In} = State) ->
    Times = [(maps:get(Peer, In, #in{}))#in.after_mark
             || Peer <- maps:keys(Peers)],
    {case Times =/= [] andalso not lists:member(undefined, Times) of
         true -> lists:max(Times);
         false -> false
     end, State};
answer({events, Since, Wanted}, #state{events = Events} = State) ->
    {lists:reverse([Event || {Time, _, Peer, _} = Event <- Events,
                             Time >= Since,
                             Wanted =:= all orelse Peer =:= Wanted]), State}.

-spec tell_senders(settle | resume, #state{}) -> #state{}.
tell_senders(What, #state{senders = Senders} = State) ->
    _ = [Pid ! What || Pid <- maps:values(Senders)],
    State.

%% The VM says that a connection has come about, or has ended.
-spec connection(nodeup | nodedown, node(), term(), #state{}) -> #state{}.
connection(What, Node, Reason, State) ->
    #state{names = Names, in = In, events = Events} = State,
    case Names of
        #{Node := Peer} ->
            Event = {milliseconds(), What, Peer, Reason},
            Known = maps:get(Peer, In, #in{}),
            State#state{events = [Event | Events],
                        in = In#{Peer => connected(What, Known)}};
        #{} ->
            State
    end.

-spec connected(nodeup | nodedown, #in{}) -> #in{}.
connected(nodeup, Known) ->
    Known#in{fresh = true};
connected(nodedown, Known) ->
    Known#in{after_mark = undefined}.

%% Tries to reach those peers that this node does not see. This is what a
%% program does that needs its peers.
-spec retry(#state{}) -> #state{}.
retry(#state{peers = Peers, trying = Trying} = State) ->
    Known = [node() | nodes(connected)] ++ maps:values(Trying),
    New = [{spawn_link(fun() -> net_kernel:connect_node(Node) end), Node}
           || Node <- maps:values(Peers) -- Known],
    State#state{trying = maps:merge(Trying, maps:from_list(New))}.

%% ---------------------------------------------------------------------
%% Checking
%% ---------------------------------------------------------------------

-spec received(tuple(), #in{}, #state{}) -> #in{}.
received({message, From, Epoch, First, N, Sum, Content}, Known, State) ->
    #in{last = Last, epoch = Before, fresh = Fresh} = Known,
    Same = Before =/= none andalso element(1, Before) =:= element(1, Epoch),
    Ordered =
        if
            not Fresh, Same, N =:= Last + 1 ->
                Known;
            %% The first of a connection: what was sent on the last one and
            %% did not come is lost, which the VM has said by its nodedown.
            Fresh, N > Last, N =:= First, Same;
            %% Sent on the new connection before the sender knew of it.
            Fresh, N > Last, Epoch =:= Before ->
                Known#in{lost = Known#in.lost + N - Last - 1};
            %% Another sender, or the first that is heard of one. (Of the
            %% nodeup of a new node, which is not yet known here by its
            %% name, nothing was seen.)
            Fresh, N =:= First, not Same;
            N =:= 1, not Same ->
                Known;
            true ->
                violation("~s: ~b came after ~b (connection's first: ~b, "
                          "first here: ~p)", [From, N, Last, First, Fresh],
                          Known, State)
        end,
    Checked =
        case sum(N, Content) of
            Sum -> Ordered;
            _ -> violation("~s: ~b has another content",
                           [From, N], Ordered, State)
        end,
    Checked#in{last = N, epoch = Epoch, fresh = false,
               after_mark = case Checked#in.after_mark of
                                undefined -> milliseconds();
                                Time -> Time
                            end,
               epochs = case Fresh of
                            true -> Checked#in.epochs + 1;
                            false -> Checked#in.epochs
                        end,
               messages = Checked#in.messages + 1,
               bytes = Checked#in.bytes + byte_size(element(1, Content))}.

-spec violation(io:format(), [term()], #in{}, #state{}) -> #in{}.
violation(Format, Arguments, Known, #state{me = Me, dir = File}) ->
    ok = file:write_file(filename:join(filename:dirname(File),
                                       "violations"),
                         io_lib:format("~s of " ++ Format ++ "~n",
                                       [Me | Arguments]), [append]),
    Known#in{violations = Known#in.violations + 1}.

%% Of the content and the number, so that no message passes for another.
-spec sum(pos_integer(), {binary(), [term()]}) -> {integer(), integer()}.
sum(N, {Bytes, Terms}) ->
    {erlang:crc32(N band 16#ffffffff, Bytes), erlang:phash2(Terms)}.

%% Lines of: from to messages bytes connections lost violations.
-spec write(#state{}) -> ok.
write(#state{dir = File, in = In} = State) ->
    case file:write_file(File ++ ".new", lines(In, State)) of
        ok -> file:rename(File ++ ".new", File);
        {error, emfile} -> ok
    end.

-spec lines(#{atom() => #in{}}, #state{}) -> iolist().
lines(In, #state{me = Me}) ->
    [io_lib:format("~s ~s ~b ~b ~b ~b ~b~n",
                   [Peer, Me, K#in.messages, K#in.bytes, K#in.epochs,
                    K#in.lost, K#in.violations])
     || {Peer, K} <- maps:to_list(In)].

%% ---------------------------------------------------------------------
%% The process that sends to one peer
%% ---------------------------------------------------------------------

-spec start_sender(atom(), atom(), node()) -> pid().
start_sender(Me, Peer, Node) ->
    Checker = self(),
    spawn_link(
      fun() ->
              ok = monitor_nodes(),
              Out = #out{peer = Peer, node = Node,
                         life = rand:uniform(1 bsl 50),
                         block = rand:bytes(4 * ?HUGE)},
              sender(Checker, Me, case lists:member(Node, nodes(connected)) of
                                      true -> hello(Out);
                                      false -> Out
                                  end)
      end).

-spec sender(pid(), atom(), #out{}) -> no_return().
sender(Checker, Me, #out{node = Node, epoch = Epoch} = Out) ->
    Pause = case Out of
                #out{to = undefined} -> ?HELLO_MS;
                #out{paused = true} -> infinity;
                _ -> rand:uniform(?PAUSE_MS + 1) - 1
            end,
    receive
        {nodeup, Node, _} ->
            sender(Checker, Me, hello(Out));
        {nodedown, Node, _} ->
            Checker ! {unsettled, Out#out.peer},
            sender(Checker, Me, Out#out{to = undefined, epoch = none});
        {ready, Epoch, Pid} when Out#out.to =:= undefined ->
            sender(Checker, Me, fin(Me, Out#out{to = Pid,
                                                first = Out#out.sent + 1}));
        {fin_seen, Epoch} ->
            Checker ! {settled, Out#out.peer},
            sender(Checker, Me, Out);
        settle ->
            sender(Checker, Me, fin(Me, Out#out{paused = true}));
        resume ->
            sender(Checker, Me, Out#out{paused = false});
        _ ->
            sender(Checker, Me, Out)
    after Pause ->
            case Out of
                #out{to = undefined, epoch = none} ->
                    sender(Checker, Me, Out);
                #out{to = undefined} ->
                    sender(Checker, Me, say_hello(Out));
                _ ->
                    sender(Checker, Me,
                           burst(Me, Out, rand:uniform(?BURST)))
            end
    end.

%% A new connection: where is the peer's checker?
-spec hello(#out{}) -> #out{}.
hello(Out) ->
    say_hello(Out#out{to = undefined,
                      epoch = {Out#out.life,
                                  erlang:unique_integer([positive])}}).

-spec say_hello(#out{}) -> #out{}.
say_hello(#out{node = Node, epoch = Epoch} = Out) ->
    _ = erlang:send({?MODULE, Node}, {hello, self(), Epoch}, [noconnect]),
    Out.

%% Nothing will follow; of this connection, all should have arrived.
-spec fin(atom(), #out{}) -> #out{}.
fin(Me, #out{paused = true, to = Pid} = Out) when is_pid(Pid) ->
    _ = erlang:send(Pid, {fin, Me, self(), Out#out.epoch, Out#out.first,
                          Out#out.sent},
                    [noconnect]),
    Out;
fin(_, Out) ->
    Out.

-spec burst(atom(), #out{}, non_neg_integer()) -> #out{}.
burst(_, Out, 0) ->
    Out;
burst(Me, #out{to = Pid, first = First, epoch = Epoch} = Out, Left) ->
    N = Out#out.sent + 1,
    Content = {part(Out#out.block, size()), terms(rand:uniform(20))},
    Message = {message, Me, Epoch, First, N, sum(N, Content), Content},
    case erlang:send(Pid, Message, [noconnect]) of
        ok -> burst(Me, Out#out{sent = N}, Left - 1);
        noconnect -> Out
    end.

-spec size() -> pos_integer().
size() ->
    case rand:uniform(?HUGE_ONE_IN) of
        1 -> ?HUGE + rand:uniform(?HUGE);
        _ -> round(?SMALLEST * math:pow(?LARGE_RATIO, rand:uniform()))
    end.

-spec part(binary(), pos_integer()) -> binary().
part(Block, Size) ->
    binary:part(Block, rand:uniform(byte_size(Block) - Size) - 1, Size).

%% More atoms than the atom cache of a connection has room for, some of them
%% often.
-spec terms(non_neg_integer()) -> [term()].
terms(Count) ->
    [case rand:uniform(4) of
         1 -> rand:uniform(1 bsl 60);
         2 -> #{rand:uniform(9) => {rand:uniform(), "text"}};
         3 -> list_to_atom("checked_" ++
                               integer_to_list(rand:uniform(?ATOMS)));
         4 -> list_to_atom("often_" ++ integer_to_list(rand:uniform(20)))
     end || _ <- lists:seq(1, Count)].

-spec milliseconds() -> integer().
milliseconds() ->
    os:system_time(millisecond).
