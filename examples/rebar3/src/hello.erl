%% SPDX-License-Identifier: Apache-2.0

%% Greets the nodes that come, and tells of those that go.
-module(hello).
-behaviour(gen_server).

-export([start_link/0, init/1, handle_call/3, handle_cast/2, handle_info/2]).

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

-spec init([]) -> {ok, []}.
init([]) ->
    ok = net_kernel:monitor_nodes(true),
    {ok, []}.

-spec handle_call(term(), gen_server:from(), State) -> {reply, [node()], State}.
handle_call(_Request, _From, State) ->
    {reply, nodes(), State}.

-spec handle_cast(term(), State) -> {noreply, State}.
handle_cast(_Request, State) ->
    {noreply, State}.

-spec handle_info(term(), State) -> {noreply, State}.
handle_info({nodeup, Node}, State) ->
    io:format("hello, ~s~n", [Node]),
    {noreply, State};
handle_info({nodedown, Node}, State) ->
    io:format("goodbye, ~s~n", [Node]),
    {noreply, State}.
