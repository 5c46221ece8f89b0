%% SPDX-License-Identifier: Apache-2.0

%% What demo/run asks the nodes of its cluster: how long a round trip takes,
%% and how they find a node again that went away.
-module(eid_demo).
-behaviour(gen_server).

-export([start/0, join/1, round_trips/2, watch/1, found/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(WARM_UP_CALLS, 50).
-define(PAUSE_MS, 50).

-type found() :: {Published :: inet:port_number(), WithoutMs :: pos_integer()}.
-type state() :: idle
               | {watching, node(), LostAt :: undefined | integer()}
               | {found, found()}.

-spec start() -> ok.
start() ->
    {ok, _} = gen_server:start({local, ?MODULE}, ?MODULE, [], []),
    ok.

%% Connects to Nodes; the cluster does the rest (global connects all to all).
-spec join([node()]) -> [node()].
join(Nodes) ->
    [Node || Node <- Nodes, net_adm:ping(Node) =:= pong].

%% The median of Count gen_server calls to Node, in microseconds.
-spec round_trips(node(), pos_integer()) -> non_neg_integer().
round_trips(Node, Count) ->
    _ = [round_trip(Node) || _ <- lists:seq(1, ?WARM_UP_CALLS)],
    Times = lists:sort([round_trip(Node) || _ <- lists:seq(1, Count)]),
    lists:nth((Count + 1) div 2, Times).

-spec round_trip(node()) -> non_neg_integer().
round_trip(Node) ->
    Start = erlang:monotonic_time(),
    pong = gen_server:call({?MODULE, Node}, ping),
    Time = erlang:monotonic_time() - Start,
    erlang:convert_time_unit(Time, native, microsecond).

%% From now on, should Node go away, this node looks for it until it is back.
-spec watch(node()) -> ok.
watch(Node) ->
    gen_server:call(?MODULE, {watch, Node}).

%% Under which published port the watched node was found again, and how long
%% this node was without it.
-spec found() -> found() | not_yet.
found() ->
    gen_server:call(?MODULE, found, infinity).

-spec init([]) -> {ok, state()}.
init([]) ->
    ok = net_kernel:monitor_nodes(true),
    {ok, idle}.

-spec handle_call(term(), gen_server:from(), state()) ->
          {reply, term(), state()}.
handle_call(ping, _From, State) ->
    {reply, pong, State};
handle_call({watch, Node}, _From, _State) ->
    {reply, ok, {watching, Node, undefined}};
handle_call(found, _From, {found, Found} = State) ->
    {reply, Found, State};
handle_call(found, _From, State) ->
    {reply, not_yet, State}.

-spec handle_cast(term(), state()) -> {noreply, state()}.
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), state()) -> {noreply, state()}.
handle_info({nodedown, Node}, {watching, Node, _}) ->
    look_for(Node),
    {noreply, {watching, Node, erlang:monotonic_time(millisecond)}};
handle_info({nodeup, Node}, {watching, Node, LostAt})
  when is_integer(LostAt) ->
    Without = erlang:monotonic_time(millisecond) - LostAt,
    {noreply, {found, {published_port(Node), Without}}};
handle_info(_, State) ->
    {noreply, State}.

%% An ordinary connection attempt is all that it takes: each one asks the
%% Docker daemon of the node's host anew for the published port.
-spec look_for(node()) -> pid().
look_for(Node) ->
    spawn_link(fun Look() ->
                       case net_kernel:connect_node(Node) of
                           true -> ok;
                           false -> timer:sleep(?PAUSE_MS), Look()
                       end
               end).

-spec published_port(node()) -> inet:port_number().
published_port(Node) ->
    [Name, Host] = string:split(atom_to_list(Node), "@"),
    {ok, Ip} = eid_epmd:address_please(Name, Host, inet),
    {port, Port, _} = eid_epmd:port_please(Name, Ip),
    Port.
