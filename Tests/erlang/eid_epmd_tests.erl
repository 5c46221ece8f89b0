%% SPDX-License-Identifier: Apache-2.0

-module(eid_epmd_tests).

-include_lib("eunit/include/eunit.hrl").

%% The callbacks of an epmd module, as kernel calls them.
callbacks_test() ->
    ?assertEqual(ignore, eid_epmd:start_link()),
    ?assertEqual({ok, -1}, eid_epmd:register_node(x, 12345)),
    ?assertEqual({ok, -1}, eid_epmd:register_node(x, 12345, inet)),
    ?assertEqual({ok, -1}, eid_epmd:register_node("x", 12345, inet6)),
    ?assertEqual({error, address}, eid_epmd:names()),
    ?assertEqual({error, address}, eid_epmd:names("127.0.0.1")).

listen_port_test() ->
    ?assertEqual({ok, 12345}, eid_epmd:listen_port_please(x, "host")),
    with(erlang_port, 0,
         fun() ->
                 ?assertEqual({ok, 0},
                              eid_epmd:listen_port_please(x, "host"))
         end).

%% An address is one without a resolver, which would start a helper program.
addresses_test() ->
    [?assertEqual(Wanted, eid_epmd:address_please("x", Host, Family))
     || {Host, Family, Wanted} <-
            [{"127.0.0.1", inet, {ok, {127, 0, 0, 1}}},
             {"::1", inet6, {ok, {0, 0, 0, 0, 0, 0, 0, 1}}},
             {"fe80::1%lo", inet, {error, eafnosupport}},
             {"::1", inet, {error, eafnosupport}},
             {"1.2.3.4", inet6, {ok, {0, 0, 0, 0, 0, 16#ffff, 258, 772}}},
             {{127, 0, 0, 1}, inet, {ok, {127, 0, 0, 1}}}]],
    ?assertEqual([], [Name || Port <- erlang:ports(),
                              {name, Name} <- [erlang:port_info(Port, name)],
                              string:find(Name, "inet_gethost")
                                  =/= nomatch]).

direct_test() ->
    with(eid_lookup, direct,
         fun() ->
                 ?assertEqual({port, 12345, 6},
                              eid_epmd:port_please("x", "127.0.0.1")),
                 ?assertEqual({port, 12345, 6},
                              eid_epmd:port_please(x, {127, 0, 0, 1}, 1000)),
                 with(erlang_port, 4711,
                      fun() ->
                              ?assertEqual({port, 4711, 6},
                                           eid_epmd:port_please("x", "h"))
                      end),
                 %% A node that takes any free port finds the others at the
                 %% default.
                 with(erlang_port, 0,
                      fun() ->
                              ?assertEqual({port, 12345, 6},
                                           eid_epmd:port_please("x", "h"))
                      end)
         end).

loopback_test() ->
    with(eid_lookup, loopback,
         fun() ->
                 ?assertEqual({ok, {127, 0, 0, 1}},
                              eid_epmd:address_please("x", "10.77.0.1",
                                                      inet)),
                 ?assertEqual({port, 12345, 6},
                              eid_epmd:port_please("x", {127, 0, 0, 1}))
         end).

loopback_address_of_its_own_test() ->
    with(eid_lookup, loopback,
         fun() ->
                 with(eid_loopback, "127.0.0.2",
                      fun() ->
                              ?assertEqual({ok, {127, 0, 0, 2}},
                                           eid_epmd:address_please(
                                             "x", "10.77.0.1", inet))
                      end),
                 with(eid_loopback, "::1",
                      fun() ->
                              %% The carrier tries both families.
                              ?assertEqual({error, eafnosupport},
                                           eid_epmd:address_please(
                                             "x", "10.77.0.1", inet)),
                              ?assertEqual({ok, {0, 0, 0, 0, 0, 0, 0, 1}},
                                           eid_epmd:address_please(
                                             "x", "10.77.0.1", inet6))
                      end)
         end).

wrong_setting_test() ->
    with(eid_lookup, wrong,
         fun() ->
                 ?assertMatch({error, {bad_setting, "the kernel setting" ++ _}},
                              eid_epmd:port_please("x", "127.0.0.1"))
         end).

%% What comes at the deadline is either returned or gone: a caller that lives on
%% would have to do with it else.
late_result_test_() ->
    {timeout, 60, fun late_result/0}.

late_result() ->
    Trapped = process_flag(trap_exit, true),
    ?assertEqual(done, eid_epmd:within(5000, fun() -> done end)),
    ?assertEqual({error, timeout},
                 eid_epmd:within(10, fun() -> timer:sleep(5000) end)),
    [?assert(lists:member(eid_epmd:within(1, fun() -> busy(Us) end),
                          [done, {error, timeout}]))
     || _ <- lists:seq(1, 5), Us <- lists:seq(900, 2500, 20)],
    ?assertEqual(nothing, receive Message -> Message after 50 -> nothing end),
    process_flag(trap_exit, Trapped).

busy(Us) ->
    End = erlang:monotonic_time(microsecond) + Us,
    busy_until(End).

busy_until(End) ->
    case erlang:monotonic_time(microsecond) of
        Now when Now < End -> busy_until(End);
        _ -> done
    end.

with(Key, Value, Fun) ->
    Before = application:get_env(kernel, Key),
    ok = application:set_env(kernel, Key, Value),
    try
        Fun()
    after
        case Before of
            {ok, Old} -> application:set_env(kernel, Key, Old);
            undefined -> application:unset_env(kernel, Key)
        end
    end.
