%% SPDX-License-Identifier: Apache-2.0

%% The application's supervisor. Connections are not below it: each lives in its
%% port and in net_kernel's own process for it.
-module(eid_sup).

-behaviour(supervisor).

-export([start_link/0, init/1]).

-spec start_link() -> {ok, pid()} | ignore | {error, term()}.
start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

-spec init([]) -> {ok, {supervisor:sup_flags(),
                     [supervisor:child_spec()]}}.
init([]) ->
    {ok, {#{strategy => one_for_one},
          [#{id => eid_telemetry,
             start => {eid_telemetry, start_link, []}}
           | cluster(eid_settings:get(eid_cluster))]}}.

-spec cluster(off | eid_settings:cluster()) -> [supervisor:child_spec()].
cluster(off) ->
    [];
cluster(Settings) ->
    [#{id => eid_cluster, start => {eid_cluster, start_link, [Settings]}}].
