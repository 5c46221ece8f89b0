%% SPDX-License-Identifier: Apache-2.0
-module(hello_app).
-behaviour(application).

-export([start/2, stop/1]).

-spec start(application:start_type(), term()) -> supervisor:startlink_ret().
start(_Type, _Args) ->
    hello_sup:start_link().

-spec stop(term()) -> ok.
stop(_State) ->
    ok.
