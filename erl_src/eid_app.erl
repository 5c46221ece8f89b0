%% SPDX-License-Identifier: Apache-2.0

%% The eid application. The carrier itself works before any application is
%% started; this one says early, and under every carrier that uses eid_epmd,
%% what is wrong with the settings or the driver.
-module(eid_app).

-behaviour(application).

-export([start/2, stop/1]).

-spec start(application:start_type(), term()) ->
          {ok, pid()} | {error, term()}.
start(_Type, _Args) ->
    maybe_start(eid_settings:check(), eid_socket:load()).

-spec maybe_start(ok | {error, string()}, ok | {error, string()}) ->
          {ok, pid()} | {error, term()}.
maybe_start(ok, ok) ->
    {ok, _} = eid_sup:start_link();
maybe_start({error, Sentence}, _) ->
    {error, {bad_setting, Sentence}};
maybe_start(ok, {error, Sentence}) ->
    {error, {driver_not_loaded, Sentence}}.

-spec stop(term()) -> ok.
stop(_State) ->
    ok.
