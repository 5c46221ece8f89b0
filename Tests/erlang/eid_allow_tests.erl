%% SPDX-License-Identifier: Apache-2.0

-module(eid_allow_tests).

-include_lib("eunit/include/eunit.hrl").

-define(OTHER, {192, 0, 2, 1}).

allow_test_() ->
    {foreach, fun() -> application:get_env(kernel, eid_allow) end,
     fun({ok, Before}) -> application:set_env(kernel, eid_allow, Before);
        (undefined) -> application:unset_env(kernel, eid_allow)
     end,
     [{"all, without it", fun all/0}, {"addresses", fun addresses/0},
      {"networks", fun networks/0}, {"IPv6", fun ipv6/0},
      {"changes", fun changes/0}, {"mistakes", fun mistakes/0},
      {"syntax", fun syntax/0}]}.

all() ->
    application:unset_env(kernel, eid_allow),
    ?assert(eid_allow:allows(?OTHER)),
    set(all),
    ?assert(eid_allow:allows(?OTHER)).

addresses() ->
    set(["10.0.0.1", "10.0.0.3"]),
    ?assertEqual([true, false, true, false],
                 [eid_allow:allows({10, 0, 0, N}) || N <- [1, 2, 3, 4]]),
    %% As Elixir has it.
    set([<<"10.0.0.2">>]),
    ?assertEqual([false, true],
                 [eid_allow:allows({10, 0, 0, N}) || N <- [1, 2]]),
    set([]),
    ?assertNot(eid_allow:allows(?OTHER)).

networks() ->
    %% Length, the last address inside, the first outside.
    [begin
         set([Network]),
         ?assertEqual({Network, true}, {Network, eid_allow:allows(In)}),
         ?assertEqual({Network, false}, {Network, eid_allow:allows(Out)})
     end
     || {Network, In, Out} <-
            [{"10.77.0.0/16", {10, 77, 255, 255}, {10, 78, 0, 0}},
             {"10.77.0.0/15", {10, 77, 255, 255}, {10, 78, 0, 0}},
             {"10.77.1.2/16", {10, 77, 0, 0}, {10, 76, 255, 255}},
             {"10.0.0.8/29", {10, 0, 0, 15}, {10, 0, 0, 16}},
             {"10.0.0.8/32", {10, 0, 0, 8}, {10, 0, 0, 9}},
             {"128.0.0.0/1", {255, 0, 0, 1}, {127, 255, 255, 255}}]],
    set(["0.0.0.0/0"]),
    ?assert(eid_allow:allows(?OTHER)),
    ?assertNot(eid_allow:allows({0, 0, 0, 0, 0, 0, 0, 1})).

ipv6() ->
    set(["fd00::/8", "2001:db8::1"]),
    ?assert(eid_allow:allows({16#fdff, 1, 2, 3, 4, 5, 6, 7})),
    ?assertNot(eid_allow:allows({16#fe00, 1, 2, 3, 4, 5, 6, 7})),
    ?assert(eid_allow:allows({16#2001, 16#db8, 0, 0, 0, 0, 0, 1})),
    ?assertNot(eid_allow:allows({16#2001, 16#db8, 0, 0, 0, 0, 0, 2})),
    %% Four bytes are not the first four of an IPv6 network.
    ?assertNot(eid_allow:allows({16#fd, 0, 0, 1})),
    set(["::ffff:10.0.0.0/120", "10.0.1.1"]),
    ?assert(eid_allow:allows({0, 0, 0, 0, 0, 16#ffff, 10 bsl 8, 257})).

changes() ->
    set(["10.0.0.1"]),
    ?assertNot(eid_allow:allows(?OTHER)),
    set(["10.0.0.1", "192.0.2.0/24"]),
    ?assert(eid_allow:allows(?OTHER)).

%% Set by hand while the node runs, past the check at its start.
mistakes() ->
    [begin
         set(Value),
         ?assertEqual({Value, false}, {Value, eid_allow:allows(?OTHER)})
     end || Value <- ["192.0.2.1", 7, [7], ["192.0.2.0/33"], [""], none]],
    set(["nonsense", "192.0.2.1"]),
    ?assert(eid_allow:allows(?OTHER)).

syntax() ->
    [?assertEqual({Text, true}, {Text, eid_allow:is_network(Text)})
     || Text <- ["1.2.3.4", "1.2.3.4/0", "::", "::/128", "fe80::1/64"]],
    [?assertEqual({Text, false}, {Text, eid_allow:is_network(Text)})
     || Text <- ["", "/8", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3",
                 "1.2.3.4/8/9", "::/129", "host", "1.2.3.4 ", 7, x, [],
                 {1, 2, 3, 4}, "1.2.3.4/+8x"]].

set(Value) ->
    application:set_env(kernel, eid_allow, Value).
