%% SPDX-License-Identifier: Apache-2.0

%% The EUnit tests, which need no second node: each module in a VM of its own,
%% so that one that dies takes nothing with it.
-module(eid_eunit_SUITE).

-export([all/0, suite/0, settings/1, allow/1, epmd/1, tcp_dist/1,
         socket/1]).

suite() ->
    [{timetrap, {seconds, 60}}].

all() ->
    [settings, allow, epmd, tcp_dist, socket].

settings(_Config) ->
    eunit(eid_settings_tests).

allow(_Config) ->
    eunit(eid_allow_tests).

epmd(_Config) ->
    eunit(eid_epmd_tests).

tcp_dist(_Config) ->
    eunit(eid_tcp_dist_tests).

socket(_Config) ->
    eunit(eid_socket_tests).

eunit(Module) ->
    eid_peers:only("eid_tcp"),
    Eunit = filename:join(eid_peers:temp(), "eunit"),
    %% Without the settings of the suites' nodes.
    {Status, Output} =
        eid_proc:erl(["-boot", "no_dot_erlang", "-pz", Eunit,
                      filename:dirname(code:which(Module)),
                      "-eval",
                      lists:concat(["case eunit:test(", Module, ", [verbose]) "
                                    "of ok -> halt(0); _ -> halt(1) end."])]),
    ct:pal("~ts", [Output]),
    Status =:= 0 orelse ct:fail("~ts", [Output]).
