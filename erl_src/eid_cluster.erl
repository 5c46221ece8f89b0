%% SPDX-License-Identifier: Apache-2.0

%% Joins this node to its cluster: the containers that have a label, on the
%% Docker hosts of the setting eid_cluster. Each host has a process that lists
%% its containers (eid_cluster_host); here is decided to which of them, and
%% when, a connection is tried.
%%
%% What is kept of a container goes with it: it is tried only while the latest
%% list of its host has it, and after its connection has ended only once a
%% list has it that was begun later.
-module(eid_cluster).

-behaviour(gen_server).

-export([start_link/1, info/0, listed/4, events/3]).

-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% Spawned
-export([connect/1]).

-export_type([info/0, host_info/0, container_info/0]).

-type info() :: #{label := string(),
                  %% Milliseconds.
                  interval := pos_integer(),
                  %% Whether it is a node that others connect to: a remote
                  %% shell joins nothing.
                  joins := boolean(),
                  hosts := #{string() => host_info()}}.

-type host_info() :: #{state := starting | answers | fails,
                       %% Why it fails.
                       sentence => string(),
                       %% Whether changes are told at once, or found at the
                       %% interval.
                       events := boolean(),
                       containers := [container_info()]}.

-type container_info() :: #{id := binary(),
                            name := binary(),
                            %% Docker's word.
                            state := binary(),
                            %% undefined where no node can be named after it.
                            node := string() | undefined,
                            %% The published port.
                            port := inet:port_number() | undefined,
                            connected := boolean(),
                            %% Attempts in vain since it was last connected.
                            failures := non_neg_integer(),
                            %% Why it is not tried.
                            sentence => string()}.

%% A container that was just started is left this time before it is tried:
%% its node has to boot, and is likely to connect by itself.
-define(GRACE_MS, 2000).
%% How long after the end of a connection the list that decides is begun:
%% Docker has to notice that a container has ended.
-define(LEAVE_MS, 1000).
%% Between attempts in vain, doubled each time.
-define(FIRST_PAUSE_MS, 500).
-define(LONGEST_PAUSE_MS, 30000).
%% A connection that lasted less counts as an attempt in vain.
-define(LASTING_MS, 30000).
%% At the same time, to the nodes of one host.
-define(MAX_ATTEMPTS, 8).
%% How often a node that is not distributed looks whether it is.
-define(ALIVE_MS, 1000).
%% A host's process that died is started again after this time.
-define(RESTART_MS, 5000).
%% Of so many containers of a list the log says why they are not tried; a host
%% may list new ones each time.
-define(MAX_TOLD, 16).
%% Of the VM's atoms, the names of one host's nodes may take one in so many:
%% 65536 of them, unless erl was told otherwise (+t). So that none takes those
%% of the other hosts.
-define(HOST_SHARE, 16).

-type told() :: #{{Id :: binary(), Reason :: atom()} => true}.

%% Times are in milliseconds, monotonic.
-record(member, {host :: string(),
                 port :: inet:port_number() | undefined,
                 %% When the next attempt is due.
                 at :: integer() | infinity,
                 %% Only a list that was begun then or later can say that the
                 %% container is still there.
                 doubted = none :: none | integer(),
                 failures = 0 :: non_neg_integer(),
                 up = none :: none | integer(),
                 attempt = none :: none | {pid(), reference()}}).

-record(host, {pid :: pid() | none,
               state = starting :: starting | answers
                                 | {fails, Since :: integer(), string()},
               events = false :: boolean(),
               %% Whether it has answered before.
               listed = false :: boolean(),
               containers = [] :: [eid_socket:container()],
               %% Containers of which the log says why they are not tried.
               told = #{} :: told(),
               %% How many names of its nodes this node had not met before, or
               %% that it has had its share of them. Last, for a test.
               names = 0 :: non_neg_integer() | used_up}).

-record(state, {settings :: eid_settings:cluster(),
                joins = false :: boolean(),
                greeted = false :: boolean(),
                atoms_told = false :: boolean(),
                hosts = #{} :: #{string() => #host{}},
                %% By the node's name: an atom is made of it when it is tried.
                members = #{} :: #{binary() => #member{}},
                timer = none :: none | reference()}).

-type own() :: {Left :: binary(), Host :: binary(), Hostname :: binary()}
             | none.

-spec start_link(eid_settings:cluster()) ->
          {ok, pid()} | ignore | {error, term()}.
start_link(Settings) ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, Settings, []).

%% What is known of the cluster; undefined where eid_cluster is not set.
-spec info() -> info() | undefined.
info() ->
    case whereis(?MODULE) of
        undefined -> undefined;
        Pid -> gen_server:call(Pid, info)
    end.

%% Called by the host's process: what a list that was begun at the time Began
%% has given.
-spec listed(pid(), string(), integer(),
             {ok, [eid_socket:container()]} | {error, {atom(), string()}}) ->
          ok.
listed(Cluster, Host, Began, Result) ->
    gen_server:cast(Cluster, {listed, Host, Began, Result}).

%% Called by the host's process: whether there is a stream of events, or why
%% there is none.
-spec events(pid(), string(), open | closed | {refused, string()}) -> ok.
events(Cluster, Host, Events) ->
    gen_server:cast(Cluster, {events, Host, Events}).

-spec init(eid_settings:cluster()) -> {ok, #state{}}.
init(#{hosts := Hosts} = Settings) ->
    %% A host's process that dies must not take this one with it.
    _ = process_flag(trap_exit, true),
    ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
    self() ! join,
    {ok, #state{settings = Settings,
                hosts = maps:from_list([{Host, #host{pid = none}}
                                        || Host <- Hosts])}}.

-spec handle_call(term(), gen_server:from(), #state{}) ->
          {reply, info() | ok, #state{}}.
handle_call(info, _From, State) ->
    {reply, info(State), State};
handle_call(_Request, _From, State) ->
    {reply, ok, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({listed, Name, Began, {ok, Containers}}, State0) ->
    #state{hosts = #{Name := Host}} = State0,
    State1 = take_list(Name, Began, Containers,
                       answers(Name, Host, length(Containers), State0)),
    {noreply, due(greet(State1))};
handle_cast({listed, Name, _Began, {error, {Reason, Sentence}}}, State0) ->
    #state{hosts = #{Name := Host}} = State0,
    {noreply, due(greet(fails(Name, Host, Reason, Sentence, State0)))};
handle_cast({events, Name, Events}, #state{hosts = Hosts} = State) ->
    #{Name := Host} = Hosts,
    note_events(Name, Events, State),
    {noreply, State#state{hosts = Hosts#{Name := Host#host{
                                           events = Events =:= open}}}}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(join, State) ->
    case is_joining() of
        true ->
            {noreply, lists:foldl(fun start_host/2,
                                  State#state{joins = true},
                                  maps:keys(State#state.hosts))};
        false ->
            _ = erlang:send_after(?ALIVE_MS, self(), join),
            {noreply, State}
    end;
handle_info({timeout, Timer, due}, #state{timer = Timer} = State) ->
    {noreply, due(State#state{timer = none})};
handle_info({'DOWN', Monitor, process, Pid, Result}, State) ->
    {noreply, due(attempt_ended({Pid, Monitor}, Result, State))};
handle_info({nodeup, Node, _}, State) ->
    {noreply, due(node_up(atom_to_binary(Node), State))};
handle_info({nodedown, Node, _}, State) ->
    {noreply, due(node_down(atom_to_binary(Node), State))};
handle_info({'EXIT', Pid, _Reason}, #state{hosts = Hosts} = State) ->
    %% It has said why it died.
    case [{Name, Host} || {Name, #host{pid = Of} = Host} <-
                              maps:to_list(Hosts), Of =:= Pid] of
        [{Name, Host}] ->
            _ = erlang:send_after(?RESTART_MS, self(), {start_host, Name}),
            {noreply, State#state{hosts = Hosts#{Name := Host#host{
                                                   pid = none,
                                                   events = false}}}};
        [] ->
            {noreply, State}
    end;
handle_info({start_host, Name}, State) ->
    {noreply, start_host(Name, State)};
handle_info(_Message, State) ->
    {noreply, State}.

%% ---------------------------------------------------------------------
%% Hosts
%% ---------------------------------------------------------------------

%% Whether this is a node that others connect to. A shell beside it in its
%% container has the same environment, but must not connect to the cluster.
-spec is_joining() -> boolean().
is_joining() ->
    is_alive()
        andalso init:get_argument(dist_listen) =/= {ok, [["false"]]}
        andalso case net_kernel:get_state() of
                    #{started := no} -> false;
                    #{name_type := dynamic} -> false;
                    #{} -> true
                end
        andalso listens().

%% net_kernel:start/2 can say so as well, and tells nobody. Of other carriers
%% it is not known.
-spec listens() -> boolean().
listens() ->
    case init:get_argument(proto_dist) of
        {ok, Carriers} ->
            not lists:member("eid_tcp", lists:append(Carriers))
                orelse eid_socket:listens() =/= undefined;
        error ->
            true
    end.

-spec start_host(string(), #state{}) -> #state{}.
start_host(Name, #state{settings = Settings, hosts = Hosts} = State) ->
    #{Name := Host} = Hosts,
    {ok, Pid} = eid_cluster_host:start_link(self(), Name, Settings),
    State#state{hosts = Hosts#{Name := Host#host{pid = Pid}}}.

-spec answers(string(), #host{}, non_neg_integer(), #state{}) -> #state{}.
answers(Name, Host, Count, #state{hosts = Hosts} = State) ->
    case Host of
        #host{state = {fails, Since, _}} ->
            eid_report:cluster_host_answers(label(State), Name, Count,
                                            now_ms() - Since);
        #host{} ->
            ok
    end,
    State#state{hosts = Hosts#{Name := Host#host{state = answers}}}.

%% Told once: what it says while it goes on is in info/0.
-spec fails(string(), #host{}, atom(), string(), #state{}) -> #state{}.
fails(Name, Host, Reason, Sentence, #state{hosts = Hosts} = State) ->
    Since = case Host of
                #host{state = {fails, Before, _}} ->
                    Before;
                #host{} ->
                    eid_report:cluster_host_fails(label(State), Name, Reason,
                                                  Sentence),
                    now_ms()
            end,
    State#state{hosts = Hosts#{Name := Host#host{
                                         state = {fails, Since, Sentence}}}}.

-spec note_events(string(), open | closed | {refused, string()}, #state{}) ->
          ok.
note_events(Name, {refused, Sentence}, State) ->
    #{interval := Interval} = State#state.settings,
    eid_report:cluster_no_events(label(State), Name, Sentence, Interval);
note_events(_Name, _Events, _State) ->
    ok.

%% Tells once what cluster was found, when every host has answered or failed.
-spec greet(#state{}) -> #state{}.
greet(#state{greeted = false, hosts = Hosts} = State) ->
    case [Host || #host{state = starting} = Host <- maps:values(Hosts)] of
        [] ->
            Answering = [Host || #host{state = answers} = Host <-
                                     maps:values(Hosts)],
            Count = lists:sum([length(Containers)
                               || #host{containers = Containers} <-
                                      Answering]),
            eid_report:cluster_found(label(State), Count, length(Answering),
                                     map_size(Hosts)),
            State#state{greeted = true};
        _ ->
            State
    end;
greet(State) ->
    State.

%% ---------------------------------------------------------------------
%% Members
%% ---------------------------------------------------------------------

%% Those of the host that the list has not are forgotten, new ones are taken
%% in.
-spec take_list(string(), integer(), [eid_socket:container()], #state{}) ->
          #state{}.
take_list(Name, Began, Containers, State0) ->
    #state{hosts = Hosts, members = Members0} = State0,
    #{Name := Host0} = Hosts,
    Now = now_ms(),
    Grace = case Host0 of
                #host{listed = false} -> 0;
                #host{} -> ?GRACE_MS
            end,
    Own = own(),
    Found = [{Container, reach(Name, Container, Own, State0)}
             || Container <- Containers],
    Wanted = maps:from_list([{Node, Port}
                             || {_, {ok, Node, Port}} <- Found]),
    Kept = maps:filter(
             fun(Node, #member{host = Of} = Member) when Of =:= Name ->
                     is_map_key(Node, Wanted)
                         orelse forget(Member);
                (_Node, #member{}) ->
                     true
             end, Members0),
    Connected = connected(),
    Members = maps:fold(
                fun(Node, Port, Members) ->
                        Members#{Node =>
                                     listed_member(maps:find(Node, Members),
                                                   Name, Port, Began, Now,
                                                   Grace, Node, Connected)}
                end, Kept, Wanted),
    Unreachable = [{Container, Failure}
                   || {Container, {error, Failure}} <- Found],
    Told = tell_unreachable(Name, Unreachable, Host0#host.told, State0),
    State0#state{members = Members,
                 hosts = Hosts#{Name := Host0#host{listed = true,
                                                   containers = Containers,
                                                   told = Told}}}.

%% Once for each container and reason.
-spec tell_unreachable(string(),
                       [{eid_socket:container(), {atom(), string()}}],
                       told(), #state{}) -> told().
tell_unreachable(Name, Unreachable, Told, State) ->
    New = [Each || {#{id := Id}, {Reason, _}} = Each <- Unreachable,
                   not is_map_key({Id, Reason}, Told)],
    {Each, More} = lists:split(min(?MAX_TOLD, length(New)), New),
    _ = [eid_report:cluster_unreachable(label(State), Name, Container, Reason,
                                        Sentence)
         || {Container, {Reason, Sentence}} <- Each],
    _ = [eid_report:cluster_unreachable_more(label(State), Name, length(More))
         || More =/= []],
    maps:from_list([{{Id, Reason}, true}
                    || {#{id := Id}, {Reason, _}} <- Unreachable]).

-spec listed_member({ok, #member{}} | error, string(),
                    inet:port_number() | undefined, integer(), integer(),
                    non_neg_integer(), binary(), #{binary() => true}) ->
          #member{}.
listed_member({ok, #member{doubted = Doubted} = Member}, _Name, Port, Began,
              Now, _Grace, _Node, _Connected)
  when is_integer(Doubted), Began >= Doubted ->
    Member#member{doubted = none, at = Now, port = Port};
listed_member({ok, #member{port = Before, up = none} = Member}, _Name, Port,
              _Began, Now, _Grace, _Node, _Connected) when Port =/= Before ->
    %% It was restarted, so it is there.
    Member#member{port = Port, failures = 0, doubted = none,
                  at = Now + ?GRACE_MS};
listed_member({ok, Member}, _Name, Port, _Began, _Now, _Grace, _Node,
              _Connected) ->
    Member#member{port = Port};
listed_member(error, Name, Port, _Began, Now, Grace, Node, Connected) ->
    Member = #member{host = Name, port = Port, at = Now + Grace},
    case Connected of
        #{Node := true} -> Member#member{at = infinity, up = Now};
        #{} -> Member
    end.

%% The name of the node in a container, and where it is published.
-spec reach(string(), eid_socket:container(), own(), #state{}) ->
          {ok, binary(), inet:port_number() | undefined} | own
              | not_running | {error, {atom(), string()}}.
reach(Host, #{state := State, port := Port} = Container, Own,
      #state{settings = Settings}) ->
    Node = node_name(Host, Container, Settings),
    case {is_own(Host, Container, Own), State, Node, Port} of
        {true, _, _, _} ->
            own;
        {_, _, {error, _} = Error, _} ->
            Error;
        {_, <<"running">>, {ok, Name}, {ok, Published}} ->
            {ok, Name, Published};
        {_, <<"running">>, {ok, Name}, {error, _} = Error} ->
            %% One that is wrong is told of by the attempts.
            case application:get_env(kernel, eid_lookup) of
                {ok, direct} -> {ok, Name, undefined};
                _ -> Error
            end;
        {_, _, _, _} ->
            not_running
    end.

-spec node_name(string(), eid_socket:container(), eid_settings:cluster()) ->
          {ok, binary()} | {error, {atom(), string()}}.
node_name(Host, #{id := Id, name := Name}, #{node_name := Kind}) ->
    Left = case Kind of
               id -> binary:part(Id, 0, min(12, byte_size(Id)));
               name -> Name
           end,
    Node = <<Left/binary, $@, (unicode:characters_to_binary(Host))/binary>>,
    case re:run(Left, "^[a-zA-Z0-9][a-zA-Z0-9_-]*\\z", [{capture, none}]) of
        match when byte_size(Node) =< 255 ->
            {ok, Node};
        _ ->
            {error, {no_node_name,
                     "no node can have the container's name: a node's has no "
                     "dots before its @, and 255 bytes at most"}}
    end.

%% What this node's container is known by: the parts of the node's name, and the
%% name of the machine that it is to itself.
-spec own() -> own().
own() ->
    {ok, Hostname} = inet:gethostname(),
    case binary:split(atom_to_binary(node()), <<"@">>) of
        [Left, Host] -> {Left, Host, list_to_binary(Hostname)};
        _ -> none
    end.

%% Whether this node runs in the container.
-spec is_own(string(), eid_socket:container(), own()) -> boolean().
is_own(_Host, _Container, none) ->
    false;
is_own(Host, #{id := Id, name := Name}, {Left, OwnHost, Hostname}) ->
    Short = binary:part(Id, 0, min(12, byte_size(Id))),
    Left =:= Short orelse Left =:= Id orelse Hostname =:= Short
        orelse (Left =:= Name
                andalso OwnHost =:= unicode:characters_to_binary(Host)).

%% For maps:filter/2.
-spec forget(#member{}) -> false.
forget(#member{attempt = {Pid, Monitor}}) ->
    _ = demonitor(Monitor, [flush]),
    exit(Pid, kill),
    false;
forget(#member{}) ->
    false.

-spec node_up(binary(), #state{}) -> #state{}.
node_up(Node, #state{members = Members} = State) ->
    case Members of
        #{Node := Member} ->
            State#state{members = Members#{Node := Member#member{
                                                     at = infinity,
                                                     doubted = none,
                                                     up = now_ms()}}};
        #{} ->
            State
    end.

%% Its container may have ended.
-spec node_down(binary(), #state{}) -> #state{}.
node_down(Node, #state{members = Members, hosts = Hosts} = State) ->
    case Members of
        #{Node := #member{host = Name, up = Up, failures = Failures0}
          = Member} ->
            Now = now_ms(),
            Failures = case Up of
                           _ when is_integer(Up), Now - Up >= ?LASTING_MS -> 0;
                           _ -> Failures0 + 1
                       end,
            Wait = max(?LEAVE_MS, pause(Failures)),
            #{Name := #host{pid = Pid}} = Hosts,
            _ = [eid_cluster_host:list_after(Pid, Wait) || is_pid(Pid)],
            State#state{members = Members#{Node := Member#member{
                                                     at = infinity,
                                                     doubted = Now + Wait,
                                                     failures = Failures,
                                                     up = none}}};
        #{} ->
            State
    end.

%% ---------------------------------------------------------------------
%% Attempts
%% ---------------------------------------------------------------------

%% Begins the attempts that are due, and sets the timer for the next one.
-spec due(#state{}) -> #state{}.
due(#state{members = Members0, timer = Timer} = State0) ->
    Now = now_ms(),
    Due = lists:sort([{At, Node} || {Node, #member{at = At, attempt = none}}
                                        <- maps:to_list(Members0),
                                    At =< Now]),
    State = attempts(Due, running(maps:values(Members0)), State0),
    _ = [erlang:cancel_timer(Timer) || is_reference(Timer)],
    Next = [At || #member{at = At, attempt = none} <-
                      maps:values(State#state.members), At > Now,
                  is_integer(At)],
    State#state{timer = case Next of
                            [] -> none;
                            _ -> erlang:start_timer(lists:min(Next) - Now,
                                                    self(), due)
                        end}.

%% How many attempts run to the nodes of each host.
-spec running([#member{}]) -> #{string() => pos_integer()}.
running(Members) ->
    lists:foldl(fun(#member{host = Name, attempt = {_, _}}, Running) ->
                        maps:update_with(Name, fun(N) -> N + 1 end, 1, Running);
                   (#member{}, Running) ->
                        Running
                end, #{}, Members).

%% Those that cannot begin now do so when an attempt ends, or when their host
%% answers again. This is done at each end of an attempt, so it must not take
%% long for each of those that are due.
-spec attempts([{integer(), binary()}], #{string() => pos_integer()},
               #state{}) -> #state{}.
attempts([], _Running, State) ->
    State;
attempts([{_, Node} | Due], Running, #state{hosts = Hosts} = State) ->
    #{Node := #member{host = Name}} = State#state.members,
    #{Name := #host{state = HostState}} = Hosts,
    Count = maps:get(Name, Running, 0),
    case HostState =:= answers andalso Count < ?MAX_ATTEMPTS
        andalso is_alive() of
        true ->
            attempts(Due, Running#{Name => Count + 1}, attempt(Node, State));
        false ->
            attempts(Due, Running, State)
    end.

-spec attempt(binary(), #state{}) -> #state{}.
attempt(Node, #state{members = Members, hosts = Hosts} = State) ->
    #{Node := #member{host = Name} = Member} = Members,
    #{Name := Host} = Hosts,
    case has_atoms(Node, Host) of
        {true, Names} ->
            Attempt = spawn_monitor(?MODULE, connect, [Node]),
            State#state{members = Members#{Node := Member#member{
                                                     attempt = Attempt}},
                        hosts = Hosts#{Name := Host#host{names = Names}}};
        {false, RunOut} ->
            atoms_run_out(RunOut, Name,
                          State#state{members =
                                          Members#{Node := Member#member{
                                                             at = infinity}}})
    end.

-spec connect(binary()) -> no_return().
connect(Node) ->
    exit({result, net_kernel:connect_node(binary_to_atom(Node))}).

%% Names are atoms, which a VM never gives back: one for each container that
%% was ever tried. A host that names ever new ones must not end this node.
-spec has_atoms(binary(), #host{}) ->
          {true, Names :: non_neg_integer() | used_up} | {false, all | host}.
has_atoms(Node, #host{names = Names}) ->
    Limit = erlang:system_info(atom_limit),
    try binary_to_existing_atom(Node) of
        _ -> {true, Names}
    catch
        error:badarg when Names =:= used_up;
                          Names >= Limit div ?HOST_SHARE ->
            {false, host};
        error:badarg ->
            case erlang:system_info(atom_count) * 5 < Limit * 4 of
                true -> {true, Names + 1};
                false -> {false, all}
            end
    end.

%% Told once, of all or of each host.
-spec atoms_run_out(all | host, string(), #state{}) -> #state{}.
atoms_run_out(all, _Name, #state{atoms_told = false} = State) ->
    eid_report:error(
      cluster_atoms,
      ["cluster ", label(State), ": four fifths of this VM's atoms are in "
       "use, so no further containers are tried; restart the node, and see "
       "erlang:system_info(atom_count)"]),
    State#state{atoms_told = true};
atoms_run_out(host, Name, #state{hosts = Hosts} = State) ->
    case Hosts of
        #{Name := #host{names = used_up}} ->
            State;
        #{Name := #host{names = Names} = Host} ->
            eid_report:cluster_host_atoms(label(State), Name, Names),
            State#state{hosts = Hosts#{Name := Host#host{names = used_up}}}
    end;
atoms_run_out(all, _Name, State) ->
    State.

-spec attempt_ended({pid(), reference()}, term(), #state{}) -> #state{}.
attempt_ended(Attempt, Result, #state{members = Members} = State) ->
    case [{Node, Member} || {Node, #member{attempt = Of} = Member} <-
                                maps:to_list(Members), Of =:= Attempt] of
        [{Node, Member0}] ->
            Member = case Result of
                         {result, true} -> reached(Node, Member0);
                         _ -> in_vain(Member0)
                     end,
            State#state{members = Members#{Node := Member#member{
                                                     attempt = none}}};
        [] ->
            State
    end.

%% The nodedown of a connection that ended at once may have come before.
-spec reached(binary(), #member{}) -> #member{}.
reached(Node, #member{doubted = none, up = Up} = Member) ->
    case connected() of
        #{Node := true} when Up =:= none ->
            Member#member{at = infinity, up = now_ms()};
        #{Node := true} ->
            Member#member{at = infinity};
        #{} ->
            in_vain(Member)
    end;
reached(_Node, Member) ->
    Member.

-spec in_vain(#member{}) -> #member{}.
in_vain(#member{up = none, doubted = none, failures = Failures} = Member) ->
    Member#member{failures = Failures + 1,
                  at = now_ms() + pause(Failures + 1)};
in_vain(Member) ->
    %% It connected to us meanwhile.
    Member.

%% After so many attempts in vain; at random, so that nodes that lost one
%% another at the same moment do not meet.
-spec pause(non_neg_integer()) -> non_neg_integer().
pause(0) ->
    0;
pause(Failures) ->
    Pause = min(?FIRST_PAUSE_MS bsl min(Failures - 1, 16),
                ?LONGEST_PAUSE_MS),
    Pause + rand:uniform(Pause div 4).

%% ---------------------------------------------------------------------
%% Helpers
%% ---------------------------------------------------------------------

-spec connected() -> #{binary() => true}.
connected() ->
    maps:from_list([{atom_to_binary(Node), true}
                    || Node <- nodes(connected)]).

-spec info(#state{}) -> info().
info(#state{settings = #{label := Label, interval := Interval},
            joins = Joins, hosts = Hosts} = State) ->
    Connected = connected(),
    Own = own(),
    #{label => Label, interval => Interval, joins => Joins,
      hosts => maps:map(fun(Name, Host) ->
                                host_info(Name, Host, Connected, Own, State)
                        end, Hosts)}.

-spec host_info(string(), #host{}, #{binary() => true}, own(), #state{}) ->
          host_info().
host_info(Name, #host{state = HostState, events = Events,
                      containers = Containers}, Connected, Own, State) ->
    Info = #{state => starting, events => Events,
             containers => [container_info(Name, Container, Connected, Own,
                                           State)
                            || Container <- Containers]},
    case HostState of
        {fails, _, Sentence} -> Info#{state := fails, sentence => Sentence};
        _ -> Info#{state := HostState}
    end.

-spec container_info(string(), eid_socket:container(), #{binary() => true},
                     own(), #state{}) -> container_info().
container_info(Host, #{port := Port} = Container, Connected, Own,
               #state{settings = Settings, members = Members} = State) ->
    {Node, IsConnected, Failures} =
        case node_name(Host, Container, Settings) of
            {ok, Name} ->
                {unicode:characters_to_list(Name),
                 is_map_key(Name, Connected),
                 case Members of
                     #{Name := #member{failures = Count}} -> Count;
                     #{} -> 0
                 end};
            {error, _} ->
                {undefined, false, 0}
        end,
    Info = Container#{node => Node, connected => IsConnected,
                      failures => Failures,
                      port := case Port of
                                  {ok, Published} -> Published;
                                  {error, _} -> undefined
                              end},
    case reach(Host, Container, Own, State) of
        {error, {_, Sentence}} -> Info#{sentence => Sentence};
        own -> Info#{sentence => "this node's own container"};
        not_running -> Info#{sentence => "the container does not run"};
        {ok, _, _} -> Info
    end.

-spec label(#state{}) -> string().
label(#state{settings = #{label := Label}}) ->
    Label.

-spec now_ms() -> integer().
now_ms() ->
    erlang:monotonic_time(millisecond).
