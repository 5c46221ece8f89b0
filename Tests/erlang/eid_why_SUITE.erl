%% SPDX-License-Identifier: Apache-2.0

%% Whoever reads the log learns why nodes do not connect, and is not flooded;
%% whoever counts gets events.
-module(eid_why_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).

-export([a_thousand_failures_are_two_lines/1, each_reason_is_told_at_once/1,
         reasons_that_alternate_are_counted/1,
         an_interval_without_failure_ends_the_silence/1,
         a_connection_at_last_is_told/1, a_connection_from_there_is_told/1,
         the_report_has_all_in_it/1, what_is_kept_is_bounded/1,
         hostile_sentences_are_bounded/1, verbose_tells_each/1,
         without_interval_each_is_told/1, a_node_that_does_not_listen/1,
         net_kernel_may_stop_and_start/1, before_applications_run/1,
         stock_carriers_too/1, at_rest_there_is_no_timer/1,
         the_default_handler_prints_it/1, many_may_be_first/1,
         a_filter_that_stops_it_holds/1, a_handler_of_all_is_left_alone/1,
         a_handler_of_its_own/1, a_level_of_its_own/1,
         what_is_said_at_boot/1, why_it_does_not_boot/1,
         events_of_connections/1, events_of_failures/1,
         a_slow_handler_holds_up_nothing/1, a_handler_that_dies/1,
         telemetry_that_does_not_run/1]).

%% Run in the nodes
-export([log/2, attach/1]).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [a_thousand_failures_are_two_lines, each_reason_is_told_at_once,
     reasons_that_alternate_are_counted,
     an_interval_without_failure_ends_the_silence,
     a_connection_at_last_is_told, a_connection_from_there_is_told,
     the_report_has_all_in_it, what_is_kept_is_bounded,
     hostile_sentences_are_bounded, verbose_tells_each,
     without_interval_each_is_told, a_node_that_does_not_listen,
     net_kernel_may_stop_and_start, before_applications_run,
     stock_carriers_too, at_rest_there_is_no_timer,
     the_default_handler_prints_it, many_may_be_first,
     a_filter_that_stops_it_holds, a_handler_of_all_is_left_alone,
     a_handler_of_its_own, a_level_of_its_own, what_is_said_at_boot,
     why_it_does_not_boot, events_of_connections, events_of_failures,
     a_slow_handler_holds_up_nothing, a_handler_that_dies,
     telemetry_that_does_not_run].

init_per_suite(Config) ->
    ok = eid_peers:only("eid_tcp"),
    Config.

end_per_suite(_Config) ->
    ok.

%% ---------------------------------------------------------------------
%% The log
%% ---------------------------------------------------------------------

a_thousand_failures_are_two_lines(_Config) ->
    A = node_with_interval("a", 4000),
    Node = absent(),
    fail(A, Node, 1000),
    [First, Second] =
        eid_peers:until(fun() ->
                                Lines = eid_peers:logged(A, "."),
                                length(Lines) >= 2 andalso Lines
                        end),
    says(First, ["^warning eid: cannot connect to ", Node,
                 ": connection refused by [0-9.:]+: no node listens there"]),
    says(Second, ["^warning eid: cannot connect to ", Node, ": [0-9]+ more "
                  "failures in 4 s: connection refused by "]),
    {match, [Count]} = re:run(Second, ": ([0-9]+) more",
                              [{capture, all_but_first, list}]),
    true = list_to_integer(Count) =< 999,
    %% On a machine so slow that it took longer than the interval, the rest
    %% comes in a third line.
    Rest = 999 - list_to_integer(Count),
    eid_peers:until(fun() -> counted(A, Node) =:= 999 end),
    true = length(eid_peers:logged(A, ".")) =:= 2 orelse Rest > 0.

each_reason_is_told_at_once(_Config) ->
    A = eid_peers:start(#{name => "a", kernel => docker()}),
    #{host := Host} = A,
    Container = eid_daemon:container(),
    Node = Container ++ "@" ++ Host,
    fail(A, Node, 3),
    [_] = eid_peers:logged(A, "the connection was refused"),
    Daemon = eid_daemon:start(Host),
    fail(A, Node, 3),
    [_] = eid_peers:logged(A, "no such container"),
    ok = eid_daemon:set(Daemon, Container,
                        eid_daemon:answer(
                          "200 OK", eid_daemon:inspect(Container,
                                                       #{ports => "{}"}))),
    fail(A, Node, 3),
    [_] = eid_peers:logged(A, "is not published"),
    3 = length(eid_peers:logged(A, ".")),
    ok.

reasons_that_alternate_are_counted(_Config) ->
    A = node_with_interval("a", 2000),
    ok = eid_peers:run(
           A, fun() ->
                      [ok = eid_failures:note("x@y", Step, Reason, "why")
                       || _ <- lists:seq(1, 100),
                          {Step, Reason} <- [{lookup, r1}, {lookup, r2},
                                             {connect, r1}]],
                      ok
              end),
    3 = length(eid_peers:logged(A, "cannot connect to x@y: why$")),
    [Line] = eid_peers:await_log(A, "more failures"),
    says(Line, "297 more failures in 2 s: 99 times why; 99 times why; "
         "99 times why$"),
    %% More reasons than are kept apart.
    ok = eid_peers:run(
           A, fun() ->
                      [ok = eid_failures:note("z@y", lookup, N, "why")
                       || N <- lists:seq(1, 100)],
                      ok
              end),
    8 = length(eid_peers:logged(A, "cannot connect to z@y: why$")),
    [_] = eid_peers:await_log(A, "z@y: 92 more failures in 2 s: why$"),
    ok.

an_interval_without_failure_ends_the_silence(_Config) ->
    A = node_with_interval("a", 500),
    Node = absent(),
    fail(A, Node, 1),
    timer:sleep(1000),
    [_] = eid_peers:logged(A, "."),
    fail(A, Node, 1),
    [_, Line] = eid_peers:logged(A, "."),
    says(Line, [Node, ": connection refused"]).

a_connection_at_last_is_told(_Config) ->
    A = node_with_interval("a", 60000),
    Host = eid_peers:host(),
    Node = "b@" ++ Host,
    fail(A, Node, 7),
    B = eid_peers:start(#{name => "b", host => Host}),
    ok = eid_peers:connect(A, B),
    [Line] = eid_peers:await_log(A, "again"),
    says(Line, ["^notice eid: connected to ", Node,
                " again after 7 failures in [0-9.]+ s$"]),
    %% Said once, and the next failure is a first one.
    ok = eid_peers:disconnect(A, B),
    ok = eid_peers:connect(A, B),
    ok = eid_peers:stop(B),
    fail(A, Node, 2),
    [_] = eid_peers:logged(A, "^notice"),
    [_, _] = eid_peers:logged(A, "^warning"),
    3 = length(eid_peers:logged(A, ".")),
    ok.

%% Hidden nodes are connected as well, whoever began it.
a_connection_from_there_is_told(_Config) ->
    A = node_with_interval("a", 60000),
    Host = eid_peers:host(),
    fail(A, "b@" ++ Host, 1),
    B = eid_peers:start(#{name => "b", host => Host, args => ["-hidden"]}),
    ok = eid_peers:connect(B, A),
    [_] = eid_peers:await_log(A, "^notice eid: connected to .* again after 1 "
                              "failure in "),
    ok.

the_report_has_all_in_it(_Config) ->
    A = node_with_interval("a", 500),
    Absent = absent(),
    Node = list_to_atom(Absent),
    Events = eid_peers:run(
               A,
               fun() ->
                       Collector = spawn(fun() -> collect([]) end),
                       ok = logger:add_handler(?MODULE, ?MODULE,
                                               #{config => Collector}),
                       [false = net_kernel:connect_node(Node)
                        || _ <- [1, 2, 3]],
                       receive after 1000 -> ok end,
                       Collector ! {self(), get},
                       receive {Collector, Events} -> Events end
               end),
    [#{level := warning, msg := {report, First}, meta := Meta},
     #{level := warning, msg := {report, Second}, meta := Meta2}] = Events,
    #{application := eid, event := connect_failed, node := Node,
      step := connect, reason := econnrefused, sentence := "connection" ++ _,
      text := "cannot connect to " ++ _} = First,
    #{application := eid, event := connect_failed_more, node := Absent,
      count := 2, reasons := #{{connect, econnrefused} := 2}} = Second,
    #{domain := [eid]} = Meta,
    #{domain := [eid]} = Meta2,
    ok.

%% A loop over names that are all different.
what_is_kept_is_bounded(_Config) ->
    A = node_with_interval("a", 3000),
    Names = 50000,
    Note = fun(Count) ->
                   [ok = eid_failures:note(lists:concat(["n", N, "@h"]),
                                           lookup, no_such_container,
                                           lists:duplicate(500, $x))
                    || N <- lists:seq(1, Count)],
                   garbage_collect(whereis(eid_failures)),
                   element(2, process_info(whereis(eid_failures), memory))
           end,
    Before = eid_peers:run(A, fun() -> Note(300) end, 60000),
    After = eid_peers:run(A, fun() -> Note(Names) end, 60000),
    true = After < 2 * Before orelse error({grows, Before, After}),
    [Line | _] = eid_peers:await_log(A, "more failures to connect, to too many "
                                     "different nodes to tell each, in 3 s, "
                                     "the last to n"),
    says(Line, "^warning eid: [0-9]+ more failures"),
    %% Once their interval is over, they give way to others.
    timer:sleep(4000),
    ok = eid_peers:call(A, eid_failures, note, ["new@h", lookup, x, "why"]),
    [_] = eid_peers:logged(A, "new@h: why$"),
    ok.

hostile_sentences_are_bounded(_Config) ->
    A = node_with_interval("a", 4000),
    Long = lists:duplicate(30000, 16#263a),
    ok = eid_peers:run(A, fun() ->
                                  [ok = eid_failures:note("x@y", lookup, r,
                                                          Long)
                                   || _ <- [1, 2, 3]],
                                  ok
                          end),
    [_] = eid_peers:await_log(A, "x@y: 2 more failures"),
    {memory, Bytes} =
        eid_peers:run(A, fun() ->
                                 garbage_collect(whereis(eid_failures)),
                                 process_info(whereis(eid_failures), memory)
                         end),
    true = Bytes < 50000 orelse error({memory, Bytes}).

%% As net_kernel then tells each attempt.
verbose_tells_each(_Config) ->
    A = node_with_interval("a", 60000),
    Node = absent(),
    0 = eid_peers:call(A, net_kernel, verbose, [1]),
    fail(A, Node, 5),
    5 = length(eid_peers:logged(A, "cannot connect")),
    1 = eid_peers:call(A, net_kernel, verbose, [0]),
    timer:sleep(1500),
    fail(A, Node, 5),
    5 = length(eid_peers:logged(A, "cannot connect")),
    ok.

without_interval_each_is_told(_Config) ->
    A = node_with_interval("a", 0),
    Node = absent(),
    fail(A, Node, 5),
    5 = length(eid_peers:logged(A, "cannot connect")),
    5 = length(eid_peers:logged(A, ".")),
    ok.

a_node_that_does_not_listen(_Config) ->
    A = eid_peers:start(#{name => "a", args => ["-dist_listen", "false"]}),
    Host = eid_peers:host(),
    fail(A, "b@" ++ Host, 4),
    [_] = eid_peers:logged(A, "."),
    B = eid_peers:start(#{name => "b", host => Host}),
    true = eid_peers:call(A, net_kernel, connect_node, [maps:get(node, B)]),
    [_] = eid_peers:await_log(A, "again after 4 failures"),
    ok.

net_kernel_may_stop_and_start(_Config) ->
    Host = eid_peers:host(),
    A = eid_peers:start(#{name => none,
                          kernel => [{inet_dist_use_interface,
                                      eid_peers:address(Host)}]}),
    Node = absent(),
    Names = [list_to_atom(Name ++ "@" ++ Host) || Name <- ["a", "b"]],
    [begin
         {ok, _} = eid_peers:call(A, net_kernel, start, [Name, #{}]),
         fail(A, Node, 3),
         ok = eid_peers:call(A, net_kernel, stop, [])
     end || Name <- Names],
    [_] = eid_peers:logged(A, "cannot connect"),
    ok.

%% sync_nodes_mandatory has kernel connect before it is up itself, and what it
%% waits for is not there.
before_applications_run(_Config) ->
    Host = eid_peers:host(),
    Node = absent(),
    Arguments = eid_peers:arguments(
                  #{name => "a", host => Host, carrier => "eid_tcp",
                    kernel => [{sync_nodes_mandatory,
                                [list_to_atom(Node)]},
                               {sync_nodes_timeout, 2000}]}),
    {Status, Output} = eid_proc:erl(Arguments),
    true = Status =/= 0,
    {match, _} = re:run(Output, ["cannot connect to ", Node,
                                 ": connection refused"]),
    ok.

stock_carriers_too(_Config) ->
    A = eid_peers:start(#{name => "a", carrier => "inet_tcp",
                          kernel => docker()}),
    #{host := Host} = A,
    fail(A, "c0ffeec0ffee@" ++ Host, 5),
    [_] = eid_peers:logged(A, "."),
    ok.

at_rest_there_is_no_timer(_Config) ->
    A = node_with_interval("a", 500),
    fail(A, absent(), 3),
    [_] = eid_peers:await_log(A, "2 more failures in 0.5 s"),
    %% An interval more, in which nothing fails.
    timer:sleep(1000),
    Reductions = fun() ->
                         eid_peers:run(
                           A, fun() ->
                                      process_info(whereis(eid_failures),
                                                   reductions)
                              end)
                 end,
    Before = Reductions(),
    timer:sleep(1200),
    Before = Reductions(),
    2 = length(eid_peers:logged(A, ".")),
    ok.

%% ---------------------------------------------------------------------
%% Its domain
%% ---------------------------------------------------------------------

%% OTP's, with OTP's filters.
the_default_handler_prints_it(Config) ->
    File = file(Config),
    Absent = absent(),
    Says = ["WARNING REPORT[^\n]*\neid: cannot connect to ", Absent],
    {0, Output} = erl([], connects(Absent)),
    {match, [_]} = re:run(Output, Says, [global]),
    {0, _} = erl([{logger, [{handler, default, logger_std_h,
                             #{config => #{file => File}}}]}],
                 connects(Absent)),
    {ok, Text} = file:read_file(File),
    {match, [_]} = re:run(Text, Says, [global]),
    ok.

%% Of what the handler has, only one filter is changed, whoever comes first.
many_may_be_first(_Config) ->
    A = eid_peers:start(#{name => "a"}),
    {ok, Before} = default_handler(A),
    ok = eid_peers:run(
           A, fun() ->
                      Emit = fun() -> eid_report:warning(many, "said") end,
                      Monitors = [element(2, spawn_monitor(Emit))
                                  || _ <- lists:seq(1, 50)],
                      [receive {'DOWN', Monitor, _, _, normal} -> ok end
                       || Monitor <- Monitors],
                      ok
              end),
    50 = length(eid_peers:logged(A, "^warning eid: said$")),
    {ok, #{filters := Filters} = After} = default_handler(A),
    {value, _, Others} = lists:keytake(eid, 1, Filters),
    Before = After#{filters := Others},
    ok.

%% One that is there before ours, one that comes later, and one in its place.
a_filter_that_stops_it_holds(_Config) ->
    A = node_with_interval("a", 0),
    Absent = absent(),
    Stop = {fun logger_filters:domain/2, {stop, sub, [eid]}},
    Stopped = fun(Id) ->
                      Lines = eid_peers:logged(A, "."),
                      ok = eid_peers:call(A, logger, add_handler_filter,
                                          [default, Id, Stop]),
                      {ok, #{filters := Filters}} = default_handler(A),
                      fail(A, Absent, 1),
                      Lines = eid_peers:logged(A, "."),
                      {ok, #{filters := After}} = default_handler(A),
                      ok = eid_peers:call(A, logger, remove_handler_filter,
                                          [default, Id]),
                      fail(A, Absent, 1),
                      [_] = eid_peers:logged(A, ".") -- Lines,
                      After -- Filters
              end,
    [{eid, _}] = Stopped(before),
    [] = Stopped(later),
    ok = eid_peers:call(A, logger, remove_handler_filter, [default, eid]),
    [] = Stopped(eid),
    ok.

a_handler_of_all_is_left_alone(_Config) ->
    A = eid_peers:start(#{name => "a"}),
    ok = eid_peers:call(A, logger, set_handler_config,
                        [default, filter_default, log]),
    {ok, Before} = default_handler(A),
    fail(A, absent(), 1),
    [_] = eid_peers:logged(A, "cannot connect"),
    {ok, Before} = default_handler(A),
    ok.

%% As docs/reference/events.md has it.
a_handler_of_its_own(Config) ->
    File = file(Config),
    A = eid_peers:start(#{name => "a"}),
    Node = list_to_atom(absent()),
    ok = eid_peers:run(
           A, fun() ->
                      ok = logger:add_handler(
                             eid, logger_std_h,
                             #{config => #{file => File},
                               filter_default => stop,
                               filters =>
                                   [{eid, {fun logger_filters:domain/2,
                                           {log, sub, [eid]}}}]}),
                      ok = logger:add_handler_filter(
                             default, eid, {fun logger_filters:domain/2,
                                            {stop, sub, [eid]}}),
                      false = net_kernel:connect_node(Node),
                      logger:warning("another's"),
                      logger_std_h:filesync(eid)
              end),
    [<<"warning another's">>] = eid_peers:logged(A, "."),
    {ok, Text} = file:read_file(File),
    [Line] = binary:split(Text, <<"\n">>, [global, trim]),
    says(Line, " warning: eid: cannot connect to ").

a_level_of_its_own(_Config) ->
    A = eid_peers:start(#{name => "a"}),
    ok = eid_peers:run(A, fun() ->
                                  _ = application:load(eid),
                                  logger:set_application_level(eid, error)
                          end),
    fail(A, absent(), 1),
    ok = eid_peers:call(A, eid_report, error, [test, "said"]),
    [<<"error eid: said">>] = eid_peers:logged(A, "."),
    {ok, #{filters := Filters}} = default_handler(A),
    true = lists:keymember(eid, 1, Filters),
    ok.

%% Before kernel has set up the handlers: what logger hands on to them then
%% still reaches them. Without any to come, there is the domain from the first.
what_is_said_at_boot(Config) ->
    File = file(Config),
    Old = {docker_dameon_port, 2375},
    Synced = "logger_std_h:filesync(default), halt().",
    {0, _} = erl([Old, {logger, [{handler, default, logger_std_h,
                                  #{config => #{file => File}}}]}], Synced),
    {ok, Text} = file:read_file(File),
    {match, [_]} = re:run(Text, "docker_dameon_port is an old", [global]),
    {0, Output} = erl([Old], Synced),
    {match, [_ | _]} = re:run(Output, "docker_dameon_port is an old",
                              [global]),
    Own = {handler, own, eid_log_file,
           #{config => File ++ ".own", filter_default => stop,
             filters => [{eid, {fun logger_filters:domain/2,
                                {log, equal, [eid]}}}]}},
    Absent = absent(),
    %% That waits for what it is to print.
    {0, Printed} = erl([Old, {logger, [{handler, default, undefined}, Own]}],
                       connects(Absent, "logger:remove_handler(simple)")),
    {match, _} = re:run(Printed, "docker_dameon_port is an old"),
    {match, _} = re:run(Printed, ["cannot connect to ", Absent]),
    {ok, Lines} = file:read_file(File ++ ".own"),
    {match, [_]} = re:run(Lines, ["^warning eid: cannot connect to ", Absent],
                          [global, multiline]),
    ok.

why_it_does_not_boot(Config) ->
    [begin
         {Status, Output} = erl([{erlang_port, nonsense} | Logger], "halt()."),
         true = Status =/= 0,
         {match, _} = re:run(Output, "eid: the kernel setting erlang_port is "
                             "nonsense, but must be")
     end || Logger <- [[],
                       [{logger_level, error}],
                       [{logger, [{handler, default, logger_std_h,
                                   #{config => #{file => file(Config)}}}]}],
                       [{logger, [{handler, default, undefined}]}]]],
    ok.

%% ---------------------------------------------------------------------
%% Events
%% ---------------------------------------------------------------------

events_of_connections(_Config) ->
    {A, B} = measured(),
    #{node := Node} = B,
    ok = eid_peers:connect(A, B),
    true = eid_peers:call(A, erlang, disconnect_node, [Node]),
    [Lookup, Connect, Up, Down] = lists:sort(fun order/2, events(A, 4)),
    {[eid, lookup, stop], #{duration := D1}, #{name := "b", port := _}} =
        Lookup,
    {[eid, connect, stop], #{duration := D2}, #{node := Node}} = Connect,
    {[eid, connection, up], #{system_time := _},
     #{node := Node, node_type := visible}} = Up,
    {[eid, connection, down], #{duration := D3},
     #{node := Node, node_type := visible, reason := disconnect}} = Down,
    true = D1 > 0 andalso D2 >= D1 andalso D3 > 0,
    ok.

events_of_failures(_Config) ->
    A = eid_peers:start(#{name => "a", kernel => docker()}),
    ok = eid_peers:call(A, ?MODULE, attach, [collect]),
    #{host := Host} = A,
    Node = list_to_atom("c0ffeec0ffee@" ++ Host),
    false = eid_peers:call(A, net_kernel, connect_node, [Node]),
    [{[eid, lookup, exception], #{duration := _},
      #{name := "c0ffeec0ffee", kind := error, step := lookup,
        reason := connection_refused}},
     {[eid, connect, exception], #{duration := _},
      #{node := Node, kind := error, step := lookup,
        reason := connection_refused, stacktrace := []}}] =
        lists:sort(fun order/2, events(A, 2)),
    ok.

a_slow_handler_holds_up_nothing(_Config) ->
    A = node_with_interval("a", 60000),
    ok = eid_peers:call(A, ?MODULE, attach, [sleep]),
    {Time, ok} = timer:tc(fun() -> fail(A, absent(), 2500) end),
    true = Time < 60000000,
    {message_queue_len, Waiting} =
        eid_peers:run(A, fun() ->
                                 process_info(whereis(eid_telemetry),
                                              message_queue_len)
                         end),
    true = Waiting > 0 andalso Waiting =< 1010 orelse error(Waiting),
    B = eid_peers:start(#{name => "b"}),
    ok = eid_peers:connect(A, B).

a_handler_that_dies(_Config) ->
    {A, B} = measured(),
    ok = eid_peers:call(A, ?MODULE, attach, [die]),
    Process = eid_peers:call(A, erlang, whereis, [eid_telemetry]),
    ok = eid_peers:connect(A, B),
    _ = events(A, 3),
    %% The library has taken it away, and the others go on.
    eid_peers:until(
      fun() ->
              not lists:member(die, eid_peers:call(A, telemetry,
                                                   list_handlers, []))
      end),
    Process = eid_peers:call(A, erlang, whereis, [eid_telemetry]),
    true = eid_peers:is_up(A, B),
    ok.

%% Loaded, as in a release, but not started.
telemetry_that_does_not_run(_Config) ->
    [A, B] = eid_peers:start_all([#{name => "a"}, #{name => "b"}]),
    ok = eid_peers:call(A, application, start, [eid]),
    {module, telemetry} = eid_peers:call(A, code, ensure_loaded,
                                         [telemetry]),
    ok = eid_peers:connect(A, B),
    timer:sleep(200),
    <<>> = eid_peers:log(A),
    ok.

%% ---------------------------------------------------------------------
%% Run in the nodes
%% ---------------------------------------------------------------------

%% A handler of logger.
log(Event, #{config := Collector}) ->
    Collector ! {event, Event}.

collect(Events) ->
    receive
        {event, Event} ->
            collect([Event | Events]);
        {From, get} ->
            From ! {self(), lists:reverse(Events)},
            collect(Events)
    end.

%% Starts telemetry with a handler of all events of ours.
attach(How) ->
    _ = telemetry:ensure_started(),
    {ok, _} = application:ensure_all_started(eid),
    Collector = case whereis(collector) of
                    undefined ->
                        New = spawn(fun() -> collect([]) end),
                        true = register(collector, New),
                        New;
                    Old ->
                        Old
                end,
    Handle = fun(Event, Measurements, Metadata, collect) ->
                     Collector ! {event, {Event, Measurements, Metadata}};
                (_, _, _, sleep) ->
                     timer:sleep(1000);
                (_, _, _, die) ->
                     exit(die)
             end,
    lists:foreach(fun(Event) -> telemetry:attach(How, Event, Handle, How) end,
                  [[eid, connection, up], [eid, connection, down],
                   [eid, connect, stop], [eid, connect, exception],
                   [eid, lookup, stop], [eid, lookup, exception]]).

%% ---------------------------------------------------------------------
%% Helpers
%% ---------------------------------------------------------------------

docker() ->
    [{eid_lookup, docker}, {docker_daemon_port, eid_daemon:port()}].

node_with_interval(Name, Milliseconds) ->
    eid_peers:start(#{name => Name,
                      kernel => [{eid_log_interval, Milliseconds}]}).

%% Runs a node with the logger that these settings say.
erl(Kernel, Code) ->
    eid_proc:erl(eid_peers:arguments(#{name => "x", carrier => "eid_tcp",
                                       host => eid_peers:host(),
                                       kernel => Kernel})
                 ++ ["-eval", Code]).

connects(Name) ->
    connects(Name, "logger_std_h:filesync(default)").

connects(Name, Sync) ->
    ["false = net_kernel:connect_node('", Name, "'), ", Sync, ", halt()."].

file(Config) ->
    filename:join(proplists:get_value(priv_dir, Config),
                  lists:concat([erlang:unique_integer([positive]), ".log"])).

default_handler(A) ->
    eid_peers:call(A, logger, get_handler_config, [default]).

%% The name of a node that is not there: nobody has its address.
absent() ->
    "absent@" ++ eid_peers:host().

%% So many attempts in vain.
fail(A, Name, Count) ->
    Node = list_to_atom(Name),
    eid_peers:run(A, fun() ->
                             [false = net_kernel:connect_node(Node)
                              || _ <- lists:seq(1, Count)],
                             ok
                     end, 60000).

%% How many failures the lines of counts tell of.
counted(A, Node) ->
    lists:sum([list_to_integer(Count)
               || Line <- eid_peers:logged(A, Node),
                  {match, [Count]} <-
                      [re:run(Line, ": ([0-9]+) more failures",
                              [{capture, all_but_first, list}])]]).

says(Line, Pattern) ->
    {match, _} = re:run(Line, Pattern),
    ok.

%% Two nodes, the first with telemetry. Without global, which may connect again
%% what was disconnected.
measured() ->
    [A, B] = eid_peers:start_all([#{name => Name,
                                    kernel => [{connect_all, false}]}
                                  || Name <- ["a", "b"]]),
    ok = eid_peers:call(A, ?MODULE, attach, [collect]),
    {A, B}.

events(A, Count) ->
    eid_peers:until(
      fun() ->
              Events = eid_peers:run(A, fun() ->
                                                collector ! {self(), get},
                                                receive {_, Es} -> Es end
                                        end),
              length(Events) >= Count andalso Events
      end).

%% Lookup, connect, up, down: what comes from different processes may come in
%% another order.
order({A, _, _}, {B, _, _}) ->
    rank(A) =< rank(B).

rank([_, lookup, _]) -> 1;
rank([_, connect, _]) -> 2;
rank([_, _, up]) -> 3;
rank([_, _, down]) -> 4.
