%% SPDX-License-Identifier: Apache-2.0

-module(eid_settings_tests).

-include_lib("eunit/include/eunit.hrl").

-define(KEYS, [erlang_port, docker_daemon_port, docker_dameon_port,
               docker_tls, docker_cert_path, docker_tls_name, docker_host,
               docker_hosts,
               eid_lookup, eid_lookup_timeout, inet_dist_use_interface,
               eid_allow, eid_handshake_limit, eid_handshake_source_limit,
               eid_log_interval, eid_cluster,
               eid_high_watermark, eid_low_watermark, eid_staging_limit,
               eid_unsent_limit, eid_near_receive_buffer,
               eid_receive_chunk]).

%% Each test begins with nothing set, and leaves the VM's settings as they were.
settings_test_() ->
    {foreach,
     fun() ->
             Before = [{Key, application:get_env(kernel, Key)}
                       || Key <- ?KEYS],
             [application:unset_env(kernel, Key) || Key <- ?KEYS],
             Before
     end,
     fun(Before) ->
             [case Value of
                  {ok, Old} -> application:set_env(kernel, Key, Old);
                  undefined -> application:unset_env(kernel, Key)
              end || {Key, Value} <- Before]
     end,
     [{"defaults", fun defaults/0}, {"limits", fun limits/0},
      {"wrong values", fun wrong_values/0},
      {"cluster", fun cluster/0},
      {"cluster, of the environment", fun cluster_of_environment/0},
      {"wrong clusters", fun wrong_clusters/0},
      {"sizes", fun sizes/0}, {"hosts that differ", fun hosts/0},
      {"daemons elsewhere", fun addresses/0},
      {"daemons elsewhere, of the environment",
       fun addresses_of_environment/0},
      {"wrong addresses", fun wrong_addresses_are_told/0},
      {"Docker's environment", fun environment/0},
      {"the old name", fun old_name/0}]}.

defaults() ->
    ?assertEqual(ok, eid_settings:check()),
    ?assertEqual(12345, eid_settings:get(erlang_port)),
    ?assertEqual(4243, eid_settings:get(docker_daemon_port)),
    ?assertEqual(docker, eid_settings:get(eid_lookup)),
    ?assertEqual(5000, eid_settings:get(eid_lookup_timeout)),
    ?assertEqual(512, eid_settings:get(eid_handshake_limit)),
    ?assertEqual(256, eid_settings:get(eid_handshake_source_limit)),
    ?assertEqual(60000, eid_settings:get(eid_log_interval)),
    ?assertEqual(off, eid_settings:get(eid_cluster)).

limits() ->
    [begin
         set(Key, Value),
         ?assertEqual(Value, eid_settings:get(Key)),
         ?assertEqual(ok, eid_settings:check())
     end || {Key, Values} <- [{erlang_port, [0, 1, 65535]},
                              {docker_daemon_port, [1, 65535]},
                              {docker_tls, [true, false]},
                              {docker_cert_path, ["/x"]},
                              {docker_tls_name, ["x.y"]},
                              {docker_hosts, [[], [{"h", []}],
                                              [{"::1", [{port, 1},
                                                        {tls, true},
                                                        {cert_path, "/x"},
                                                        {tls_name, "y"}]}]]},
                              {eid_lookup, [docker, direct, loopback]},
                              {eid_lookup_timeout, [1, 120000]},
                              {eid_allow, [[], ["10.0.0.0/8", "::1"]]},
                              {eid_handshake_limit, [1, 1000000]},
                              {eid_handshake_source_limit, [1, 1000000]},
                              {eid_log_interval, [0, 86400000]}],
            Value <- Values].

wrong_values() ->
    [begin
         set(Key, Value),
         Sentence = sentence(Key, Value),
         ?assertError({bad_setting, Sentence}, eid_settings:get(Key)),
         ?assertEqual({error, Sentence}, eid_settings:check()),
         application:unset_env(kernel, Key)
     end || {Key, Values} <- [{erlang_port, [-1, 65536, 1.0, "1", <<"1">>]},
                              {docker_daemon_port, [-1, 0, 65536, []]},
                              {docker_tls, [yes, 1, "true"]},
                              {docker_cert_path, [[], x, "/\000"]},
                              {docker_tls_name, [[], x]},
                              {docker_hosts, [x, [{h, []}], [{"h", x}],
                                              [{"h", [{port, 0}]}],
                                              [{"h", [{tls, 1}]}],
                                              [{"h", [{tsl, true}]}], ["h"],
                                              [{"h", []} | x],
                                              [{"h", [{port, 1} | x]}]]
                                             ++ [[{"h", [{address, A}]}]
                                                 || A <- wrong_addresses()]},
                              {eid_lookup, [dns, "direct", undefined]},
                              {eid_lookup_timeout, [-1, 0, 120001, infinity]},
                              {eid_allow, ["10.0.0.0/8", ["10.0.0.0/33"],
                                           [{10, 0, 0, 1}], none,
                                           ["10.0.0.1" | x]]},
                              {eid_handshake_limit, [0, -1, infinity]},
                              {eid_handshake_source_limit, [0, 1.0]},
                              {eid_log_interval, [-1, 86400001,
                                                  infinity]}],
            Value <- Values].

cluster() ->
    Cluster = #{label => "a=b", hosts => ["10.0.0.1", "fd00::1", "h-1"],
                interval => 10000, node_name => id},
    set(eid_cluster, [{label, "a=b"}, {hosts, ["10.0.0.1", "fd00::1", "h-1"]}]),
    ?assertEqual(ok, eid_settings:check()),
    ?assertEqual(Cluster, eid_settings:get(eid_cluster)),
    %% As Elixir has it.
    set(eid_cluster, [{hosts, [<<"10.0.0.1">>, <<"fd00::1">>, <<"h-1">>]},
                      {interval, 1000}, {node_name, name},
                      {label, <<"a=b">>}]),
    ?assertEqual(Cluster#{interval := 1000, node_name := name},
                 eid_settings:get(eid_cluster)),
    set(eid_cluster, [{label, [$k, $=, 252]}, {hosts, ["h"]}]),
    ?assertMatch(#{label := [$k, $=, 252]}, eid_settings:get(eid_cluster)),
    set(eid_cluster, off),
    ?assertEqual(off, eid_settings:get(eid_cluster)).

cluster_of_environment() ->
    with_environment(
      ["EID_CLUSTER_LABEL", "EID_CLUSTER_HOSTS"],
      fun() ->
              true = os:putenv("EID_CLUSTER_LABEL", "a=b"),
              true = os:putenv("EID_CLUSTER_HOSTS", "10.0.0.1, 10.0.0.2"),
              ?assertMatch(#{label := "a=b", hosts := ["10.0.0.1", "10.0.0.2"],
                             interval := 10000},
                           eid_settings:get(eid_cluster)),
              %% The setting goes before.
              set(eid_cluster, [{label, "c"}, {hosts, ["h"]}]),
              ?assertMatch(#{label := "c"}, eid_settings:get(eid_cluster)),
              set(eid_cluster, off),
              ?assertEqual(off, eid_settings:get(eid_cluster)),
              application:unset_env(kernel, eid_cluster),
              [begin
                   true = os:putenv("EID_CLUSTER_LABEL", Label),
                   true = os:putenv("EID_CLUSTER_HOSTS", Hosts),
                   {error, Sentence} = eid_settings:check(),
                   [?assertNotEqual(nomatch, string:find(Sentence, Word))
                    || Word <- [Words, "EID_CLUSTER_LABEL",
                                "EID_CLUSTER_HOSTS"]]
               end || {Label, Hosts, Words} <-
                          [{"a=b", "", "is not set"}, {"", "h", "is not set"},
                           {"a=b", "h,", "has the host"},
                           {"a=b", "h h", "has the host"},
                           {"=b", "h", "has the label"}]],
              true = os:putenv("EID_CLUSTER_LABEL", ""),
              true = os:putenv("EID_CLUSTER_HOSTS", ""),
              ?assertEqual(off, eid_settings:get(eid_cluster))
      end).

wrong_clusters() ->
    Good = [{label, "a=b"}, {hosts, ["10.0.0.1"]}],
    [begin
         set(eid_cluster, Value),
         {error, Sentence} = eid_settings:check(),
         ?assertError({bad_setting, Sentence}, eid_settings:get(eid_cluster)),
         ?assertNotEqual(nomatch, string:find(Sentence, Words)),
         ?assertNotEqual(nomatch, string:find(Sentence, "eid_cluster"))
     end || {Value, Words} <-
                [{on, "is no list"}, {#{}, "is no list"},
                 {[{label, "a"} | x], "is no list"},
                 {[], "has no label"}, {[{label, "a"}], "has no hosts"},
                 {[{hosts, ["h"]}], "has no label"},
                 {[{label, ""}, {hosts, ["h"]}], "has the label []"},
                 {[{label, "=x"}, {hosts, ["h"]}], "has the label"},
                 {[{label, "a\nb"}, {hosts, ["h"]}], "has the label"},
                 {[{label, a}, {hosts, ["h"]}], "has the label a"},
                 {[{label, <<255>>}, {hosts, ["h"]}], "has the label"},
                 {[{label, lists:duplicate(1025, $a)}, {hosts, ["h"]}],
                  "has the label"},
                 {[{label, "a"}, {hosts, "10.0.0.1"}], "has the host"},
                 {[{label, "a"}, {hosts, []}], "for hosts"},
                 {[{label, "a"}, {hosts, ["h@x"]}], "has the host"},
                 {[{label, "a"}, {hosts, [{10, 0, 0, 1}]}], "has the host"},
                 {[{label, "a"}, {hosts, ["h", <<"h">>]}], "twice"},
                 {[{interval, 999} | Good], "the interval 999"},
                 {[{interval, infinity} | Good], "the interval infinity"},
                 {[{node_name, full} | Good], "full for node_name"},
                 {[{lable, "a"} | Good], "which is none of label"},
                 {[label | Good], "which is none of label"}]].

%% Those that are set go to the driver, which has the defaults.
sizes() ->
    ?assertEqual([], eid_settings:tuning()),
    set(eid_low_watermark, 5),
    set(eid_unsent_limit, 0),
    set(eid_high_watermark, 1 bsl 30),
    ?assertEqual(ok, eid_settings:check()),
    ?assertEqual([{high_watermark, 1 bsl 30}, {low_watermark, 5},
                  {unsent_limit, 0}], eid_settings:tuning()),
    [begin
         set(Key, Value),
         {error, Sentence} = eid_settings:check(),
         ?assertEqual(lists:flatten(
                        io_lib:format("the kernel setting ~s is ~tp, but must "
                                      "be a number of bytes from ~w to "
                                      "1073741824", [Key, Value, Least])),
                      Sentence),
         application:unset_env(kernel, Key)
     end || {Key, Least} <- [{eid_high_watermark, 1}, {eid_low_watermark, 0},
                             {eid_staging_limit, 0}, {eid_unsent_limit, 0},
                             {eid_near_receive_buffer, 0},
                             {eid_receive_chunk, 4096}],
            Value <- [Least - 1, (1 bsl 30) + 1, "64KB", 1.0]].

hosts() ->
    set(docker_tls, true),
    set(docker_cert_path, "/all"),
    set(docker_hosts, [{"10.0.0.1", [{tls, false}, {port, 1}]},
                       {"::1", [{cert_path, "/six"}]},
                       {"h.test", [{tls_name, "n"}]}]),
    All = #{address => {10, 0, 0, 2}, port => 4243, tls => true,
            cert_path => "/all", tls_name => {10, 0, 0, 2}},
    One = {0, 0, 0, 0, 0, 0, 0, 1},
    ?assertEqual(All, daemon(undefined, {10, 0, 0, 2})),
    ?assertEqual(All#{tls_name := "other.test"},
                 daemon("other.test", {10, 0, 0, 2})),
    ?assertEqual(All#{address := {10, 0, 0, 1}, tls := false, port := 1,
                      tls_name := {10, 0, 0, 1}},
                 daemon(undefined, {10, 0, 0, 1})),
    ?assertEqual(All#{address := One, cert_path := "/six", tls_name := One},
                 daemon("0::1", One)),
    ?assertEqual(All#{tls_name := "n"}, daemon("h.test", {10, 0, 0, 2})),
    set(docker_hosts, [{"h", wrong}]),
    ?assertError({bad_setting, _}, daemon(undefined, {10, 0, 0, 1})).

daemon(Host, Ip) ->
    eid_docker_setting:daemon(Host, Ip).

%% A daemon with an address of its own.
addresses() ->
    set(docker_cert_path, "/c"),
    Ip = {10, 0, 0, 1},
    [begin
         set(docker_hosts, [{"10.0.0.1", Options}]),
         ?assertEqual(ok, eid_settings:check()),
         ?assertEqual(#{address => Address, port => Port, tls => Tls,
                        cert_path => "/c", tls_name => Name},
                      daemon("h.test", Ip))
     end || {Options, Address, Port, Tls, Name} <-
                [{[{address, "tcp://10.9.0.1:1"}], {10, 9, 0, 1}, 1, false,
                  {10, 9, 0, 1}},
                 {[{address, "tcp://10.9.0.1"}], {10, 9, 0, 1}, 2375, false,
                  {10, 9, 0, 1}},
                 {[{address, "https://d.test"}], "d.test", 2376, true,
                  "d.test"},
                 {[{address, "http://d.test:80/"}, {tls_name, "n"}],
                  "d.test", 80, false, "n"},
                 {[{port, 7}, {address, "tcp://[fd00::1]:8"}, {tls, true}],
                  {16#fd00, 0, 0, 0, 0, 0, 0, 1}, 7, true,
                  {16#fd00, 0, 0, 0, 0, 0, 0, 1}}]],
    %% As Elixir has it.
    set(docker_hosts, [{<<"10.0.0.1">>, [{address, <<"tcp://10.9.0.1">>},
                                         {tls_name, <<"n">>}]}]),
    set(docker_host, <<"tcp://10.0.0.5:5">>),
    set(docker_cert_path, <<"/c">>),
    set(eid_allow, [<<"10.0.0.0/8">>]),
    ?assertEqual(ok, eid_settings:check()),
    ?assertMatch(#{address := {10, 9, 0, 1}, tls_name := "n",
                   cert_path := "/c"}, daemon(undefined, Ip)),
    ?assertMatch(#{port := 5}, daemon(undefined, {10, 0, 0, 5})),
    application:unset_env(kernel, docker_host),
    set(docker_hosts, [{"10.0.0.1", [{address, "https://d.test"}]}]),
    set(docker_tls, true),
    ?assertMatch(#{tls := true}, daemon("h.test", Ip)),
    set(docker_hosts, [{"h.test", [{address, "http://d.test"}]}]),
    ?assertMatch(#{tls := false, address := "d.test"}, daemon("h.test", Ip)),
    ?assertMatch(#{tls := true, address := Ip}, daemon("other.test", Ip)).

wrong_addresses() ->
    ["", "10.0.0.1:1", "10.0.0.1", "tcp://", "tcp://:1", "tcp://h:0",
     "tcp://h:65536", "tcp://h:x", "tcp://h/v1", "unix:///var/run/docker.sock",
     "ssh://h", "ftp://h", 'tcp://h', {10, 0, 0, 1}].

addresses_of_environment() ->
    with_environment(
      ["EID_DOCKER_HOSTS", "DOCKER_HOST", "DOCKER_TLS_VERIFY"],
      fun() ->
              Ip = {10, 0, 0, 1},
              true = os:putenv("EID_DOCKER_HOSTS",
                               "10.0.0.1=tcp://10.9.0.1:1, "
                               "h.test=https://d.test"),
              ?assertEqual(ok, eid_settings:check()),
              ?assertMatch(#{address := {10, 9, 0, 1}, port := 1,
                             tls := false}, daemon(undefined, Ip)),
              ?assertMatch(#{address := "d.test", port := 2376, tls := true},
                           daemon("h.test", {10, 0, 0, 2})),
              %% That of Docker's client says something of one host.
              true = os:putenv("DOCKER_HOST", "tcp://10.0.0.3:3"),
              ?assertMatch(#{address := {10, 0, 0, 3}, port := 3},
                           daemon(undefined, {10, 0, 0, 3})),
              ?assertMatch(#{address := {10, 0, 0, 4}, port := 4243},
                           daemon(undefined, {10, 0, 0, 4})),
              true = os:putenv("DOCKER_HOST", "tcp://10.0.0.1:3"),
              ?assertMatch(#{port := 1}, daemon(undefined, Ip)),
              %% Settings go before.
              set(docker_hosts, []),
              ?assertMatch(#{address := Ip, port := 3}, daemon("x", Ip)),
              set(docker_host, "https://10.0.0.1"),
              ?assertMatch(#{address := Ip, port := 2376, tls := true},
                           daemon("x", Ip)),
              application:unset_env(kernel, docker_host),
              [begin
                   true = os:putenv("DOCKER_HOST", Local),
                   ?assertEqual([], eid_settings:get(docker_host))
               end || Local <- ["", "unix:///var/run/docker.sock",
                                "ssh://u@10.0.0.1", "tcp://:2375"]]
      end).

wrong_addresses_are_told() ->
    Says = fun(Key, Words) ->
                   {error, Sentence} = eid_settings:check(),
                   ?assertError({bad_setting, Sentence},
                                eid_settings:get(Key)),
                   [?assertNotEqual(nomatch, string:find(Sentence, Word))
                    || Word <- Words]
           end,
    with_environment(
      ["EID_DOCKER_HOSTS", "DOCKER_HOST"],
      fun() ->
              [begin
                   true = os:putenv("EID_DOCKER_HOSTS", Text),
                   Says(docker_hosts,
                        ["EID_DOCKER_HOSTS", Text, "10.77.0.2=tcp://"])
               end || Text <- ["h", "=tcp://h", "h=", "h=h:1",
                               "h=unix:///x", "a=tcp://b,c"]],
              true = os:putenv("EID_DOCKER_HOSTS", ""),
              [begin
                   true = os:putenv("DOCKER_HOST", Text),
                   Says(docker_host,
                        ["DOCKER_HOST", Text, "tcp://10.77.0.2:2376"])
               end || Text <- ["h", "tcp://h:0", "10.0.0.1:2375"]],
              true = os:putenv("DOCKER_HOST", ""),
              [begin
                   set(docker_host, Wrong),
                   Says(docker_host, ["docker_host", "tcp://10.77.0.2:2376"])
               end || Wrong <- wrong_addresses()]
      end).

%% With none of them set, and then as they were.
with_environment(Names, Fun) ->
    Before = [{Name, os:getenv(Name)} || Name <- Names],
    try
        [os:unsetenv(Name) || Name <- Names],
        Fun()
    after
        [case Value of
             false -> os:unsetenv(Name);
             _ -> os:putenv(Name, Value)
         end || {Name, Value} <- Before]
    end.

environment() ->
    with_environment(
      ["DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "HOME"],
      fun() ->
              true = os:putenv("HOME", "/home/x"),
              ?assertEqual(false, eid_settings:get(docker_tls)),
              ?assertEqual("/home/x/.docker",
                           eid_settings:get(docker_cert_path)),
              true = os:putenv("DOCKER_TLS_VERIFY", ""),
              true = os:putenv("DOCKER_CERT_PATH", "/env"),
              ?assertEqual(false, eid_settings:get(docker_tls)),
              ?assertEqual("/env", eid_settings:get(docker_cert_path)),
              true = os:putenv("DOCKER_TLS_VERIFY", "0"),
              ?assertEqual(true, eid_settings:get(docker_tls)),
              set(docker_tls, false),
              set(docker_cert_path, "/set"),
              ?assertEqual(false, eid_settings:get(docker_tls)),
              ?assertEqual("/set", eid_settings:get(docker_cert_path))
      end).

old_name() ->
    set(docker_dameon_port, 99),
    ?assertEqual(99, eid_settings:get(docker_daemon_port)),
    set(docker_dameon_port, x),
    ?assertError({bad_setting, _}, eid_settings:get(docker_daemon_port)),
    set(docker_daemon_port, 98),
    ?assertEqual(98, eid_settings:get(docker_daemon_port)).

set(Key, Value) ->
    ok = application:set_env(kernel, Key, Value).

sentence(Key, Value) ->
    Allowed = case Key of
                  erlang_port ->
                      "a port number from 1 to 65535, or 0 for any free port";
                  docker_daemon_port ->
                      "a port number from 1 to 65535";
                  docker_tls ->
                      "true or false";
                  docker_cert_path ->
                      "a directory as a string, such as \"/etc/eid/docker\"";
                  docker_tls_name ->
                      "the name in the daemons' certificates, such as "
                          "\"docker.example\"";
                  docker_hosts ->
                      "a list of hosts with their settings (address, port, "
                          "tls, cert_path, tls_name), such as "
                          "[{\"10.77.0.2\", [{address, "
                          "\"tcp://192.168.5.2:2376\"}, {tls, true}]}]";
                  eid_lookup ->
                      "docker, direct or loopback";
                  eid_lookup_timeout ->
                      "a number of milliseconds from 1 to 120000";
                  eid_allow ->
                      "a list of addresses and networks, such as "
                          "[\"10.77.0.0/16\", \"fd00::1\"]";
                  eid_log_interval ->
                      "a number of milliseconds from 0 to 86400000 (a day)";
                  _ ->
                      "a number of connections, at least 1"
              end,
    lists:flatten(io_lib:format("the kernel setting ~s is ~tp, but must be ~s",
                                [Key, Value, Allowed])).
