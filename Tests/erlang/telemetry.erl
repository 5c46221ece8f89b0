%% SPDX-License-Identifier: Apache-2.0

%% A stand-in for the library `telemetry', which Debian does not have: an
%% application of that name with the same contract, as far as eid meets it.
%% Handlers run in the process that executes the event; one that fails is
%% detached; an event before the application runs is complained of.
-module(telemetry).

-behaviour(application).

-export([attach/4, list_handlers/0, execute/3, ensure_started/0]).

-export([start/2, stop/1]).

-spec ensure_started() -> ok.
ensure_started() ->
    _ = application:load({application, telemetry,
                          [{vsn, "1.3.0"}, {modules, [?MODULE]},
                           {registered, []},
                           {applications, [kernel, stdlib]},
                           {mod, {?MODULE, []}}]}),
    application:start(telemetry).

-spec attach(term(), [atom()], fun(), term()) -> ok.
attach(Id, Event, Function, Config) ->
    true = ets:insert(?MODULE, {Id, Event, Function, Config}),
    ok.

-spec list_handlers() -> [term()].
list_handlers() ->
    [Id || {Id, _, _, _} <- ets:tab2list(?MODULE)].

-spec execute([atom()], map(), map()) -> ok.
execute(Event, Measurements, Metadata) ->
    case ets:whereis(?MODULE) of
        undefined ->
            logger:warning("telemetry does not run");
        Table ->
            [try
                 Function(Event, Measurements, Metadata, Config)
             catch
                 _:_ -> ets:delete(Table, Id)
             end || {Id, Handled, Function, Config} <- ets:tab2list(Table),
                    Handled =:= Event],
            ok
    end.

-spec start(application:start_type(), term()) -> {ok, pid()}.
start(_Type, _Arguments) ->
    Caller = self(),
    Pid = spawn_link(fun() ->
                             _ = ets:new(?MODULE, [named_table, public, bag]),
                             Caller ! ready,
                             receive stop -> ok end
                     end),
    receive ready -> {ok, Pid} end.

-spec stop(term()) -> ok.
stop(_State) ->
    ok.
