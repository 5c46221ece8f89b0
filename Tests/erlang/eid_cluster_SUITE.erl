%% SPDX-License-Identifier: Apache-2.0

%% Nodes that join their cluster by eid_cluster, with daemons that answer well,
%% badly or not at all. (Tests/cluster/run has real ones.)
-module(eid_cluster_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_testcase/2, end_per_testcase/2]).

-export([off_by_default/1, listed_nodes_are_joined/1,
         by_the_environment/1, a_label_without_a_locale/1, by_name/1,
         the_requests/1, a_hostile_label_is_one_label/1,
         a_remote_shell_joins_nothing/1,
         a_node_that_does_not_listen_joins_nothing/1,
         a_node_that_is_not_distributed_yet/1, what_is_left_out/1,
         a_setting_that_becomes_wrong/1,
         a_container_that_is_gone_is_not_tried/1,
         an_absent_node_is_tried_less_and_less/1,
         a_lost_connection_is_made_again/1,
         a_restart_while_it_rests_is_not_hammered/1, bad_lists/1,
         a_daemon_that_hangs_holds_up_no_other/1,
         an_event_brings_a_list/1, a_flood_of_events/1,
         events_are_refused/1, events_that_never_begin/1,
         a_stream_without_its_daemon/1,
         each_list_that_is_wanted_comes/1,
         nothing_is_kept_of_containers/1, many_containers/1,
         many_containers_to_try/1,
         when_atoms_run_out/1, when_a_host_names_too_many/1]).

-define(LABEL, "com.example.cluster=shop").

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [off_by_default, listed_nodes_are_joined, by_the_environment,
     a_label_without_a_locale, by_name, the_requests,
     a_hostile_label_is_one_label,
     a_remote_shell_joins_nothing, a_node_that_does_not_listen_joins_nothing,
     a_node_that_is_not_distributed_yet,
     what_is_left_out, a_setting_that_becomes_wrong,
     a_container_that_is_gone_is_not_tried,
     an_absent_node_is_tried_less_and_less, a_lost_connection_is_made_again,
     a_restart_while_it_rests_is_not_hammered, bad_lists,
     a_daemon_that_hangs_holds_up_no_other,
     an_event_brings_a_list, a_flood_of_events, events_are_refused,
     events_that_never_begin, a_stream_without_its_daemon,
     each_list_that_is_wanted_comes, nothing_is_kept_of_containers,
     many_containers, many_containers_to_try, when_atoms_run_out,
     when_a_host_names_too_many].

init_per_suite(Config) ->
    ok = eid_peers:only("eid_tcp"),
    Config.

end_per_suite(_Config) ->
    ok.

%% A daemon with a node on its host, and a host for the node under test.
init_per_testcase(_Case, Config) ->
    Host = eid_peers:host(),
    [{host, Host}, {daemon, eid_daemon:start(Host)},
     {id, eid_daemon:container()} | Config].

end_per_testcase(_Case, Config) ->
    eid_daemon:stop(proplists:get_value(daemon, Config)).

%% ---------------------------------------------------------------------
%% Who joins
%% ---------------------------------------------------------------------

off_by_default(_Config) ->
    A = started(#{}),
    undefined = eid_peers:call(A, eid_cluster, info, []),
    undefined = eid_peers:call(A, erlang, whereis, [eid_cluster]),
    ok.

listed_nodes_are_joined(Config) ->
    {Daemon, Host, B} = listed_node(Config),
    A = joining([Host]),
    until_connected(A, B),
    [_] = eid_peers:await_log(A, "eid: cluster " ?LABEL ": 1 container on 1 "
                              "of 1 host"),
    #{label := ?LABEL, joins := true, interval := 1000,
      hosts := #{Host := #{state := answers, events := false,
                           containers := [#{connected := true,
                                            failures := 0, node := Node,
                                            port := Port,
                                            state := <<"running">>}]}}} =
        eid_peers:call(A, eid_cluster, info, []),
    Node = atom_to_list(maps:get(node, B)),
    Port = eid_peers:port(),
    [] = eid_peers:logged(A, "cannot connect"),
    true = length(eid_daemon:requests(Daemon)) > 1,
    ok.

by_the_environment(Config) ->
    {_Daemon, Host, B} = listed_node(Config),
    A = started(
          #{name => "a", kernel => kernel(),
            env => [{"EID_CLUSTER_LABEL", ?LABEL},
                    {"EID_CLUSTER_HOSTS", Host ++ ", 127.0.0.1"}]}),
    until_connected(A, B),
    #{interval := 10000, hosts := #{Host := _, "127.0.0.1" := _}} =
        eid_peers:call(A, eid_cluster, info, []),
    ok.

%% As containers are, whose node takes what is in the environment for Latin-1.
a_label_without_a_locale(Config) ->
    {Daemon, Host, B} = listed_node(Config),
    A = eid_peers:start(#{name => "a", kernel => kernel(),
                          env => [{"LC_ALL", "C"}]}),
    Bytes = binary_to_list(<<"k=\x{f6}\x{20ac}"/utf8>>),
    true = eid_peers:call(A, os, putenv, ["EID_CLUSTER_LABEL", Bytes]),
    true = eid_peers:call(A, os, putenv, ["EID_CLUSTER_HOSTS", Host]),
    {ok, _} = eid_peers:call(A, application, ensure_all_started, [eid]),
    until_connected(A, B),
    #{label := "k=\x{f6}\x{20ac}"} = eid_peers:call(A, eid_cluster, info, []),
    [<<"GET /containers/json?filters=%7B%22label%22%3A%5B%22"
       "k%3D%C3%B6%E2%82%AC%22%5D%7D HTTP/1.1">> | _] =
        asked(Daemon, "GET /containers/json"),
    ok.

by_name(Config) ->
    Daemon = proplists:get_value(daemon, Config),
    Host = proplists:get_value(host, Config),
    B = eid_peers:start(#{name => "shop-1", host => Host}),
    Container = #{name => "shop-1"},
    ok = eid_daemon:set(Daemon, list,
                        list([eid_daemon:listed(
                                proplists:get_value(id, Config),
                                Container)])),
    ok = eid_daemon:set(Daemon, "shop-1",
                        eid_daemon:answer("200 OK",
                                          eid_daemon:inspect("shop-1"))),
    A = joining([Host], [{node_name, name}]),
    until_connected(A, B).

the_requests(Config) ->
    {Daemon, Host, _B} = listed_node(Config),
    _A = joining([Host]),
    Lines = eid_peers:until(
              fun() ->
                      case lists:usort(lines(Daemon)) of
                          [_, _, _] = Lines -> Lines;
                          _ -> false
                      end
              end),
    Id = proplists:get_value(id, Config),
    Inspect = iolist_to_binary(["GET /containers/", Id, "/json HTTP/1.1"]),
    [Inspect,
     <<"GET /containers/json?filters=%7B%22label%22%3A%5B%22"
       "com.example.cluster%3Dshop%22%5D%7D HTTP/1.1">>,
     <<"GET /events?filters=%7B%22label%22%3A%5B%22"
       "com.example.cluster%3Dshop%22%5D%2C%22type%22%3A%5B%22container"
       "%22%5D%2C%22event%22%3A%5B%22start%22%2C%22die%22%2C%22pause%22%2C"
       "%22unpause%22%2C%22rename%22%5D%7D HTTP/1.1">>] = Lines,
    ok.

a_hostile_label_is_one_label(Config) ->
    Daemon = proplists:get_value(daemon, Config),
    Host = proplists:get_value(host, Config),
    Label = "a=\"],\"id\":[\"\\ HTTP/1.1 %0d%0a&x=1#?/../",
    _A = joining([Host], [{label, Label}]),
    Lines = eid_peers:until(fun() ->
                                    case lists:usort(lines(Daemon)) of
                                        [_, _] = Lines -> Lines;
                                        _ -> false
                                    end
                            end),
    [begin
         {match, [Filters]} = re:run(Line, "filters=([^ ?#&/]*) HTTP/1.1$",
                                     [{capture, all_but_first, binary}]),
         %% JSON, in which the label is one text.
         Json = uri_string:percent_decode(Filters),
         Escaped = "a=\\\"],\\\"id\\\":[\\\"\\\\ HTTP/1.1 %0d%0a&x=1#?/../",
         Start = iolist_to_binary(["{\"label\":[\"", Escaped, "\"]"]),
         Start = binary:part(Json, 0, byte_size(Start))
     end || Line <- Lines],
    ok.

%% It has the environment of the node beside it.
a_remote_shell_joins_nothing(Config) ->
    {Daemon, Host, _B} = listed_node(Config),
    [begin
         A = joining([Host], [], Options),
         eid_peers:until(fun() ->
                                 undefined =/= eid_peers:call(
                                                 A, erlang, whereis,
                                                 [eid_cluster])
                         end),
         timer:sleep(1500),
         [] = eid_peers:call(A, erlang, nodes, [connected]),
         #{joins := false} = eid_peers:call(A, eid_cluster, info, [])
     end || Options <- [#{args => ["-dist_listen", "false"]},
                        #{name => "undefined"}, #{name => none}]],
    [] = eid_daemon:requests(Daemon),
    ok.

%% The same, of a shell that became a node when it had started.
a_node_that_does_not_listen_joins_nothing(Config) ->
    {Daemon, Host, _B} = listed_node(Config),
    A = joining([Host], [], #{name => none}),
    Own = list_to_atom("sh@" ++ maps:get(host, A)),
    {ok, _} = eid_peers:call(A, net_kernel, start,
                             [Own, #{name_domain => longnames,
                                     dist_listen => false}]),
    timer:sleep(2500),
    #{joins := false} = eid_peers:call(A, eid_cluster, info, []),
    [] = eid_daemon:requests(Daemon),
    ok.

a_node_that_is_not_distributed_yet(Config) ->
    {_Daemon, Host, B} = listed_node(Config),
    A = joining([Host], [], #{name => none}),
    Own = list_to_atom("a@" ++ maps:get(host, A)),
    {ok, _} = eid_peers:call(A, net_kernel, start,
                             [Own, #{name_domain => longnames}]),
    true = eid_peers:call(A, erlang, set_cookie, [eid_test]),
    until_connected(A, B).

what_is_left_out(Config) ->
    Daemon = proplists:get_value(daemon, Config),
    Host = proplists:get_value(host, Config),
    Own = proplists:get_value(id, Config),
    [Bare, Local, Paused] = [eid_daemon:container() || _ <- [1, 2, 3]],
    Port = integer_to_list(eid_peers:port()),
    Loopback = ["{\"IP\":\"\",\"PrivatePort\":", Port, ",\"Type\":\"tcp\"}"],
    ok = eid_daemon:set(
           Daemon, list,
           list([eid_daemon:listed(Own),
                 eid_daemon:listed(Bare, #{ports => "", name => "bare"}),
                 eid_daemon:listed(Local, #{ports => Loopback}),
                 eid_daemon:listed(Paused, #{state => "paused"})])),
    A = joining([Host], [], #{name => Own, host => Host}),
    [_] = eid_peers:await_log(A, "cluster .*: container bare of host .* has "
                              "the label, but is left out: .*not published: "
                              "docker run -p"),
    timer:sleep(2500),
    [_] = eid_peers:logged(A, "container bare of host"),
    [] = eid_peers:logged(A, "cannot connect"),
    [] = eid_peers:logged(A, "container " ++ Paused),
    #{hosts := #{Host := #{containers := Containers}}} =
        eid_peers:call(A, eid_cluster, info, []),
    ["this node's own container", Published, Published2,
     "the container does not run"] =
        [maps:get(sentence, Container) || Container <- Containers],
    match = re:run(Published, "not published", [{capture, none}]),
    match = re:run(Published2, "not published", [{capture, none}]),
    [Own, _, _, _] = [binary_to_list(binary:part(Id, 0, 12))
                      || #{id := Id} <- Containers],
    ok.

%% What is set while the node runs is read at the next list.
a_setting_that_becomes_wrong(Config) ->
    Daemon = proplists:get_value(daemon, Config),
    Host = proplists:get_value(host, Config),
    ok = eid_daemon:set(
           Daemon, list,
           list([eid_daemon:listed(eid_daemon:container(), #{ports => ""})])),
    A = joining([Host]),
    eid_peers:await_log(A, "has the label, but is left out: .*not published"),
    Own = eid_peers:call(A, erlang, whereis, [eid_cluster]),
    Process = eid_peers:run(A, fun host_process/0),
    ok = eid_peers:call(A, application, set_env,
                        [kernel, eid_lookup, dokcer]),
    Lists = lists_asked(Daemon),
    eid_peers:until(fun() -> lists_asked(Daemon) >= Lists + 3 end),
    #{hosts := #{Host := #{state := answers}}} =
        eid_peers:call(A, eid_cluster, info, []),
    [begin
         ok = eid_peers:call(A, application, set_env, [kernel, Key, Wrong]),
         eid_peers:until(
           fun() ->
                   #{hosts := #{Host := Info}} =
                       eid_peers:call(A, eid_cluster, info, []),
                   case Info of
                       #{state := fails, sentence := Sentence} ->
                           match =:= re:run(Sentence,
                                            "^the kernel setting "
                                            ++ atom_to_list(Key),
                                            [{capture, none}]);
                       #{} ->
                           false
                   end
           end),
         ok = eid_peers:call(A, application, set_env, [kernel, Key, Before]),
         until_answers(A, Host)
     end || {Key, Wrong, Before} <- [{docker_hosts, 7, []},
                                     {erlang_port, x, eid_peers:port()},
                                     {eid_lookup_timeout, 0, 5000}]],
    Own = eid_peers:call(A, erlang, whereis, [eid_cluster]),
    Process = eid_peers:run(A, fun host_process/0),
    [] = eid_peers:logged(A, "crash|CRASH|terminat"),
    ok.

%% ---------------------------------------------------------------------
%% Containers that come and go
%% ---------------------------------------------------------------------

%% Without global, which tries the node once where it is late with its nodeup.
a_container_that_is_gone_is_not_tried(Config) ->
    {Daemon, Host, B} = listed_node(Config),
    A = joining([Host], [], #{kernel => [{connect_all, false}]}),
    until_connected(A, B),
    ok = eid_daemon:set(Daemon, list, list([])),
    ok = eid_peers:stop(B),
    eid_peers:until(fun() ->
                            eid_peers:call(A, erlang, nodes, []) =:= []
                    end),
    Lookups = lookups(Daemon),
    timer:sleep(4000),
    Lookups = lookups(Daemon),
    [] = eid_peers:logged(A, "cannot connect"),
    #{hosts := #{Host := #{containers := []}}} =
        eid_peers:call(A, eid_cluster, info, []),
    ok.

%% It is listed, but nobody listens there.
an_absent_node_is_tried_less_and_less(Config) ->
    {Daemon, Host, B} = listed_node(Config),
    ok = eid_peers:stop(B),
    A = joining([Host]),
    timer:sleep(6000),
    Lookups = lookups(Daemon),
    %% After 0, 0.5, 1.5, 3.5 s or a little later.
    true = Lookups >= 3 andalso Lookups =< 5,
    [_] = eid_peers:logged(A, "cannot connect"),
    %% Gone, it is forgotten at once.
    ok = eid_daemon:set(Daemon, list, list([])),
    timer:sleep(1500),
    Then = lookups(Daemon),
    timer:sleep(5000),
    Then = lookups(Daemon),
    {members, 0} = members(A),
    ok.

a_lost_connection_is_made_again(Config) ->
    {_Daemon, Host, B} = listed_node(Config),
    A = joining([Host]),
    until_connected(A, B),
    Node = maps:get(node, B),
    #{local := Before} = eid_peers:call(A, eid, info, [Node]),
    true = eid_peers:call(A, erlang, disconnect_node, [Node]),
    eid_peers:until(fun() ->
                            case eid_peers:call(A, eid, info, [Node]) of
                                #{local := After} -> After =/= Before;
                                _ -> false
                            end
                    end),
    until_connected(A, B).

%% A node whose connections do not last rests longer each time. Its container is
%% started again meanwhile, at another port, and its node needs long to boot.
a_restart_while_it_rests_is_not_hammered(Config) ->
    {Daemon, Host, B} = listed_node(Config),
    Stream = stream(Daemon),
    A = joining([Host], [{interval, 3600000}]),
    Stream1 = Stream(),
    eid_peers:until(fun() -> events(A, Host) end),
    Node = maps:get(node, B),
    %% After the last of these it rests for 8 s.
    _ = [begin
             until_connected(A, B),
             timer:sleep(100),
             true = eid_peers:call(A, erlang, disconnect_node, [Node]),
             eid_peers:until(fun() -> not eid_peers:is_up(A, B) end)
         end || _ <- lists:seq(1, 4)],
    until_connected(A, B),
    ok = eid_peers:stop(B),
    eid_peers:until(fun() -> not eid_peers:is_up(A, B) end),
    Ports = ["{\"IP\":\"0.0.0.0\",\"PrivatePort\":",
             integer_to_list(eid_peers:port()),
             ",\"PublicPort\":65535,\"Type\":\"tcp\"}"],
    ok = eid_daemon:set(Daemon, list,
                        list([eid_daemon:listed(proplists:get_value(id, Config),
                                                #{ports => Ports})])),
    Lookups = lookups(Daemon),
    Stream1 ! {send, "7\r\nanythin\r\n"},
    timer:sleep(6000),
    Tries = lookups(Daemon) - Lookups,
    {tries, true, _} = {tries, Tries >= 1 andalso Tries =< 5, Tries},
    ok.

nothing_is_kept_of_containers(Config) ->
    Daemon = proplists:get_value(daemon, Config),
    Host = proplists:get_value(host, Config),
    A = joining([Host]),
    eid_peers:await_log(A, "0 containers on 1 of 1 host"),
    eid_peers:await_log(A, "no stream of Docker's events"),
    Kept = eid_peers:kept(A),
    _ = [begin
             Ids = [eid_daemon:container() || _ <- lists:seq(1, 20)],
             ok = eid_daemon:set(Daemon, list,
                                 list([eid_daemon:listed(Id) || Id <- Ids])),
             Lookups = lookups(Daemon),
             eid_peers:until(fun() -> lookups(Daemon) >= Lookups + 20 end),
             {members, 20} = members(A),
             ok = eid_daemon:set(Daemon, list, list([])),
             eid_peers:until(fun() -> {members, 0} =:= members(A) end)
         end || _ <- [1, 2, 3]],
    %% What eid_failures keeps of them is bounded, and one process.
    eid_peers:await_kept(A, Kept#{processes := maps:get(processes, Kept) + 1,
                                  memory := infinity}).

many_containers(Config) ->
    Daemon = proplists:get_value(daemon, Config),
    Host = proplists:get_value(host, Config),
    Ids = [eid_daemon:container() || _ <- lists:seq(1, 4096)],
    List = [eid_daemon:listed(Id, #{ports => ""}) || Id <- Ids],
    ok = eid_daemon:set(Daemon, list, list(List)),
    A = joining([Host]),
    eid_peers:await_log(A, "4096 containers on 1 of 1 host"),
    [_] = eid_peers:await_log(A, "4080 more containers of host " ++ Host
                              ++ " with the label are left out"),
    16 = length(eid_peers:logged(A, "has the label, but is left out")),
    %% Those that were told are not told again.
    Lists = lists_asked(Daemon),
    eid_peers:until(fun() -> lists_asked(Daemon) >= Lists + 2 end),
    16 = length(eid_peers:logged(A, "has the label, but is left out")),
    ok = eid_daemon:set(
           Daemon, list,
           list([eid_daemon:listed(eid_daemon:container()) | List])),
    eid_peers:await_log(A, "there are more than 4096").

%% What the end of one attempt costs; the attempts of all hosts wait for it.
many_containers_to_try(Config) ->
    Daemon = proplists:get_value(daemon, Config),
    Host = proplists:get_value(host, Config),
    ok = eid_daemon:set(
           Daemon, list,
           list([eid_daemon:listed(eid_daemon:container())
                 || _ <- lists:seq(1, 2048)])),
    A = joining([Host], [{interval, 3600000}]),
    eid_peers:until(fun() -> lookups(Daemon) >= 32 end),
    Cluster = eid_peers:call(A, erlang, whereis, [eid_cluster]),
    Reductions = fun() ->
                         {reductions, Count} =
                             eid_peers:call(A, erlang, process_info,
                                            [Cluster, reductions]),
                         Count
                 end,
    Before = Reductions(),
    Lookups = lookups(Daemon),
    eid_peers:until(fun() -> lookups(Daemon) >= Lookups + 64 end),
    Each = (Reductions() - Before) div (lookups(Daemon) - Lookups),
    {each, true, _} = {each, Each < 500000, Each},
    ok.

%% A host that lists ever new containers must not use up the VM's atoms.
when_atoms_run_out(Config) ->
    Daemon = proplists:get_value(daemon, Config),
    Host = proplists:get_value(host, Config),
    A = joining([Host], [], #{args => ["+t", "30000"]}),
    _ = eid_peers:run(A, fun() ->
                                 fill_atoms(erlang:system_info(atom_limit)
                                                * 4 div 5)
                         end),
    ok = eid_daemon:set(Daemon, list,
                        list([eid_daemon:listed(eid_daemon:container())])),
    eid_peers:await_log(A, "four fifths of this VM's atoms"),
    Count = eid_peers:call(A, erlang, system_info, [atom_count]),
    timer:sleep(2500),
    Count = eid_peers:call(A, erlang, system_info, [atom_count]),
    [_] = eid_peers:logged(A, "four fifths of this VM's atoms"),
    0 = lookups(Daemon),
    ok.

%% One host may not use up what is there for all of them.
when_a_host_names_too_many(Config) ->
    {_Daemon, Host, B} = listed_node(Config),
    Hostile = eid_peers:host(),
    Daemon = eid_daemon:start(Hostile),
    [Known, New1, New2] = [eid_daemon:container() || _ <- [1, 2, 3]],
    Listed = fun(Ids) ->
                     ok = eid_daemon:set(
                            Daemon, list,
                            list([eid_daemon:listed(Id) || Id <- Ids]))
             end,
    Listed([Known]),
    ok = eid_daemon:set(proplists:get_value(daemon, Config), list, list([])),
    A = joining([Hostile, Host]),
    eid_peers:until(fun() -> tried(Daemon, Known) > 0 end),
    1 = eid_peers:run(A, fun() -> names(Hostile, 65535) end),
    Listed([Known, New1]),
    eid_peers:until(fun() -> tried(Daemon, New1) > 0 end),
    Listed([Known, New1, New2]),
    [_] = eid_peers:await_log(A, "host " ++ Hostile ++ " has listed 65536 "
                              "containers that this node had not met before"),
    Listed([Known, New1, New2, eid_daemon:container()]),
    %% Those that were tried before still are.
    Tried = tried(Daemon, New1),
    eid_peers:until(fun() -> tried(Daemon, New1) > Tried end),
    ok = eid_daemon:set(proplists:get_value(daemon, Config), list,
                        list([eid_daemon:listed(
                                proplists:get_value(id, Config))])),
    until_connected(A, B),
    [_] = eid_peers:logged(A, "had not met before"),
    0 = tried(Daemon, New2),
    eid_daemon:stop(Daemon).

%% How many names of a host are counted; from now on it is so many.
names(Host, Count) ->
    Self = self(),
    _ = sys:replace_state(
          eid_cluster,
          fun(State) ->
                  Hosts = #{Host := Of} = element(6, State),
                  Self ! {names, element(tuple_size(Of), Of)},
                  setelement(6, State,
                             Hosts#{Host := setelement(tuple_size(Of), Of,
                                                       Count)})
          end),
    receive {names, Before} -> Before end.

%% How often the published port of a container was asked for.
tried(Daemon, Container) ->
    length(asked(Daemon, ["GET /containers/", Container, "/json"])).

fill_atoms(Until) ->
    case erlang:system_info(atom_count) < Until of
        true ->
            _ = list_to_atom("fill_" ++ integer_to_list(
                                          erlang:unique_integer())),
            fill_atoms(Until);
        false ->
            ok
    end.

%% ---------------------------------------------------------------------
%% Daemons
%% ---------------------------------------------------------------------

bad_lists(Config) ->
    {Daemon, Host, B} = listed_node(Config),
    Good = list([eid_daemon:listed(proplists:get_value(id, Config))]),
    Id = proplists:get_value(id, Config),
    Bad = [{"", "closed without an answer"},
           {"220 smtp\r\n", "does not speak HTTP"},
           {answer("{}"), "lacks a list of containers"},
           {answer("[{\"Id\":\"" ++ Id ++ "\"}]"), "lacks Id"},
           {answer("[{\"Id\":7}]"), "lacks Id"},
           {answer("[1]"), "lacks a container"},
           {answer("[{\"x\":" ++ lists:duplicate(100, $[)), "nested deeper"},
           {answer("[{]"), "not valid JSON"},
           {iolist_to_binary([binary:part(iolist_to_binary(Good), 0, 200)]),
            "closed within the answer"},
           {eid_daemon:answer("403 Forbidden", "{\"message\":\"no\"}\n"),
            "forbids it .*allow GET /containers/json"},
           {eid_daemon:answer("400 Bad Request",
                              "Client sent an HTTP request to an HTTPS "
                              "server.\n"), "wants TLS"},
           {fun(Socket) -> gen_tcp:send(Socket, lists:duplicate(99999, $x))
            end, "does not speak HTTP"}],
    A = joining([Host]),
    until_connected(A, B),
    [begin
         Before = length(eid_peers:logged(A, Pattern)),
         ok = eid_daemon:set(Daemon, list, Answer),
         eid_peers:until(fun() ->
                                 Before < length(eid_peers:logged(A, Pattern))
                         end),
         #{hosts := #{Host := #{state := fails, sentence := Sentence}}} =
             eid_peers:call(A, eid_cluster, info, []),
         match = re:run(Sentence, Pattern, [{capture, none}]),
         ok = eid_daemon:set(Daemon, list, Good),
         until_answers(A, Host)
     end || {Answer, Pattern} <- Bad],
    %% Told once each way, though it was asked more often.
    Count = length(Bad),
    Count = length(eid_peers:logged(A, "cluster .*: host .*: cannot list")),
    eid_peers:until(fun() ->
                            Count =:= length(eid_peers:logged(
                                               A, "answers again after"))
                    end),
    true = eid_peers:is_up(A, B),
    [] = eid_peers:logged(A, "crash|CRASH|terminat"),
    ok.

a_daemon_that_hangs_holds_up_no_other(Config) ->
    {_Daemon, Host, B} = listed_node(Config),
    Silent = eid_peers:host(),
    Hanging = eid_daemon:start(Silent),
    ok = eid_daemon:set(Hanging, list, fun(_) -> timer:sleep(60000) end),
    A = joining([Silent, Host]),
    until_connected(A, B, 4000),
    eid_peers:await_log(A, "host " ++ Silent ++ ": .*no answer came in time"),
    eid_daemon:stop(Hanging).

%% ---------------------------------------------------------------------
%% Events
%% ---------------------------------------------------------------------

an_event_brings_a_list(Config) ->
    {Daemon, Host, B} = listed_node(Config),
    Good = list([eid_daemon:listed(proplists:get_value(id, Config))]),
    ok = eid_daemon:set(Daemon, list, list([])),
    Stream = stream(Daemon),
    A = joining([Host], [{interval, 3600000}]),
    Stream1 = Stream(),
    eid_peers:until(fun() -> events(A, Host) end),
    timer:sleep(1500),
    Lists = lists_asked(Daemon),
    ok = eid_daemon:set(Daemon, list, Good),
    Stream1 ! {send, "7\r\nanythin\r\n"},
    until_connected(A, B, 5000),
    true = lists_asked(Daemon) > Lists,
    %% The end of the stream is one, and another stream is begun.
    Stream1 ! stop,
    _ = Stream(),
    eid_peers:until(fun() -> lists_asked(Daemon) >= Lists + 2 end),
    eid_peers:until(fun() -> events(A, Host) end),
    [] = eid_peers:logged(A, "no stream"),
    ok.

a_flood_of_events(Config) ->
    {Daemon, Host, B} = listed_node(Config),
    Stream = stream(Daemon),
    A = joining([Host], [{interval, 3600000}]),
    Stream1 = Stream(),
    until_connected(A, B),
    eid_peers:until(fun() -> events(A, Host) end),
    timer:sleep(1500),
    #{memory := Memory} = eid_peers:kept(A),
    Before = lists_asked(Daemon),
    Reductions = reductions(A),
    Stream1 ! {flood, 5000},
    timer:sleep(5000),
    Lists = lists_asked(Daemon) - Before,
    true = Lists >= 2 andalso Lists =< 7,
    Cost = reductions(A) - Reductions,
    {cost, true, _} = {cost, Cost < 2000000, Cost},
    #{memory := Now} = eid_peers:kept(A),
    true = Now < Memory + 8 * 1024 * 1024,
    true = eid_peers:is_up(A, B),
    ok.

%% Of the process that watches the host.
reductions(A) ->
    eid_peers:run(A, fun() ->
                             {reductions, Count} =
                                 process_info(host_process(), reductions),
                             Count
                     end).

events_are_refused(Config) ->
    {Daemon, Host, B} = listed_node(Config),
    A = joining([Host]),
    until_connected(A, B),
    [_] = eid_peers:await_log(A, "host " ++ Host ++ ": no stream of Docker's "
                              "events \\(it is refused \\(status 403\\)\\), "
                              "so changes are found only every 1 s"),
    timer:sleep(4000),
    [_] = eid_peers:logged(A, "no stream of Docker's events"),
    Tries = length(asked(Daemon, "GET /events")),
    true = Tries >= 2 andalso Tries =< 4,
    ok.

events_that_never_begin(Config) ->
    {Daemon, Host, B} = listed_node(Config),
    ok = eid_daemon:set(Daemon, events,
                        fun(Socket) ->
                                ok = gen_tcp:send(Socket, "HTTP/1.1"),
                                timer:sleep(60000)
                        end),
    A = joining([Host], [], #{kernel => [{eid_lookup_timeout, 1000}]}),
    until_connected(A, B),
    eid_peers:await_log(A, "no stream of Docker's events \\(no answer came "
                        "in time\\)"),
    false = events(A, Host),
    ok.

%% A host that loses its power says no goodbye: the connection seems to be there
%% when its daemon answers again.
a_stream_without_its_daemon(Config) ->
    {Daemon, Host, _B} = listed_node(Config),
    Stream = stream(Daemon),
    A = joining([Host]),
    Stream1 = Stream(),
    eid_peers:until(fun() -> events(A, Host) end),
    ok = eid_daemon:set(Daemon, list, ""),
    eid_peers:await_log(A, "cannot list the containers"),
    eid_peers:until(fun() -> not events(A, Host) end),
    ok = eid_daemon:set(Daemon, list, list([])),
    Stream2 = Stream(),
    true = Stream2 =/= Stream1 andalso is_process_alive(Stream1),
    eid_peers:until(fun() -> events(A, Host) end),
    [] = eid_peers:logged(A, "no stream"),
    ok.

%% Whatever else is wanted before and after.
each_list_that_is_wanted_comes(Config) ->
    {Daemon, Host, _B} = listed_node(Config),
    Stream = stream(Daemon),
    A = joining([Host], [{interval, 3600000}]),
    _ = Stream(),
    eid_peers:until(fun() -> events(A, Host) end),
    timer:sleep(2500),
    Lists = lists_asked(Daemon),
    eid_peers:run(A, fun() ->
                             Pid = host_process(),
                             [eid_cluster_host:list_after(Pid, Milliseconds)
                              || Milliseconds <- [60000, 0, 1500, 4000]]
                     end),
    eid_peers:until(fun() -> lists_asked(Daemon) >= Lists + 3 end, 12000),
    timer:sleep(2500),
    true = lists_asked(Daemon) =< Lists + 4,
    ok.

host_process() ->
    {links, Links} = process_info(whereis(eid_cluster), links),
    [Pid] = [Pid || Pid <- Links,
                    proc_lib:translate_initial_call(Pid)
                        =:= {eid_cluster_host, init, 1}],
    Pid.

%% ---------------------------------------------------------------------
%% Helpers
%% ---------------------------------------------------------------------

%% A node in a container that the daemon of the case lists and describes.
listed_node(Config) ->
    Daemon = proplists:get_value(daemon, Config),
    Host = proplists:get_value(host, Config),
    Id = proplists:get_value(id, Config),
    Node = eid_peers:start(#{name => Id, host => Host}),
    ok = eid_daemon:set(Daemon, list, list([eid_daemon:listed(Id)])),
    ok = eid_daemon:set(Daemon, Id,
                        eid_daemon:answer("200 OK",
                                          eid_daemon:inspect(Id))),
    {Daemon, Host, Node}.

joining(Hosts) ->
    joining(Hosts, []).

joining(Hosts, Entries) ->
    joining(Hosts, Entries, #{}).

%% A node that joins the cluster on these hosts.
joining(Hosts, Entries, Options) ->
    Cluster = lists:ukeymerge(1, lists:keysort(1, Entries),
                              [{hosts, Hosts}, {interval, 1000},
                               {label, ?LABEL}]),
    Kernel = [{eid_cluster, Cluster} | kernel()],
    started(maps:merge(#{name => "a"},
                       Options#{kernel => maps:get(kernel, Options, [])
                                ++ Kernel})).

%% With the application, as a node of build.sh has it.
started(Options) ->
    A = eid_peers:start(Options),
    {ok, _} = eid_peers:call(A, application, ensure_all_started, [eid]),
    A.

kernel() ->
    [{eid_lookup, docker}, {docker_daemon_port, eid_daemon:port()}].

answer(Body) ->
    eid_daemon:answer("200 OK", Body).

list(Containers) ->
    answer(eid_daemon:list(Containers)).

until_connected(A, B) ->
    eid_peers:until(fun() -> eid_peers:is_up(A, B) end).

until_connected(A, B, Milliseconds) ->
    eid_peers:until(fun() -> eid_peers:is_up(A, B) end, Milliseconds).

%% Until A's cluster has got an answer of that Docker host.
until_answers(A, Host) ->
    eid_peers:until(
      fun() ->
              #{hosts := #{Host := #{state := State}}} =
                  eid_peers:call(A, eid_cluster, info, []),
              State =:= answers
      end).

events(A, Host) ->
    #{hosts := #{Host := #{events := Events}}} =
        eid_peers:call(A, eid_cluster, info, []),
    Events.

%% How many containers it keeps.
members(A) ->
    State = eid_peers:call(A, sys, get_state, [eid_cluster]),
    {members, map_size(element(7, State))}.

lines(Daemon) ->
    [hd(binary:split(Request, <<"\r\n">>))
     || Request <- eid_daemon:requests(Daemon)].

lists_asked(Daemon) ->
    length(asked(Daemon, "GET /containers/json?")).

lookups(Daemon) ->
    length([Line || Line <- asked(Daemon, "GET /containers/"),
                    binary:match(Line, <<"/json HTTP">>) =/= nomatch]).

%% The lines that begin so. (A pattern would do, but OTP 29 does not load what
%% OTP 25 makes of it.)
asked(Daemon, Begin) ->
    [Line || Line <- lines(Daemon), string:prefix(Line, Begin) =/= nomatch].

%% Has the daemon stream events; the fun gives the process of the next stream.
stream(Daemon) ->
    Self = self(),
    ok = eid_daemon:set(
           Daemon, events,
           fun(Socket) ->
                   ok = gen_tcp:send(Socket, "HTTP/1.1 200 OK\r\n"
                                     "Transfer-Encoding: chunked\r\n\r\n"),
                   Self ! {stream, self()},
                   stream_loop(Socket)
           end),
    fun() -> receive {stream, Pid} -> Pid after 15000 -> error(none) end end.

stream_loop(Socket) ->
    receive
        {send, Data} ->
            ok = gen_tcp:send(Socket, Data),
            stream_loop(Socket);
        {flood, Milliseconds} ->
            flood(Socket, erlang:monotonic_time(millisecond) + Milliseconds),
            stream_loop(Socket);
        stop ->
            ok
    end.

flood(Socket, End) ->
    case erlang:monotonic_time(millisecond) < End of
        true ->
            ok = gen_tcp:send(Socket, binary:copy(<<"400\r\nx">>, 10000)),
            flood(Socket, End);
        false ->
            ok
    end.
