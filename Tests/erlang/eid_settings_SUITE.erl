%% SPDX-License-Identifier: Apache-2.0

%% Settings, as whoever starts a node meets them: a good one works, a wrong one
%% stops the start with a sentence that names it.
-module(eid_settings_SUITE).

-export([all/0, suite/0]).

-export([wrong_values_stop_the_start/1, good_values_start/1,
         a_wrong_interface_stops_the_start/1, unknown_options_are_named/1,
         options_are_a_list/1,
         a_value_gone_wrong_fails_connects_only/1,
         a_size_gone_wrong_is_named_by_both_sides/1,
         the_old_misspelling_works/1, the_right_spelling_wins/1,
         a_second_node_on_the_port_is_told/1,
         sizes_reach_both_ends/1, the_application_says_it_too/1,
         a_missing_driver_is_told/1]).

suite() ->
    [{timetrap, {seconds, 60}}].

all() ->
    [wrong_values_stop_the_start, good_values_start,
     a_wrong_interface_stops_the_start, unknown_options_are_named,
     options_are_a_list,
     a_value_gone_wrong_fails_connects_only,
     a_size_gone_wrong_is_named_by_both_sides, the_old_misspelling_works,
     the_right_spelling_wins, a_second_node_on_the_port_is_told,
     sizes_reach_both_ends, the_application_says_it_too,
     a_missing_driver_is_told].

wrong_values_stop_the_start(_Config) ->
    eid_peers:only("eid_tcp"),
    ListenPort = "a port number from 1 to 65535, or 0 for any free port",
    Port = "a port number from 1 to 65535",
    Time = "a number of milliseconds from 1 to 120000",
    each(
      [{erlang_port, 65536, ListenPort}, {erlang_port, 1.5, ListenPort},
       {erlang_port, any, ListenPort}, {erlang_port, "12345", ListenPort},
       {docker_daemon_port, 0, Port}, {docker_daemon_port, 65536, Port},
       {docker_daemon_port, "4243", Port},
       {eid_lookup, dockers, "docker, direct or loopback"},
       {eid_lookup, "docker", "docker, direct or loopback"},
       {eid_lookup, 1, "docker, direct or loopback"},
       {eid_lookup_timeout, 0, Time}, {eid_lookup_timeout, 120001, Time},
       {eid_lookup_timeout, infinity, Time},
       {eid_lookup_timeout, {}, Time}],
      fun({Key, Value, Allowed}) ->
              Text = fails(#{kernel => [{Key, Value}]}),
              says(Text, io_lib:format(
                           "the kernel setting ~s is ~tp, but must be ~s",
                           [Key, Value, Allowed]))
      end).

good_values_start(_Config) ->
    Values = [{erlang_port, 65535}, {docker_daemon_port, 1},
              {docker_daemon_port, 65535}, {eid_lookup, docker},
              {eid_lookup_timeout, 1}, {eid_lookup_timeout, 120000}],
    each(Values,
         fun({Key, Value}) ->
                 <<"up\n">> = starts(#{kernel => [{Key, Value}]})
         end),
    #{os_pid := OsPid} = eid_peers:start(#{kernel => [{erlang_port, 0}]}),
    [{_, Port}] = eid_proc:listening(OsPid),
    true = Port >= 1024 andalso Port =/= eid_peers:port(),
    ok.

a_wrong_interface_stops_the_start(_Config) ->
    eid_peers:only("eid_tcp"),
    each([localhost, "127.0.0.1", {127, 0, 0, 300}, {127, 0, 0}],
         fun(Value) ->
                 Text = fails(#{kernel =>
                                    [{inet_dist_use_interface, Value}]}),
                 says(Text,
                      io_lib:format("the kernel setting "
                                    "inet_dist_use_interface is ~tp, but must "
                                    "be an address as a tuple", [Value]))
         end),
    %% An address that this machine does not have (RFC 5737).
    says(fails(#{kernel => [{inet_dist_use_interface, {192, 0, 2, 1}}]}),
         "can't assign requested address").

%% eid's settings, and over them what OTP's options say.
sizes_reach_both_ends(_Config) ->
    eid_peers:only("eid_tcp"),
    Sizes = [{eid_high_watermark, 300000}, {eid_low_watermark, 200000},
             {eid_staging_limit, 1000}, {eid_unsent_limit, 2000},
             {eid_near_receive_buffer, 90000}, {eid_receive_chunk, 5000}],
    Over = [{inet_dist_listen_options,
             [{high_watermark, 400000}, {recbuf, 80000}]}],
    [A, B] = eid_peers:start_all([#{name => "a", kernel => Sizes},
                                  #{name => "b", kernel => Sizes ++ Over}]),
    ok = eid_peers:connect(A, B),
    [{high_watermark, 300000}, {low_watermark, 200000}, {staging_limit, 1000},
     {unsent_limit, 2000}, {near_receive_buffer, 90000},
     {receive_chunk, 5000}] = sizes(A, B),
    [{high_watermark, 400000}, {low_watermark, 200000}, {staging_limit, 1000},
     {unsent_limit, 2000}, {near_receive_buffer, 0},
     {receive_chunk, 5000}] = sizes(B, A),
    ok.

sizes(At, #{node := Node}) ->
    {ok, Sizes} = eid_peers:call(At, net_kernel, getopts,
                                 [Node, [high_watermark, low_watermark,
                                         staging_limit, unsent_limit,
                                         near_receive_buffer,
                                         receive_chunk]]),
    Sizes.

unknown_options_are_named(_Config) ->
    eid_peers:only("eid_tcp"),
    Unknown = "which this carrier does not know",
    Wrong = "but that option cannot have this value",
    each([{{nonsense, 1}, Unknown}, {nonsense, Unknown},
          {{keepalive, 1.5}, Wrong}, {{ip, "127.0.0.1"}, Wrong},
          {{backlog, many}, Wrong}],
         fun({Option, Says}) ->
                 Text = fails(#{kernel =>
                                    [{inet_dist_listen_options, [Option]}]}),
                 says(Text,
                      io_lib:format("the kernel setting "
                                    "inet_dist_listen_options has ~tp, ~s",
                                    [Option, Says]))
         end),
    A = eid_peers:start(#{kernel => [{eid_log_interval, 0}]}),
    [begin
         ok = eid_peers:call(A, application, set_env,
                             [kernel, inet_dist_connect_options, Options]),
         false = eid_peers:call(A, net_kernel, connect_node,
                                [list_to_atom("b@" ++ eid_peers:host())]),
         [_] = eid_peers:await_log(A, ["inet_dist_connect_options ", Says])
     end || {Options, Says} <-
                [{[{nonsense, 1}], ["has {nonsense,1}, ", Unknown]},
                 {[{high_watermark, 0}], ["has {high_watermark,0}, ", Wrong]},
                 {[{ip, {127, 0, 0, 1}}, {port, any}],
                  ["has {port,any}, ", Wrong]},
                 {any, "is any, but must be a list"}]],
    4 = length(eid_peers:logged(A, ".")),
    ok.

options_are_a_list(_Config) ->
    eid_peers:only("eid_tcp"),
    each([{inet_dist_listen_options, {recbuf, 80000}},
          {inet_dist_connect_options, {recbuf, 80000}}],
         fun({Key, Value}) ->
                 says(fails(#{kernel => [{Key, Value}]}),
                      io_lib:format("the kernel setting ~s is ~tp, but must "
                                    "be a list of options", [Key, Value]))
         end),
    %% Where it became none while the node runs.
    [A, #{node := NodeB} = B] =
        eid_peers:start_all([#{name => "a"}, #{name => "b"}]),
    ok = eid_peers:call(B, application, set_env,
                        [kernel, inet_dist_listen_options, any]),
    %% B sees it when A has its last word.
    _ = eid_peers:call(A, net_kernel, connect_node, [NodeB]),
    [_] = eid_peers:await_log(B, "closed the connection from .*: the kernel "
                              "setting inet_dist_listen_options is any, but "
                              "must be a list"),
    [_] = eid_peers:logged(B, "."),
    ok.

%% What is set wrong while the node runs fails the connects that need it.
a_value_gone_wrong_fails_connects_only(_Config) ->
    eid_peers:only("eid_tcp"),
    [A, #{node := NodeB}] =
        eid_peers:start_all([#{name => "a"}, #{name => "b"}]),
    Set = fun(Value) ->
                  ok = eid_peers:call(A, application, set_env,
                                      [kernel, eid_lookup, Value])
          end,
    Connect = fun() ->
                      eid_peers:call(A, net_kernel, connect_node, [NodeB])
              end,
    Set(wrong),
    false = Connect(),
    [_] = eid_peers:await_log(A, ["cannot connect to ", atom_to_list(NodeB),
                                  ": the kernel setting eid_lookup is wrong"]),
    [_] = eid_peers:logged(A, "."),
    Set(direct),
    true = Connect(),
    ok.

%% They are read when the handshake is done.
a_size_gone_wrong_is_named_by_both_sides(_Config) ->
    eid_peers:only("eid_tcp"),
    [#{node := NodeA} = A, #{node := NodeB} = B] =
        eid_peers:start_all([#{name => "a"}, #{name => "b"}]),
    Set = fun(Value) ->
                  ok = eid_peers:call(A, application, set_env,
                                      [kernel, eid_high_watermark, Value])
          end,
    Wrong = ": the kernel setting eid_high_watermark is -1, but must be a "
        "number of bytes from 1 ",
    Set(-1),
    false = eid_peers:call(A, net_kernel, connect_node, [NodeB]),
    [_] = eid_peers:await_log(A, ["cannot connect to ", atom_to_list(NodeB),
                                  Wrong]),
    %% B sees it closed only; until then it would not connect anew.
    eid_peers:until(fun() ->
                            [] =:= eid_peers:call(B, ets, lookup,
                                                  [sys_dist, NodeA])
                    end),
    _ = eid_peers:call(B, net_kernel, connect_node, [NodeA]),
    [_] = eid_peers:await_log(A, ["closed the connection from .*", Wrong]),
    [_, _] = eid_peers:logged(A, "."),
    Set(100000),
    ok = eid_peers:connect(A, B).

the_old_misspelling_works(_Config) ->
    eid_peers:only("eid_tcp"),
    A = eid_peers:start(#{kernel => [{docker_dameon_port, 4321}]}),
    4321 = eid_peers:call(A, eid_settings, get, [docker_daemon_port]),
    [_] = eid_peers:await_log(A, "docker_dameon_port is an old misspelling of "
                              "docker_daemon_port and is used"),
    [_] = eid_peers:logged(A, "."),
    %% Under its old name a wrong value is wrong, too.
    says(fails(#{kernel => [{docker_dameon_port, 0}]}),
         "docker_daemon_port is 0, but must be a port number").

the_right_spelling_wins(_Config) ->
    eid_peers:only("eid_tcp"),
    A = eid_peers:start(#{kernel => [{docker_dameon_port, 4321},
                                     {docker_daemon_port, 1234}]}),
    1234 = eid_peers:call(A, eid_settings, get, [docker_daemon_port]),
    [_] = eid_peers:await_log(A, "misspelling .* is ignored"),
    ok.

a_second_node_on_the_port_is_told(_Config) ->
    eid_peers:only("eid_tcp"),
    #{host := Host} = First = eid_peers:start(),
    Says = ["another program already listens on port ",
            integer_to_list(eid_peers:port()),
            ". There is one node per container"],
    %% With the same address, and with all.
    says(fails(#{host => Host}), Says),
    says(fails(#{interface => any}), Says),
    %% What it is advised to do works.
    <<"up\n">> = starts(#{host => Host, kernel => [{erlang_port, 0}]}),
    <<"up\n">> = starts(#{host => Host, args => ["-dist_listen", "false"]}),
    <<>> = eid_peers:log(First),
    ok.

%% With another carrier eid_tcp_dist is not there to check.
the_application_says_it_too(_Config) ->
    A = eid_peers:start(#{name => none}),
    Start = fun() ->
                    eid_peers:call(A, application, ensure_all_started, [eid])
            end,
    Set = fun(Value) ->
                  ok = eid_peers:call(A, application, set_env,
                                      [kernel, docker_daemon_port, Value])
          end,
    Set(0),
    {error, {eid, {{bad_setting, Sentence}, _}}} = Start(),
    says(unicode:characters_to_binary(Sentence),
         "the kernel setting docker_daemon_port is 0, but must be"),
    Set(4243),
    {ok, [eid]} = Start(),
    ok = eid_peers:call(A, application, stop, [eid]).

a_missing_driver_is_told(Config) ->
    eid_peers:only("eid_tcp"),
    Lib = proplists:get_value(priv_dir, Config),
    Ebin = filename:join(Lib, "eid-0/ebin"),
    Own = filename:dirname(code:which(eid_tcp_dist)),
    ok = filelib:ensure_dir(filename:join(Ebin, "x")),
    [{ok, _} = file:copy(File, filename:join(Ebin, filename:basename(File)))
     || File <- filelib:wildcard(filename:join(Own, "*"))],
    Text = fails(#{}, [{"ERL_LIBS", Lib}]),
    says(Text, "the driver eid_drv.so in "),
    says(Text, "/eid-0/priv cannot be loaded: ").

%% ---------------------------------------------------------------------
%% Helpers
%% ---------------------------------------------------------------------

%% Starts a node that must not start: what it says.
fails(Options) ->
    fails(Options, []).

fails(Options, Environment) ->
    case run(Options, Environment) of
        {Status, Output} when Status =/= 0 ->
            %% OTP shows the sentence as a term.
            binary:replace(Output, <<"\\\"">>, <<"\"">>, [global]);
        Other -> error({it_started, Options, Other})
    end.

starts(Options) ->
    {0, Output} = run(Options, []),
    Output.

run(Options0, Environment) ->
    Options = Options0#{host => maps:get(host, Options0, eid_peers:host())},
    eid_proc:erl(eid_peers:arguments(Options#{name => "x"})
                 ++ ["-eval", "io:format(\"up~n\"), halt()."],
                 Environment).

says(Text, Part) ->
    binary:match(Text, unicode:characters_to_binary(Part)) =/= nomatch
        orelse error({does_not_say, lists:flatten(Part), Text}),
    ok.

%% Fun on all of them, two at a time.
each([], _Fun) ->
    ok;
each(Values, Fun) ->
    {Now, Later} = lists:split(min(2, length(Values)), Values),
    Runs = [spawn_monitor(fun() -> Fun(Value) end) || Value <- Now],
    [receive
         {'DOWN', Monitor, _, _, normal} -> ok;
         {'DOWN', Monitor, _, _, Reason} -> error(Reason)
     end || {_, Monitor} <- Runs],
    each(Later, Fun).
