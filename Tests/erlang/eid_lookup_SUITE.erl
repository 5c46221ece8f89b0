%% SPDX-License-Identifier: Apache-2.0

%% The published-port lookup against daemons that answer well, badly or not at
%% all: each failure has its name and its sentence within the deadline, and
%% costs the node nothing.
-module(eid_lookup_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_testcase/2, end_per_testcase/2]).

-export([failures_of_the_lookup/1, failures_of_a_connect/1,
         an_answer_cut_anywhere/1, wrong_names_are_not_asked_for/1,
         the_request/1, no_daemon/1, a_daemon_that_does_not_accept/1,
         a_slow_answer_in_time_is_good/1, answers_without_end/1,
         setuptime_is_a_deadline_too/1, a_resolver_that_says_nothing/1,
         a_resolver_that_says_nothing_of_a_daemon/1,
         a_slow_resolver_and_a_silent_daemon/1,
         a_silent_daemon_holds_up_nobody_else/1,
         a_new_published_port_is_found/1, containers_by_name/1,
         a_hundred_lookups_at_once/1]).

%% Run in the nodes
-export([pulse/2]).

-define(MB, (1024 * 1024)).

%% How late an answer may be when the machine is busy.
-define(LATE_MS, 5000).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [failures_of_the_lookup, failures_of_a_connect, an_answer_cut_anywhere,
     wrong_names_are_not_asked_for, the_request, no_daemon,
     a_daemon_that_does_not_accept, a_slow_answer_in_time_is_good,
     answers_without_end, setuptime_is_a_deadline_too,
     a_resolver_that_says_nothing, a_resolver_that_says_nothing_of_a_daemon,
     a_slow_resolver_and_a_silent_daemon,
     a_silent_daemon_holds_up_nobody_else, a_new_published_port_is_found,
     containers_by_name, a_hundred_lookups_at_once].

%% One node looks up in all cases. It has one scheduler, so that whatever
%% holds that up holds up all; and it is connected to another node throughout.
init_per_suite(Config) ->
    Docker = [{eid_lookup, docker}, {docker_daemon_port, eid_daemon:port()},
              {eid_lookup_timeout, 2000}],
    Container = eid_daemon:container(),
    [A, B] =
        eid_peers:start_all([#{name => "a", kernel => Docker, keep => true,
                               args => ["+S", "1"]},
                             #{name => Container, keep => true}]),
    Daemon = eid_daemon:start(maps:get(host, B)),
    ok = eid_daemon:set(Daemon, Container,
                        eid_daemon:answer(
                          "200 OK", eid_daemon:inspect(Container))),
    ok = eid_peers:connect(A, B),
    ok = eid_daemon:stop(Daemon),
    <<>> = eid_peers:log(A),
    [{a, A}, {b, B} | Config].

end_per_suite(_Config) ->
    ok.

init_per_testcase(_Case, Config) ->
    #{os_pid := OsPid} = A = a(Config),
    [{before, {ports(A), eid_proc:descriptors(OsPid)}} | Config].

%% After each case all is as it was before.
end_per_testcase(_Case, Config) ->
    #{os_pid := OsPid} = A = a(Config),
    {Ports, Descriptors} = proplists:get_value(before, Config),
    try
        eid_peers:until(fun() -> ports(A) =:= Ports end),
        eid_peers:until(fun() ->
                                eid_proc:descriptors(OsPid) =:= Descriptors
                        end),
        true = eid_peers:is_up(A, proplists:get_value(b, Config)),
        ok
    catch
        error:Reason ->
            {fail, {Reason, {before, Ports, Descriptors},
                    {now, ports(A), eid_proc:descriptors(OsPid)}}}
    end.

%% ---------------------------------------------------------------------
%% Failures
%% ---------------------------------------------------------------------

failures_of_the_lookup(Config) ->
    A = a(Config),
    {Host, Rows} = hostile(),
    Results = look_up(A, Host, [Container || {Container, _, _} <- Rows]),
    _ = [begin
             {error, {Reason, Sentence}} = Result,
             says(Sentence, sentence(Container, Host, Pattern)),
             [_] = eid_peers:logged(A, ["^warning eid: cannot connect to ",
                                        Container, "@", Host, ": .*",
                                        Pattern]),
             [_] = eid_peers:logged(A, Container),
             true = Ms < 2000 + ?LATE_MS,
             true = Ms >= 2000
                 orelse not lists:member(Reason, [answer_timed_out,
                                                  answer_stalled])
         end || {{Container, Reason, Pattern}, {Container, Result, Ms}}
                    <- paired(Rows, Results)],
    ok.

failures_of_a_connect(Config) ->
    A = a(Config),
    {Host, Rows} = hostile(),
    Results = each(A, [Container || {Container, _, _} <- Rows],
                   fun(Container) ->
                           net_kernel:connect_node(node_name(Container,
                                                             Host))
                   end),
    _ = [begin
             false = Result,
             true = Ms < 2000 + ?LATE_MS,
             [_] = eid_peers:logged(A, ["^warning eid: cannot connect to ",
                                        Container, "@", Host, ": ",
                                        sentence(Container, Host, Pattern)]),
             [_] = eid_peers:logged(A, Container)
         end || {{Container, _, Pattern}, {Container, Result, Ms}}
                    <- paired(Rows, Results)],
    ok.

%% What daemons, and what else may be at that port, can do: the answer to a
%% container's lookup, the reason and what the sentence says.
hostile() ->
    Host = eid_peers:host(),
    Daemon = eid_daemon:start(Host),
    {Host, [begin
                Container = eid_daemon:container(),
                ok = eid_daemon:set(Daemon, Container, Make(Container)),
                {Container, Reason, Pattern}
            end || {Make, Reason, Pattern} <- not_docker() ++ bad_http()
                       ++ bad_json() ++ statuses() ++ containers()]}.

not_docker() ->
    NotHTTP = "does not speak HTTP",
    WantsTLS = "this daemon wants TLS",
    [{sent("SSH-2.0-OpenSSH_9.2p1\r\n"), not_http, NotHTTP},
     {sent(<<0, 0, 0, 255, 0>>), not_http, NotHTTP},
     {sent("HTTP/2 200\r\n\r\n{}"), not_http, NotHTTP},
     {sent("\r\n\r\n"), not_http, NotHTTP},
     %% The end of it never comes.
     {does(fun(Socket) ->
                   _ = gen_tcp:send(Socket, "220 mail "),
                   closed = wait_closed(Socket)
           end), not_http, NotHTTP},
     %% A fatal alert: protocol_version.
     {sent(<<21, 3, 1, 0, 2, 2, 70>>), wants_tls, WantsTLS},
     {sent(eid_daemon:answer("400 Bad Request", "", "Client sent an HTTP "
                             "request to an HTTPS server.\n")),
      wants_tls, WantsTLS},
     {sent(["HTTP/1.0 400 Bad Request\r\n\r\n", "Client sent an HTTP "
            "request to an HTTPS server.\n"]), wants_tls, WantsTLS},
     {sent(""), cut_short, "closed without an answer"},
     {does(fun(Socket) ->
                   _ = inet:setopts(Socket, [{linger, {true, 0}}])
           end), connection_reset, "reset the connection"},
     {does(fun(Socket) -> closed = wait_closed(Socket) end),
      answer_timed_out, "no answer came in time"},
     {does(fun(Socket) -> drip(Socket, lists:duplicate(1000, "H")) end),
      not_http, NotHTTP}].

bad_http() ->
    Body = fun eid_daemon:inspect/1,
    Stalled = "the answer began but did not end in time",
    [{does(fun(Socket) ->
                   drip(Socket, "HTTP/1.1 200 OK\r\nX: "
                        ++ lists:duplicate(1000, $x))
           end), answer_stalled, Stalled},
     {fun(Container) ->
              Answer = iolist_to_binary(eid_daemon:chunked(Body(Container))),
              fun(Socket) ->
                      _ = gen_tcp:send(Socket, binary:part(Answer, 0, 200)),
                      closed = wait_closed(Socket)
              end
      end, answer_stalled, Stalled},
     {sent("HTTP/1.1 2000 OK\r\n\r\n{}"), malformed_http, "the status line"},
     {sent("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n{}"), malformed_http,
      "a header line"},
     {sent("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"),
      malformed_http, "the content length"},
     {sent("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"),
      answer_too_large, "larger than 33554432 bytes"},
     {sent("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
      malformed_http, "a chunk size"},
     {sent(["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            lists:duplicate(64, $f), "\r\n"]),
      answer_too_large, "larger than 33554432 bytes"},
     {sent("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
      malformed_http, "an unknown transfer encoding"},
     {sent(["HTTP/1.1 200 ", lists:duplicate(10000, $K)]), malformed_http,
      "an endless line"},
     {does(fun(Socket) ->
                   _ = gen_tcp:send(Socket, "HTTP/1.1 200 OK\r\n"),
                   pour(Socket, "X: y\r\n")
           end), malformed_http, "endless headers"}].

bad_json() ->
    NotJSON = "is not valid JSON \\(at byte [0-9]+\\)",
    [{ok("{\"Id\":\"" ++ [0] ++ "\"}"), malformed_json, NotJSON},
     {ok("<html><body>It works!</body></html>"), malformed_json, NotJSON},
     {ok("{'Id':1}"), malformed_json, NotJSON},
     {ok("{\"Id\":tru}"), malformed_json, NotJSON},
     {ok("{\"Id\":\"\\ud800\\x\"}"), malformed_json, NotJSON},
     {ok("{\"Id\":\"a\",}"), malformed_json, NotJSON},
     {fun(Container) ->
              eid_daemon:answer("200 OK",
                                [eid_daemon:inspect(Container), "}"])
      end, malformed_json, NotJSON},
     %% Complete for HTTP, but not as JSON.
     {ok("{\"Id\":\"a\""), malformed_json, NotJSON},
     {sent("HTTP/1.1 204 No Content\r\n\r\n"), unexpected_status,
      "status 204"},
     {ok(lists:duplicate(100000, $[)), unexpected_json, "lacks a container"},
     {ok(["{\"x\":", lists:duplicate(100000, $[)]), too_deep_json,
      "nested deeper"},
     {ok("{}"), unexpected_json, "lacks Id "},
     {ok("[]"), unexpected_json, "lacks a container"},
     {ok("{\"Id\":7}"), unexpected_json, "lacks Id "},
     {ok("{\"Id\":\"a\",\"Id\":\"a\"}"), unexpected_json, "lacks Id "},
     {inspect(#{name => "null"}), unexpected_json, "lacks Name "},
     {inspect(#{state => "\"Running\":\"true\""}), unexpected_json,
      "lacks State.Running "},
     {inspect(#{ports => "[]"}), unexpected_json,
      "lacks NetworkSettings.Ports "}].

statuses() ->
    [{sent(eid_daemon:answer("301 Moved Permanently",
                             "Location: http://127.0.0.1:1/\r\n", "")),
      redirected, "a redirect \\(status 301\\), which is not followed"},
     {sent("HTTP/1.1 307 Temporary Redirect\r\nLocation: /x\r\n\r\n"),
      redirected, "\\(status 307\\)"},
     {sent(eid_daemon:answer("403 Forbidden", "{\"message\":\"no entry\"}")),
      forbidden, "forbids it \\(status 403, \"no entry\"\\)"},
     {sent(eid_daemon:answer("404 Not Found",
                             "{\"message\":\"No such container: x\"}\n")),
      no_such_container, "no such container on that host, "
      "\"No such container: x\""},
     {sent(eid_daemon:answer("404 Not Found", "", "404 page not found\n")),
      unexpected_status, "status 404, \"404 page not found\""},
     {sent(eid_daemon:answer("400 Bad Request",
                             "{\"message\":\"multiple IDs found with "
                             "provided prefix: c0\"}\n")),
      ambiguous_container, "more than one container is meant"},
     {sent(eid_daemon:answer("500 Internal Server Error",
                             "{\"message\":\"out of luck\"}")),
      unexpected_status, "status 500, \"out of luck\""},
     %% A message that would be more than a line of the log.
     {sent(eid_daemon:answer("500 Internal Server Error",
                             "{\"message\":\"\\u001b[2J\\nerror eid: "
                             "\\u0000\"}")),
      unexpected_status, "status 500, \"[^\\x00-\\x1f]*error eid"},
     {sent(["HTTP/1.1 500 Oh\r\n\r\n", lists:duplicate(100000, $a)]),
      unexpected_status, "status 500, \"aaaa"}].

containers() ->
    Other = lists:duplicate(64, $b),
    [{inspect(#{id => ["\"", Other, "\""]}), wrong_container,
      ["another container, ", Other]},
     {inspect(#{state => "\"Status\":\"exited\",\"Running\":false"}),
      not_running, "not running \\(exited\\)"},
     {inspect(#{state => "\"Running\":true,\"Paused\":true"}), paused,
      "paused: docker unpause"},
     {inspect(#{state => "\"Running\":true,\"Restarting\":true"}),
      restarting, "is restarting"},
     {inspect(#{state => "\"Running\":true,\"Dead\":true"}), dead,
      "is dead"},
     {inspect(#{network_mode => "container:" ++ Other, ports => "{}"}),
      shares_network, ["the network of container ", Other]},
     {inspect(#{ports => "{}"}), not_published,
      ["not published: docker run -p ", port_text()]},
     {inspect(#{ports => "null"}), not_published, "not published:"},
     {inspect(#{ports => "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":"
                "\"80\"}]}"}), not_published, "not published, only 80/tcp:"},
     {inspect(#{ports => eid_daemon:published("127.255.255.1", 9)}),
      bound_elsewhere, "published on 127.255.255.1 only"},
     {inspect(#{ports => eid_daemon:published("::", 9)}), ipv6_only,
      "for IPv6 only"}]
        ++ [{inspect(#{ports => eid_daemon:published("0.0.0.0", HostPort)}),
             invalid_published_port, ["\"", HostPort, "\" as the published"]}
            || HostPort <- ["0", "65536", "-1", "", "1e3", "99999999999999"]].

%% Wherever the connection is closed within the answer.
an_answer_cut_anywhere(Config) ->
    Host = eid_peers:host(),
    Daemon = eid_daemon:start(Host),
    Cuts = [begin
                Container = eid_daemon:container(),
                Json = eid_daemon:inspect(Container),
                Answer = iolist_to_binary(Form(Json)),
                Length = byte_size(string:trim(Answer, trailing)),
                Cut = Length * Part div 20 - Part div 20,
                ok = eid_daemon:set(Daemon, Container,
                                    binary:part(Answer, 0, Cut)),
                {Container, Cut}
            end || Form <- [fun(Json) -> eid_daemon:answer("200 OK", Json) end,
                            fun eid_daemon:chunked/1,
                            fun(Json) -> ["HTTP/1.0 200 OK\r\n\r\n", Json] end],
                   Part <- lists:seq(1, 20)],
    Results = look_up(a(Config), Host, [Container || {Container, _} <- Cuts]),
    _ = [begin
             {error, {cut_short, Sentence}} = Result,
             says(Sentence, ["closed within the answer, after ",
                             integer_to_list(Cut), " bytes"])
         end || {{Container, Cut}, {Container, Result, _}}
                    <- paired(Cuts, Results)],
    ok.

wrong_names_are_not_asked_for(Config) ->
    A = a(Config),
    Host = eid_peers:host(),
    Daemon = eid_daemon:start(Host),
    Names = [{"C0FFEEC0FFEE", upper_case_container_id, "in upper case"}]
        ++ [{Name, invalid_container, "neither a container ID nor"}
            || Name <- ["..", "a/b", "%2e", "a b", "a?b", "a\r\nHost: b",
                        "-a", [233], lists:duplicate(300, $a)]],
    _ = [begin
             {error, {Reason, Sentence}} =
                 eid_peers:call(A, eid_epmd, port_please, [Name, Host]),
             says(Sentence, Says)
         end || {Name, Reason, Says} <- Names],
    _ = [false = eid_peers:call(A, net_kernel, connect_node,
                                [node_name(Name, Host)])
         || {Name, _, _} <- Names, length(Name) < 200],
    [] = eid_daemon:requests(Daemon),
    ok.

the_request(Config) ->
    Host = eid_peers:host(),
    Daemon = eid_daemon:start(Host),
    Container = eid_daemon:container(),
    [{_, {error, {no_such_container, _}}, _}] =
        look_up(a(Config), Host, [Container]),
    [Request] = eid_daemon:requests(Daemon),
    [First, <<"Host: ", HostPort/binary>> | _] =
        binary:split(Request, <<"\r\n">>, [global]),
    First = iolist_to_binary(["GET /containers/", Container,
                              "/json HTTP/1.1"]),
    HostPort = iolist_to_binary([Host, ":", daemon_text()]),
    ok.

no_daemon(Config) ->
    A = a(Config),
    Host = eid_peers:host(),
    Container = eid_daemon:container(),
    [{_, {error, {connection_refused, Sentence}}, Ms}] =
        look_up(A, Host, [Container]),
    says(Sentence, sentence(Container, Host,
                            ["refused.*dockerd with -H tcp://0.0.0.0:",
                             daemon_text()])),
    true = Ms < ?LATE_MS,
    false = eid_peers:call(A, net_kernel, connect_node,
                           [node_name(Container, Host)]),
    %% The broadcast address: no packet leaves for it.
    [{_, {error, {unreachable, Unreachable}}, _}] =
        look_up(A, "255.255.255.255", [Container]),
    says(Unreachable, "the host cannot be reached"),
    ok.

%% A daemon that is stopped: the kernel accepts for it, until it does not.
a_daemon_that_does_not_accept(Config) ->
    Host = eid_peers:host(),
    Ip = eid_peers:address(Host),
    {ok, Listener} = gen_tcp:listen(eid_daemon:port(),
                                    [{ip, Ip}, {backlog, 0},
                                     {reuseaddr, true}]),
    Container = eid_daemon:container(),
    [{_, {error, {answer_timed_out, _}}, _}] =
        look_up(a(Config), Host, [Container]),
    Fill = [gen_tcp:connect(Ip, eid_daemon:port(), [], 200)
            || _ <- lists:seq(1, 3)],
    [{_, {error, {connect_timed_out, Sentence}}, Ms}] =
        look_up(a(Config), Host, [Container]),
    says(Sentence, "nobody answered the attempt to connect"),
    true = Ms >= 2000 andalso Ms < 2000 + ?LATE_MS,
    _ = [gen_tcp:close(Socket) || {ok, Socket} <- Fill],
    ok = gen_tcp:close(Listener).

a_slow_answer_in_time_is_good(Config) ->
    Host = eid_peers:host(),
    Daemon = eid_daemon:start(Host),
    Container = eid_daemon:container(),
    Bytes = binary_to_list(iolist_to_binary(
                             eid_daemon:chunked(
                               eid_daemon:inspect(Container)))),
    ok = eid_daemon:set(Daemon, Container,
                        fun(Socket) ->
                                ok = inet:setopts(Socket, [{nodelay, true}]),
                                [ok = gen_tcp:send(Socket, [Byte])
                                 || Byte <- Bytes]
                        end),
    [{_, {port, Port, 6}, _}] = look_up(a(Config), Host, [Container]),
    Port = eid_peers:port(),
    ok.

%% ---------------------------------------------------------------------
%% The node meanwhile
%% ---------------------------------------------------------------------

%% Three at once that send as fast as they can, by different ways to be
%% without end; the only scheduler of the node has time for others.
answers_without_end(Config) ->
    A = a(Config),
    Host = eid_peers:host(),
    Daemon = eid_daemon:start(Host),
    Containers = [eid_daemon:container() || _ <- [1, 2, 3]],
    Head = "HTTP/1.1 200 OK\r\n",
    Spaces = lists:duplicate(16#8000, $\s),
    lists:foreach(
      fun({Container, Begin, Piece}) ->
              ok = eid_daemon:set(Daemon, Container,
                                  fun(Socket) ->
                                          _ = gen_tcp:send(Socket, Begin),
                                          pour(Socket, Piece)
                                  end)
      end,
      lists:zip3(Containers,
                 [[Head, "Transfer-Encoding: chunked\r\n\r\n"],
                  [Head, "\r\n{\"x\":\""], [Head, "\r\n{\"x\":[1"]],
                 [["8000\r\n", Spaces, "\r\n"], Spaces,
                  lists:duplicate(16#4000, ",1")])),
    Memory = eid_peers:call(A, eid_peers, memory, [total]),
    ok = start_pulse(A),
    %% They reach the limit, unless the machine is too slow for that.
    Results = each(A, Containers,
                   fun(Container) ->
                           Ip = eid_peers:address(Host),
                           eid_socket:lookup({Ip, eid_daemon:port()}, Ip,
                                             10000, eid_peers:port(),
                                             Container)
                   end),
    {Longest, Most} = stop_pulse(A),
    _ = [true = lists:member(Reason, [answer_too_large, answer_stalled])
         || {_, {error, {Reason, _}}, _} <- Results],
    3 = length([Ms || {_, {error, _}, Ms} <- Results,
                      Ms < 10000 + ?LATE_MS]),
    true = Longest < 1500,
    true = Most < Memory + 16 * ?MB,
    ok.

%% The time that a connection's setup has is shorter than the lookup's.
setuptime_is_a_deadline_too(_Config) ->
    C = eid_peers:start(#{name => "c",
                          kernel => [{eid_lookup, docker},
                                     {docker_daemon_port, eid_daemon:port()},
                                     {eid_lookup_timeout, 60000},
                                     {net_setuptime, 2}]}),
    Host = eid_peers:host(),
    Daemon = eid_daemon:start(Host),
    Container = eid_daemon:container(),
    ok = eid_daemon:set(Daemon, Container,
                        fun(Socket) -> closed = wait_closed(Socket) end),
    Ports = ports(C),
    false = eid_peers:call(C, net_kernel, connect_node,
                           [node_name(Container, Host)]),
    [_] = eid_peers:await_log(C, ["cannot connect to ", Container, "@", Host,
                                  ".*no answer came in time"]),
    [_] = eid_peers:logged(C, "."),
    eid_peers:until(fun() -> ports(C) =:= Ports end).

%% The setup's time ends before the resolver gives up.
a_resolver_that_says_nothing(Config) ->
    {ok, Server} = gen_udp:open(0, [{ip, {127, 0, 0, 1}}]),
    C = resolving_node(Config, Server),
    Processes = processes(C),
    false = eid_peers:call(C, net_kernel, connect_node,
                           [node_name("c0ffee00c0ff", "slow.example")]),
    [_] = eid_peers:await_log(C, "cannot connect to c0ffee00c0ff@slow.example"
                              ": the host slow.example does not resolve "
                              "\\(no answer in time"),
    [_] = eid_peers:logged(C, "."),
    %% That which counts failures has come.
    eid_peers:until(fun() -> processes(C) =:= Processes + 1 end),
    ok = gen_udp:close(Server).

%% The same where it is the daemon that has a name.
a_resolver_that_says_nothing_of_a_daemon(Config) ->
    {ok, Server} = gen_udp:open(0, [{ip, {127, 0, 0, 1}}]),
    C = resolving_node(Config, Server),
    Host = eid_peers:host(),
    ok = eid_peers:call(C, application, set_env,
                        [kernel, docker_hosts,
                         [{Host, [{address, "tcp://slow.example:2375"}]}]]),
    Processes = processes(C),
    false = eid_peers:call(C, net_kernel, connect_node,
                           [node_name("c0ffee00c0ff", Host)]),
    [_] = eid_peers:await_log(C, ["cannot connect to c0ffee00c0ff@", Host,
                                  ": the name slow.example of its Docker "
                                  "daemon .docker_hosts. does not resolve "
                                  "\\(no answer in time"]),
    [_] = eid_peers:logged(C, "."),
    eid_peers:until(fun() -> processes(C) =:= Processes + 1 end),
    ok = gen_udp:close(Server).

%% What the resolver has taken of the setup's time is not there for the lookup.
a_slow_resolver_and_a_silent_daemon(Config) ->
    Host = eid_peers:host(),
    {ok, Server} = gen_udp:open(0, [binary, {ip, {127, 0, 0, 1}},
                                    {active, false}]),
    C = resolving_node(Config, Server),
    Daemon = eid_daemon:start(Host),
    Container = eid_daemon:container(),
    ok = eid_daemon:set(Daemon, Container,
                        fun(Socket) -> closed = wait_closed(Socket) end),
    Self = self(),
    Connect = fun() ->
                      Self ! eid_peers:call(C, net_kernel, connect_node,
                                            [node_name(Container,
                                                       "slow.example")])
              end,
    _ = spawn_link(Connect),
    {ok, {From, Port, Query}} = gen_udp:recv(Server, 0),
    timer:sleep(1000),
    ok = gen_udp:send(Server, From, Port,
                      dns_answer(Query, eid_peers:address(Host))),
    receive false -> ok end,
    [_] = eid_peers:await_log(C, ["cannot connect to ", Container, "@slow.*",
                                  "no answer came in time"]),
    [_] = eid_peers:logged(C, "."),
    ok = gen_udp:close(Server).

%% A node that asks this name server alone.
resolving_node(Config, Server) ->
    {ok, Port} = inet:port(Server),
    File = filename:join(proplists:get_value(priv_dir, Config),
                         lists:concat(["inetrc", Port])),
    %% OTP 29 asks for the name of its machine when it starts.
    {ok, Own} = inet:gethostname(),
    ok = file:write_file(File,
                         [io_lib:format("~p.~n", [Line])
                          || Line <- [{resolv_conf, ""}, {hosts_file, ""},
                                      {host, {127, 0, 0, 1}, [Own]},
                                      {lookup, [file, dns]}, {timeout, 20000},
                                      {retry, 1},
                                      {nameserver, {127, 0, 0, 1}, Port}]]),
    eid_peers:start(#{name => "c",
                      kernel => [{eid_lookup, docker},
                                 {docker_daemon_port, eid_daemon:port()},
                                 {eid_lookup_timeout, 60000},
                                 {net_setuptime, 3}, {inetrc, File}]}).

dns_answer(Query, Ip) ->
    {ok, Message} = inet_dns:decode(Query),
    [Question] = inet_dns:msg(Message, qdlist),
    Answer = inet_dns:make_rr([{domain, inet_dns:dns_query(Question, domain)},
                               {type, a}, {class, in}, {ttl, 60},
                               {data, Ip}]),
    inet_dns:encode(
      inet_dns:make_msg([{header, inet_dns:make_header(
                                    inet_dns:msg(Message, header),
                                    [{qr, true}, {ra, true}])},
                         {qdlist, [Question]}, {anlist, [Answer]}])).

processes(Peer) ->
    length(eid_peers:call(Peer, erlang, processes, [])).

%% Six connects to a daemon that says nothing; the node talks to the one it is
%% connected to, and connects to another one meanwhile.
a_silent_daemon_holds_up_nobody_else(Config) ->
    A = a(Config),
    #{node := NodeB} = proplists:get_value(b, Config),
    Silent = eid_peers:host(),
    Daemon = eid_daemon:start(Silent),
    Containers = [eid_daemon:container() || _ <- lists:seq(1, 6)],
    [ok = eid_daemon:set(Daemon, Container,
                         fun(Socket) -> closed = wait_closed(Socket) end)
     || Container <- Containers],
    {Good, #{node := NodeC} = C} = published_node(0),
    Waiting = eid_peers:run(
                A, fun() ->
                           [element(1, spawn_monitor(
                                         fun() ->
                                                 false = net_kernel:
                                                     connect_node(
                                                       node_name(Container,
                                                                 Silent))
                                         end)) || Container <- Containers]
                   end),
    eid_peers:until(fun() -> length(eid_daemon:requests(Daemon)) =:= 6 end),
    Start = erlang:monotonic_time(millisecond),
    pong = eid_peers:call(A, net_adm, ping, [NodeB]),
    true = eid_peers:call(A, net_kernel, connect_node, [NodeC]),
    {ok, [{nodelay, _}]} = eid_peers:call(A, net_kernel, getopts,
                                          [NodeC, [nodelay]]),
    true = eid_peers:call(A, erlang, disconnect_node, [NodeC]),
    Took = erlang:monotonic_time(millisecond) - Start,
    Alive = alive(A, Waiting),
    %% All of that was done while they waited.
    true = Took > 1500 orelse not lists:member(false, Alive),
    eid_peers:until(fun() ->
                            not lists:member(true, alive(A, Waiting))
                    end),
    [] = eid_peers:logged(A, atom_to_list(NodeC)),
    ok = eid_daemon:stop(Good),
    eid_peers:stop(C).

a_hundred_lookups_at_once(Config) ->
    A = a(Config),
    Host = eid_peers:host(),
    Daemon = eid_daemon:start(Host),
    Containers = [eid_daemon:container() || _ <- lists:seq(1, 100)],
    lists:foreach(
      fun({Container, Port}) ->
              Ports = eid_daemon:published(Host, Port),
              ok = eid_daemon:set(Daemon, Container,
                                  eid_daemon:chunked(
                                    eid_daemon:inspect(Container,
                                                       #{ports => Ports})))
      end, lists:zip(Containers, lists:seq(1, 100))),
    Results = look_up(A, Host, Containers),
    _ = [{port, Number, 6} = Result
         || {Number, {_, Result, _}} <- lists:zip(lists:seq(1, 100),
                                                  Results)],
    [] = [Container || Container <- Containers,
                       eid_peers:logged(A, Container) =/= []],
    ok.

%% ---------------------------------------------------------------------
%% Connections through the lookup
%% ---------------------------------------------------------------------

%% The container restarts: another published port, the same name. A daemon
%% that still names the old port misleads only as long as it does.
a_new_published_port_is_found(Config) ->
    A = a(Config),
    {Daemon, #{node := NodeC, host := Host} = C1} = published_node(0),
    ok = eid_peers:connect(A, C1),
    Old = published_port(C1),
    {ok, Info} = eid_peers:call(A, net_kernel, node_info, [NodeC]),
    {net_address, {_, Old}, Host, _, _} = proplists:get_value(address, Info),
    ok = eid_peers:kill(C1),
    eid_peers:until(fun() -> not eid_peers:is_up(A, C1) end),
    {Container, _} = lists:split(12, atom_to_list(NodeC)),
    [C2] = eid_peers:start_all([#{name => Container, host => Host,
                                  args => ["-hidden"],
                                  kernel => [{erlang_port, 0}]}]),
    false = published_port(C2) =:= Old,
    case eid_peers:carrier() of
        "eid_tcp" ->
            false = eid_peers:call(A, net_kernel, connect_node, [NodeC]),
            [_] = eid_peers:logged(A, [atom_to_list(NodeC),
                                       ": connection refused by ", Host, ":",
                                       integer_to_list(Old),
                                       ": no node listens there"]);
        _ ->
            ok
    end,
    publish(Daemon, Container, published_port(C2)),
    ok = eid_peers:connect(A, C2),
    OsPid = maps:get(os_pid, C2),
    OsPid = eid_peers:call(A, erpc, call, [NodeC, os, getpid, []]),
    true = eid_peers:call(A, erlang, disconnect_node, [NodeC]),
    eid_peers:stop(C2).

containers_by_name(Config) ->
    A = a(Config),
    Host = eid_peers:host(),
    #{node := Node} = C = eid_peers:start(#{name => "web-1", host => Host}),
    Daemon = eid_daemon:start(Host),
    %% By that name Docker has found the beginning of another one's ID.
    ok = eid_daemon:set(Daemon, "web-1",
                        eid_daemon:answer(
                          "200 OK", eid_daemon:inspect(
                                      "web-1", #{name => "\"/web-12\""}))),
    false = eid_peers:call(A, net_kernel, connect_node, [Node]),
    [_] = eid_peers:await_log(A, "web-1@.*another container, .*, named "
                              "web-12: "),
    publish(Daemon, "web-1", eid_peers:port()),
    ok = eid_peers:connect(A, C),
    true = eid_peers:call(A, erlang, disconnect_node, [Node]),
    eid_peers:stop(C).

%% ---------------------------------------------------------------------
%% Helpers
%% ---------------------------------------------------------------------

a(Config) ->
    proplists:get_value(a, Config).

ports(Peer) ->
    lists:sort(eid_peers:call(Peer, erlang, ports, [])).

node_name(Container, Host) ->
    list_to_atom(Container ++ "@" ++ Host).

%% Which of its processes are alive.
alive(Peer, Pids) ->
    eid_peers:run(Peer, fun() -> [is_process_alive(Pid) || Pid <- Pids] end).

port_text() ->
    integer_to_list(eid_peers:port()).

daemon_text() ->
    integer_to_list(eid_daemon:port()).

sentence(Container, Host, Pattern) ->
    ["cannot look up port ", port_text(), " of container ", Container,
     " at Docker daemon ", Host, ":", daemon_text(), ": .*", Pattern].

says(Sentence, Pattern) ->
    re:run(unicode:characters_to_binary(Sentence), Pattern) =/= nomatch
        orelse error({does_not_say, lists:flatten(Pattern), Sentence}),
    ok.

%% A node that listens on ErlangPort and its host's daemon, which says so.
published_node(ErlangPort) ->
    Container = eid_daemon:container(),
    #{host := Host} = Peer =
        eid_peers:start(#{name => Container,
                          %% Else global would cut connections, since it does
                          %% not reach all of them.
                          args => ["-hidden"],
                          kernel => [{erlang_port, ErlangPort}]}),
    Daemon = eid_daemon:start(Host),
    publish(Daemon, Container, published_port(Peer)),
    {Daemon, Peer}.

publish(Daemon, Container, Port) ->
    Ports = eid_daemon:published("0.0.0.0", Port),
    ok = eid_daemon:set(Daemon, Container,
                        eid_daemon:chunked(
                          eid_daemon:inspect(Container,
                                             #{ports => Ports}))).

published_port(#{os_pid := OsPid}) ->
    [{_, Port}] = eid_proc:listening(OsPid),
    Port.

look_up(Peer, Host, Containers) ->
    each(Peer, Containers,
         fun(Container) -> eid_epmd:port_please(Container, Host) end).

%% Has the node call Fun on all containers at once: the results, and how many
%% milliseconds they took.
each(Peer, Containers, Fun) ->
    Timed = fun(Container) ->
                    Start = erlang:monotonic_time(millisecond),
                    Result = Fun(Container),
                    {Container, Result,
                     erlang:monotonic_time(millisecond) - Start}
            end,
    eid_peers:run(
      Peer,
      fun() ->
              Runs = [spawn_monitor(fun() -> exit({done, Timed(Container)})
                                    end) || Container <- Containers],
              [receive
                   {'DOWN', Monitor, _, _, {done, Result}} -> Result;
                   {'DOWN', Monitor, _, _, Reason} -> error(Reason)
               end || {_, Monitor} <- Runs]
      end).

paired(Rows, Results) ->
    lists:zip(Rows, Results).

%% ---------------------------------------------------------------------
%% What daemons do
%% ---------------------------------------------------------------------

sent(Answer) ->
    fun(_Container) -> Answer end.

does(Fun) ->
    fun(_Container) -> Fun end.

ok(Body) ->
    sent(eid_daemon:answer("200 OK", Body)).

inspect(Changes) ->
    fun(Container) ->
            eid_daemon:answer("200 OK",
                              eid_daemon:inspect(Container, Changes))
    end.

wait_closed(Socket) ->
    {error, Reason} = gen_tcp:recv(Socket, 0),
    Reason.

%% A byte now and then, until the other side has had enough.
drip(_Socket, []) ->
    ok;
drip(Socket, [Byte | Bytes]) ->
    case gen_tcp:send(Socket, [Byte]) of
        ok ->
            receive after 50 -> ok end,
            drip(Socket, Bytes);
        {error, _} ->
            ok
    end.

pour(Socket, Piece) ->
    case gen_tcp:send(Socket, Piece) of
        ok -> pour(Socket, Piece);
        {error, _} -> ok
    end.

%% ---------------------------------------------------------------------
%% Whether a node has time, and memory
%% ---------------------------------------------------------------------

start_pulse(Peer) ->
    eid_peers:run(Peer, fun() ->
                                true = register(pulse,
                                                spawn(?MODULE, pulse,
                                                      [0, 0])),
                                ok
                        end).

%% The longest time between two beats, in milliseconds, and the most memory
%% seen at one.
stop_pulse(Peer) ->
    eid_peers:run(Peer, fun() ->
                                pulse ! {stop, self()},
                                receive {pulse, Longest, Most} ->
                                        {Longest, Most}
                                end
                        end).

pulse(Longest, Most) ->
    Start = erlang:monotonic_time(millisecond),
    receive
        {stop, From} -> From ! {pulse, Longest, Most}
    after 5 ->
            Gap = erlang:monotonic_time(millisecond) - Start,
            pulse(max(Longest, Gap), max(Most, eid_peers:memory(total)))
    end.
