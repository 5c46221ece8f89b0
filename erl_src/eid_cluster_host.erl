%% SPDX-License-Identifier: Apache-2.0

%% The process that watches the containers of one Docker host for eid_cluster.
%% It lists them at the interval of the setting, and sooner after an event:
%% where Docker streams events, anything that comes means that there is another
%% list. What comes is not read, so nothing in it can do harm.
%%
%% A daemon that hangs holds up this process, and nothing else.
-module(eid_cluster_host).

-behaviour(gen_server).

-export([start_link/3, list_after/2]).

-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% Between the beginnings of two lists.
-define(LEAST_MS, 1000).
%% How long after one in vain there is another, at the latest.
-define(AGAIN_MS, 5000).
%% After an event there is a list at once, and one that is begun so much later:
%% Docker tells of an end a moment before its list has it.
-define(SETTLE_MS, 500).
%% Lists that are wanted within so short a time are one.
-define(GRAIN_MS, 100).
%% Before a stream of events is tried again: doubled each time, until one has
%% lasted.
-define(FIRST_PAUSE_MS, 1000).
-define(LONGEST_PAUSE_MS, 300000).
-define(LASTING_MS, 60000).
%% As much of an answer as has its status.
-define(STATUS_BYTES, 12).

%% Times are in milliseconds, monotonic.
-record(stream, {transport :: gen_tcp | ssl,
                 socket :: gen_tcp:socket() | ssl:sslsocket(),
                 since :: integer(),
                 %% The first bytes of the answer, or that it is a stream.
                 head = <<>> :: binary() | open,
                 %% Whether what comes is left there until the next list.
                 paused = false :: boolean(),
                 deadline :: reference()}).

-record(state, {cluster :: pid(),
                host :: string(),
                label :: string(),
                interval :: pos_integer(),
                %% When the last list was begun.
                last :: integer(),
                next :: integer(),
                %% One is to be begun at each of these times, or later.
                wanted = [] :: [integer()],
                timer :: reference(),
                stream = none :: none | #stream{},
                %% When a stream may be tried, and after how many in vain.
                reopen :: integer(),
                failures = 0 :: non_neg_integer(),
                %% Whether the refusal that goes on was told.
                told = false :: boolean()}).

-spec start_link(pid(), string(), eid_settings:cluster()) ->
          {ok, pid()} | ignore | {error, term()}.
start_link(Cluster, Host, Settings) ->
    gen_server:start_link(?MODULE, {Cluster, Host, Settings}, []).

%% Has it list in so many milliseconds, if it would not before.
-spec list_after(pid(), non_neg_integer()) -> ok.
list_after(Pid, Milliseconds) ->
    gen_server:cast(Pid, {list_after, Milliseconds}).

-spec init({pid(), string(), eid_settings:cluster()}) -> {ok, #state{}}.
init({Cluster, Host, #{label := Label, interval := Interval}}) ->
    Now = now_ms(),
    {ok, #state{cluster = Cluster, host = Host, label = Label,
                interval = Interval, last = Now - ?LEAST_MS, next = Now,
                timer = start_timer(0), reopen = Now}}.

-spec handle_call(term(), gen_server:from(), #state{}) ->
          {reply, ok, #state{}}.
handle_call(_Request, _From, State) ->
    {reply, ok, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({list_after, Milliseconds}, State) ->
    {noreply, list_at(now_ms() + Milliseconds, State)};
handle_cast(_Request, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({timeout, Timer, list}, #state{timer = Timer} = State) ->
    {noreply, list(State)};
handle_info({Tag, Socket, Data},
            #state{stream = #stream{socket = Socket}} = State)
  when Tag =:= tcp; Tag =:= ssl ->
    {noreply, received(Data, State)};
handle_info({Tag, Socket},
            #state{stream = #stream{socket = Socket}} = State)
  when Tag =:= tcp_closed; Tag =:= ssl_closed ->
    {noreply, stream_ended("the stream ended", State)};
handle_info({Tag, Socket, _Reason},
            #state{stream = #stream{socket = Socket}} = State)
  when Tag =:= tcp_error; Tag =:= ssl_error ->
    {noreply, stream_ended("the stream broke", State)};
handle_info({timeout, Timer, stream},
            #state{stream = #stream{deadline = Timer, head = Head}} = State)
  when Head =/= open ->
    {noreply, stream_ended("no answer came in time", State)};
handle_info(_Message, State) ->
    {noreply, State}.

%% ---------------------------------------------------------------------
%% The list
%% ---------------------------------------------------------------------

-spec list(#state{}) -> #state{}.
list(#state{cluster = Cluster, host = Host, interval = Interval} = State00) ->
    %% Before the daemon is asked, so that what happens from here on is another
    %% event.
    #state{wanted = Wanted} = State0 = read_on(State00),
    Began = now_ms(),
    Result = ask(State0),
    eid_cluster:listed(Cluster, Host, Began, Result),
    Pause = case Result of
                {ok, _} -> Interval;
                {error, _} -> min(Interval, ?AGAIN_MS)
            end,
    %% At random, so that the nodes of a cluster do not ask all at once.
    Regular = now_ms() + Pause - rand:uniform(Pause div 10),
    Later = [At || At <- Wanted, At > Began],
    Next = case Later of
               [Soonest | _] -> min(Regular, max(Soonest, Began + ?LEAST_MS));
               [] -> Regular
           end,
    State = set_timer(Next, State0#state{last = Began, wanted = Later}),
    case {Result, State} of
        {{ok, _}, _} -> maybe_open(State);
        %% A host that lost its power leaves a stream in which nothing comes.
        {_, #state{stream = #stream{head = open}}} -> stream_ended("", State);
        _ -> State
    end.

-spec ask(#state{}) ->
          {ok, [eid_socket:container()]} | {error, {atom(), string()}}.
ask(#state{host = Host, label = Label}) ->
    eid_epmd:list(Host, Label).

%% Not more often than ?LEAST_MS allows.
-spec list_at(integer(), #state{}) -> #state{}.
list_at(Time, #state{last = Last, next = Next, wanted = Wanted} = State0) ->
    At = (Time div ?GRAIN_MS + 1) * ?GRAIN_MS,
    State = State0#state{wanted = ordsets:add_element(At, Wanted)},
    case max(At, Last + ?LEAST_MS) of
        Sooner when Sooner < Next -> set_timer(Sooner, State);
        _ -> State
    end.

-spec event(#state{}) -> #state{}.
event(State) ->
    Now = now_ms(),
    list_at(Now + ?SETTLE_MS, list_at(Now, State)).

-spec set_timer(integer(), #state{}) -> #state{}.
set_timer(Next, #state{timer = Timer} = State) ->
    _ = erlang:cancel_timer(Timer),
    State#state{next = Next, timer = start_timer(Next - now_ms())}.

-spec start_timer(integer()) -> reference().
start_timer(Milliseconds) ->
    erlang:start_timer(max(0, Milliseconds), self(), list).

%% ---------------------------------------------------------------------
%% The stream of events
%% ---------------------------------------------------------------------

%% While there is none, each list that was answered is an occasion.
-spec maybe_open(#state{}) -> #state{}.
maybe_open(#state{stream = none, reopen = Reopen} = State) ->
    case now_ms() of
        Now when Now >= Reopen -> open(State);
        _ -> list_at(Reopen, State)
    end;
maybe_open(State) ->
    State.

-spec open(#state{}) -> #state{}.
open(State) ->
    %% It may have become wrong since the list.
    try eid_settings:get(eid_lookup_timeout) of
        Timeout -> open(Timeout, State)
    catch
        error:{bad_setting, Sentence} -> no_stream(Sentence, State)
    end.

-spec open(pos_integer(), #state{}) -> #state{}.
open(Timeout, #state{host = Host, label = Label} = State) ->
    case eid_epmd:open_events(Host, Label, Timeout) of
        {ok, Transport, Socket} ->
            Deadline = erlang:start_timer(Timeout, self(), stream),
            next_data(State#state{stream = #stream{transport = Transport,
                                                   socket = Socket,
                                                   since = now_ms(),
                                                   deadline = Deadline}});
        {error, Sentence} ->
            no_stream(Sentence, State)
    end.

-spec received(binary(), #state{}) -> #state{}.
received(_Data, #state{stream = #stream{head = open}} = State) ->
    %% There is a list now in any case: what comes before it says no more, and
    %% a stream without an end would cost as much as there is.
    event(State#state{stream = (State#state.stream)#stream{paused = true}});
received(Data, #state{stream = #stream{head = Head0} = Stream} = State) ->
    Head = iolist_to_binary([Head0, Data]),
    %% (Patterns would do, but OTP 29 does not load what OTP 25 makes of them.)
    case re:run(Head, "^HTTP/1\\.. ([0-9]{3})",
                [{capture, all_but_first, list}]) of
        {match, ["200"]} ->
            eid_cluster:events(State#state.cluster, State#state.host, open),
            _ = erlang:cancel_timer(Stream#stream.deadline),
            %% For what happened before it was there.
            next_data(list_at(now_ms(),
                              State#state{told = false,
                                          stream = Stream#stream{
                                                     head = open}}));
        {match, [Status]} ->
            stream_ended(["it is refused (status ", Status, $)], State);
        nomatch when byte_size(Head) < ?STATUS_BYTES ->
            next_data(State#state{stream = Stream#stream{head = Head}});
        nomatch ->
            stream_ended("the answer is not HTTP", State)
    end.

-spec read_on(#state{}) -> #state{}.
read_on(#state{stream = #stream{paused = true} = Stream} = State) ->
    next_data(State#state{stream = Stream#stream{paused = false}});
read_on(State) ->
    State.

-spec next_data(#state{}) -> #state{}.
next_data(#state{stream = #stream{transport = Transport, socket = Socket}}
          = State) ->
    Set = case Transport of
              gen_tcp -> inet:setopts(Socket, [{active, once}]);
              ssl -> ssl:setopts(Socket, [{active, once}])
          end,
    case Set of
        ok -> State;
        {error, _} -> stream_ended("the stream ended", State)
    end.

-spec stream_ended(iodata(), #state{}) -> #state{}.
stream_ended(Why, #state{stream = Stream, cluster = Cluster, host = Host}
             = State0) ->
    #stream{transport = Transport, socket = Socket, since = Since,
            head = Head, deadline = Deadline} = Stream,
    _ = erlang:cancel_timer(Deadline),
    _ = Transport:close(Socket),
    State = State0#state{stream = none},
    case Head of
        open ->
            eid_cluster:events(Cluster, Host, closed),
            Lasted = now_ms() - Since >= ?LASTING_MS,
            again(State#state{failures = case Lasted of
                                             true -> 0;
                                             false -> State#state.failures
                                         end});
        _ ->
            no_stream(Why, State)
    end.

-spec no_stream(iodata(), #state{}) -> #state{}.
no_stream(_Why, #state{told = true} = State) ->
    again(State);
no_stream(Why, #state{cluster = Cluster, host = Host} = State) ->
    eid_cluster:events(Cluster, Host,
                       {refused, lists:flatten(io_lib:format("~ts", [Why]))}),
    again(State#state{told = true}).

%% An end of the stream may be the daemon's: a list finds out.
-spec again(#state{}) -> #state{}.
again(#state{failures = Failures} = State) ->
    Pause = min(?FIRST_PAUSE_MS bsl min(Failures, 16), ?LONGEST_PAUSE_MS),
    list_at(now_ms() + Pause,
            State#state{failures = Failures + 1, reopen = now_ms() + Pause}).

-spec now_ms() -> integer().
now_ms() ->
    erlang:monotonic_time(millisecond).
