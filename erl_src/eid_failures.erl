%% SPDX-License-Identifier: Apache-2.0

%% Which failures to connect are told in the log, and which only counted. An
%% attempt is made for each message to a node that is absent, so that a program
%% in a loop would fill the log: of each node, each reason is told once, and
%% then for the time of the setting eid_log_interval only counted. The count is
%% told at the end of that time, or when the node is connected.
%%
%% A process keeps it. The first failure starts that, since connections are
%% made before any application runs, and without an acceptor (-dist_listen
%% false). Between failures it waits without a timer. Whatever names are tried,
%% it keeps those of ?MAX_NODES nodes, and of each ?MAX_REASONS reasons.
-module(eid_failures).

-export([note/4, init/0]).

-export_type([step/0]).

%% Where the attempt ended.
-type step() :: name | resolve | lookup | connect | handshake.

-define(MAX_NODES, 256).
-define(MAX_REASONS, 8).
%% Of a sentence that is kept, in characters.
-define(MAX_SENTENCE, 1000).
%% How long a failure waits for the process before it is told in any case.
-define(WAIT_MS, 1000).
%% How old net_kernel's verbosity may be.
-define(VERBOSE_AGE_MS, 1000).

%% By reason: how many were not told, and what the last one said.
-type counts() :: #{term() => {non_neg_integer(), Sentence :: binary()}}.

%% Times are in milliseconds, monotonic.
-record(failing, {since :: integer(),
                  last :: integer(),
                  count = 0 :: non_neg_integer(),
                  %% The end of the interval.
                  ends :: integer(),
                  counts = #{} :: counts()}).

-record(state, {nodes = #{} :: #{string() => #failing{}},
                %% Those of nodes beyond ?MAX_NODES.
                others = none :: none | {Ends :: integer(), pos_integer(),
                                         string(), Sentence :: binary()},
                %% When there is something to tell.
                next = infinity :: integer() | infinity,
                verbose = {0, none} :: {integer(), integer() | none}}).

%% An attempt to connect to Node failed. Reason is a term to match on, Sentence
%% says what is wrong and what to do.
-spec note(node() | string(), step(), term(), iodata()) -> ok.
note(Node, Step, Reason, Sentence) ->
    Name = name(Node),
    case ask({failed, Name, {Step, Reason}, kept(Sentence)}) of
        tell -> eid_report:connect_failed(Node, Step, Reason, Sentence);
        count -> ok
    end.

-spec ask(term()) -> tell | count.
ask(Question) ->
    case process() of
        undefined ->
            tell;
        Pid ->
            Tag = monitor(process, Pid, [{alias, reply_demonitor}]),
            Pid ! {Question, Tag},
            receive
                {Tag, Answer} -> Answer;
                {'DOWN', Tag, process, _, _} -> tell
            after ?WAIT_MS ->
                    _ = demonitor(Tag, [flush]),
                    receive
                        {Tag, Answer} -> Answer
                    after 0 ->
                            tell
                    end
            end
    end.

%% It is linked to nobody: net_kernel may be stopped and started.
-spec process() -> pid() | undefined.
process() ->
    case whereis(?MODULE) of
        undefined ->
            Pid = spawn(?MODULE, init, []),
            try register(?MODULE, Pid) of
                true -> Pid
            catch
                error:badarg ->
                    %% Another failure was faster.
                    exit(Pid, kill),
                    whereis(?MODULE)
            end;
        Pid ->
            Pid
    end.

-spec init() -> no_return().
init() ->
    loop(#state{}).

-spec loop(#state{}) -> no_return().
loop(#state{next = Next} = State) ->
    receive
        {{failed, Node, Reason, Sentence}, From} ->
            {Answer, NewState} = failed(Node, Reason, Sentence, State),
            From ! {From, Answer},
            loop(NewState);
        {nodeup, Node, _} ->
            loop(connected(name(Node), State));
        _ ->
            loop(State)
    after left(Next) ->
            loop(tell_counts(now_ms(), State))
    end.

%% ---------------------------------------------------------------------
%% Failures
%% ---------------------------------------------------------------------

-spec failed(string(), term(), binary(), #state{}) ->
          {tell | count, #state{}}.
failed(Node, Reason, Sentence, #state{nodes = Nodes} = State) ->
    Now = now_ms(),
    case Nodes of
        #{Node := Failing} ->
            again(Node, Reason, Sentence, Now, Failing, State);
        #{} ->
            first(Node, Reason, Sentence, Now, with_room(Now, State))
    end.

-spec first(string(), term(), binary(), integer(), #state{}) ->
          {tell | count, #state{}}.
first(Node, Reason, Sentence, Now, #state{nodes = Nodes} = State)
  when map_size(Nodes) < ?MAX_NODES ->
    _ = [net_kernel:monitor_nodes(true, [{node_type, all}])
         || map_size(Nodes) =:= 0],
    Failing = #failing{since = Now, last = Now, count = 1,
                       ends = Now + interval(),
                       counts = #{Reason => {0, Sentence}}},
    {tell, State#state{nodes = Nodes#{Node => Failing}}};
first(Node, _Reason, Sentence, Now, #state{others = Others} = State) ->
    {Ends, Count} = case Others of
                        none -> {Now + interval(), 0};
                        {Before, N, _, _} -> {Before, N}
                    end,
    {count, until(Ends, State#state{others = {Ends, Count + 1, Node,
                                              Sentence}})}.

-spec again(string(), term(), binary(), integer(), #failing{}, #state{}) ->
          {tell | count, #state{}}.
again(Node, Reason, Sentence, Now, Failing0, State0) ->
    #failing{ends = Ends, counts = Counts, count = Count} = Failing0,
    Failing = Failing0#failing{count = Count + 1, last = Now},
    case Counts of
        _ when Ends =< Now ->
            %% After an interval in which there was none.
            keep(tell, Node,
                 Failing#failing{ends = Now + interval(),
                                 counts = #{Reason => {0, Sentence}}},
                 State0);
        #{Reason := {N, _}} ->
            case verbosity(Now, State0) of
                {0, State} ->
                    keep(count, Node,
                         Failing#failing{
                           counts = Counts#{Reason := {N + 1, Sentence}}},
                         until(Ends, State));
                {_, State} ->
                    keep(tell, Node, Failing, State)
            end;
        #{} when map_size(Counts) < ?MAX_REASONS ->
            keep(tell, Node,
                 Failing#failing{counts = Counts#{Reason => {0, Sentence}}},
                 State0);
        #{} ->
            {N, _} = maps:get(other, Counts, {0, <<>>}),
            keep(count, Node,
                 Failing#failing{counts = Counts#{other => {N + 1,
                                                            Sentence}}},
                 until(Ends, State0))
    end.

-spec keep(tell | count, string(), #failing{}, #state{}) ->
          {tell | count, #state{}}.
keep(Answer, Node, Failing, #state{nodes = Nodes} = State) ->
    {Answer, State#state{nodes = Nodes#{Node => Failing}}}.

%% Forgets the node that has not been tried for longest, where one more would
%% be too many.
-spec with_room(integer(), #state{}) -> #state{}.
with_room(Now, #state{nodes = Nodes} = State)
  when map_size(Nodes) >= ?MAX_NODES ->
    case [{Last, Node} || {Node, #failing{last = Last, ends = Ends}} <-
                              maps:to_list(Nodes), Ends =< Now] of
        [] ->
            State;
        Over ->
            {_, Oldest} = lists:min(Over),
            State#state{nodes = maps:remove(Oldest, Nodes)}
    end;
with_room(_Now, State) ->
    State.

%% ---------------------------------------------------------------------
%% Counts
%% ---------------------------------------------------------------------

%% Tells those whose interval has ended.
-spec tell_counts(integer(), #state{}) -> #state{}.
tell_counts(Now, #state{nodes = Nodes0, others = Others0} = State) ->
    Interval = interval(),
    Nodes = maps:map(
              fun(Node, #failing{ends = Ends, counts = Counts} = Failing)
                    when Ends =< Now ->
                      case untold(Counts) of
                          [] ->
                              Failing;
                          Untold ->
                              eid_report:connect_failed_more(Node, Interval,
                                                             Untold),
                              Failing#failing{ends = Now + Interval,
                                              counts = maps:map(
                                                         fun told/2, Counts)}
                      end;
                 (_Node, Failing) ->
                      Failing
              end, Nodes0),
    Others = case Others0 of
                 {Ends, Count, Node, Sentence} when Ends =< Now ->
                     eid_report:connect_failed_others(Count, Interval, Node,
                                                      Sentence),
                     none;
                 _ ->
                     Others0
             end,
    Next = lists:min([infinity]
                     ++ [Ends || {Ends, _, _, _} <- [Others]]
                     ++ [Ends || #failing{ends = Ends, counts = Counts} <-
                                     maps:values(Nodes),
                                 untold(Counts) =/= []]),
    State#state{nodes = Nodes, others = Others, next = Next}.

-spec untold(counts()) -> [{term(), pos_integer(), binary()}].
untold(Counts) ->
    [{Reason, Count, Sentence}
     || {Reason, {Count, Sentence}} <- lists:sort(maps:to_list(Counts)),
        Count > 0].

-spec told(term(), {non_neg_integer(), binary()}) -> {0, binary()}.
told(_Reason, {_Count, Sentence}) ->
    {0, Sentence}.

-spec connected(string(), #state{}) -> #state{}.
connected(Node, #state{nodes = Nodes0} = State) ->
    case maps:take(Node, Nodes0) of
        {#failing{since = Since, count = Count}, Nodes} ->
            eid_report:connected_again(Node, Count, now_ms() - Since),
            _ = [net_kernel:monitor_nodes(false, [{node_type, all}])
                 || map_size(Nodes) =:= 0],
            State#state{nodes = Nodes};
        error ->
            State
    end.

%% ---------------------------------------------------------------------
%% Helpers
%% ---------------------------------------------------------------------

%% What net_kernel:verbose/1 has set. It cannot be asked for, so it is read from
%% net_kernel's state (net_kernel.erl, #state.verbose: the same place in OTP 25
%% to 29), here, where nobody waits for net_kernel.
-spec verbosity(integer(), #state{}) -> {integer(), #state{}}.
verbosity(Now, #state{verbose = {Level, At}} = State)
  when is_integer(At), Now - At < ?VERBOSE_AGE_MS ->
    {Level, State};
verbosity(Now, State) ->
    Level = try sys:get_state(net_kernel, ?WAIT_MS div 2) of
                Kernel when element(1, Kernel) =:= state,
                            is_integer(element(12, Kernel)) ->
                    element(12, Kernel);
                _ ->
                    0
            catch
                exit:_ -> 0
            end,
    {Level, State#state{verbose = {Level, Now}}}.

-spec interval() -> non_neg_integer().
interval() ->
    try
        eid_settings:get(eid_log_interval)
    catch
        error:{bad_setting, _} -> 60000
    end.

-spec until(integer(), #state{}) -> #state{}.
until(Ends, #state{next = Next} = State) ->
    %% A number is smaller than an atom.
    State#state{next = min(Ends, Next)}.

-spec left(integer() | infinity) -> timeout().
left(infinity) -> infinity;
left(Next) -> max(0, Next - now_ms()).

-spec now_ms() -> integer().
now_ms() ->
    erlang:monotonic_time(millisecond).

-spec name(node() | string()) -> string().
name(Node) when is_atom(Node) -> atom_to_list(Node);
name(Node) -> Node.

-spec kept(iodata()) -> binary().
kept(Sentence) ->
    unicode:characters_to_binary(
      string:slice(io_lib:format("~ts", [Sentence]), 0, ?MAX_SENTENCE)).
