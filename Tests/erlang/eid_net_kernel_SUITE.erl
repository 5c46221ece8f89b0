%% SPDX-License-Identifier: Apache-2.0

%% What net_kernel promises, over this carrier: nodes come and go, are hidden,
%% named late, refused, and found by all kinds of names.
-module(eid_net_kernel_SUITE).

-export([all/0, suite/0]).

-export([connect_and_disconnect/1, a_message_connects/1,
         connecting_to_oneself_and_to_nobody/1, hidden_nodes/1,
         no_listening/1, dynamic_names/1, remote_shell/1,
         start_and_stop_at_run_time/1, allow/1, wrong_cookie/1,
         a_cookie_for_each_node/1, another_node_than_it_was_asked_for/1,
         two_nodes_with_one_name/1, simultaneous_connects/1,
         the_loser_of_simultaneous_connects_is_no_news/1,
         no_nodeup_after_the_handshake/1,
         a_killed_node_is_down_at_once/1,
         a_restarted_node_is_another_one/1, halt_is_seen_at_once/1,
         idle_and_stopped_nodes/1, options_of_a_connection/1,
         options_of_new_connections/1, options_in_the_environment/1,
         dist_nodelay/1, use_interface/1, check_ip/1, short_names/1,
         long_names_with_domains/1, ipv6_names/1,
         one_listener_for_both_families/1, the_controller_is_a_port/1,
         an_acceptor_that_dies_is_replaced/1,
         an_acceptor_that_cannot_run_is_started_slowly/1,
         connections_outlive_new_code/1]).

%% Run in the nodes
-export([idle/0, watch/0]).

suite() ->
    [{timetrap, {seconds, 60}}].

all() ->
    [connect_and_disconnect, a_message_connects,
     connecting_to_oneself_and_to_nobody, hidden_nodes, no_listening,
     dynamic_names, remote_shell, start_and_stop_at_run_time, allow,
     wrong_cookie, a_cookie_for_each_node, another_node_than_it_was_asked_for,
     two_nodes_with_one_name, simultaneous_connects,
     the_loser_of_simultaneous_connects_is_no_news,
     no_nodeup_after_the_handshake,
     a_killed_node_is_down_at_once, a_restarted_node_is_another_one,
     halt_is_seen_at_once, idle_and_stopped_nodes, options_of_a_connection,
     options_of_new_connections, options_in_the_environment, dist_nodelay,
     use_interface, check_ip, short_names, long_names_with_domains,
     ipv6_names, one_listener_for_both_families, the_controller_is_a_port,
     an_acceptor_that_dies_is_replaced,
     an_acceptor_that_cannot_run_is_started_slowly,
     connections_outlive_new_code].

%% ---------------------------------------------------------------------
%% Coming and going
%% ---------------------------------------------------------------------

%% Without global, which may connect again what was disconnected.
connect_and_disconnect(_Config) ->
    [#{node := NodeA} = A, #{node := NodeB} = B] =
        eid_peers:start_all([#{name => Name, kernel => [{connect_all, false}]}
                             || Name <- ["a", "b"]]),
    [watch(Peer) || Peer <- [A, B]],
    [begin
         ok = eid_peers:connect(From, To),
         {nodeup, NodeB} = event(A),
         {nodeup, NodeA} = event(B),
         [NodeB] = eid_peers:call(A, erlang, nodes, []),
         [NodeA] = eid_peers:call(B, erlang, nodes, []),
         %% net_kernel hears of it a moment after those who watch.
         eid_peers:until(fun() ->
                                 eid_peers:call(Who, erlang,
                                                disconnect_node, [Whom])
                         end),
         {nodedown, NodeB, ReasonA} = event(A),
         {nodedown, NodeA, ReasonB} = event(B),
         [connection_closed, disconnect] = lists:sort([ReasonA, ReasonB]),
         [] = eid_peers:call(A, erlang, nodes, [connected])
     end || {From, To} <- [{A, B}, {B, A}],
            {Who, Whom} <- [{A, NodeB}, {B, NodeA}]],
    false = eid_peers:call(A, erlang, disconnect_node, [NodeB]),
    ok.

a_message_connects(_Config) ->
    [A, #{node := NodeB} = B] =
        eid_peers:start_all([#{name => "a"}, #{name => "b"}]),
    true = eid_peers:run(B, fun() ->
                                    register(idle, spawn(?MODULE, idle, []))
                            end),
    stopped = eid_peers:run(A, fun() ->
                                       {idle, NodeB} ! {stop, self()},
                                       receive stopped -> stopped end
                               end),
    true = eid_peers:is_up(A, B),
    %% Not where it is switched off.
    C = eid_peers:start(#{name => "c",
                          kernel => [{dist_auto_connect, never}]}),
    pang = eid_peers:call(C, net_adm, ping, [NodeB]),
    true = eid_peers:call(C, net_kernel, connect_node, [NodeB]),
    pong = eid_peers:call(C, net_adm, ping, [NodeB]),
    ok.

connecting_to_oneself_and_to_nobody(Config) ->
    #{node := NodeA, host := Host} = A =
        eid_peers:start(#{name => "a", kernel => [inetrc(Config, [])]}),
    pong = eid_peers:call(A, net_adm, ping, [NodeA]),
    Connect = fun(Node) ->
                      eid_peers:call(A, net_kernel, connect_node, [Node])
              end,
    true = Connect(NodeA),
    false = Connect(list_to_atom("b@" ++ eid_peers:host())),
    false = Connect('b@no-such-host.example.org'),
    false = Connect(b),
    false = Connect(list_to_atom("b@c@" ++ Host)),
    [] = eid_peers:call(A, erlang, nodes, [connected]),
    case eid_peers:carrier() of
        "eid_tcp" ->
            [_] = eid_peers:await_log(A, "b@.*connection refused by"),
            [_] = eid_peers:await_log(A, "b@no-such-host.*not resolve"),
            ok;
        _ ->
            ok
    end.

hidden_nodes(_Config) ->
    [#{node := NodeA} = A, #{node := NodeB} = B, #{node := NodeH} = H] =
        eid_peers:start_all([#{name => "a"}, #{name => "b"},
                             #{name => "h", args => ["-hidden"]}]),
    ok = eid_peers:connect(H, A),
    [] = eid_peers:call(A, erlang, nodes, []),
    [NodeH] = eid_peers:call(A, erlang, nodes, [hidden]),
    [] = eid_peers:call(H, erlang, nodes, []),
    [NodeA] = eid_peers:call(H, erlang, nodes, [hidden]),
    %% A hidden connection of an ordinary node.
    true = eid_peers:call(A, net_kernel, hidden_connect_node, [NodeB]),
    eid_peers:until(fun() -> eid_peers:is_up(B, A) end),
    [] = eid_peers:call(B, erlang, nodes, []),
    [NodeA] = eid_peers:call(B, erlang, nodes, [hidden]),
    ok.

no_listening(_Config) ->
    [B, #{node := NodeC, os_pid := OsPid} = C] =
        eid_peers:start_all([#{name => "b"},
                             #{name => "c",
                               args => ["-dist_listen", "false"]}]),
    [] = eid_proc:listening(OsPid),
    ok = eid_peers:connect(C, B),
    NodeC = eid_peers:call(B, erpc, call, [NodeC, erlang, node, []]),
    ok.

%% The node that is connected to first gives the name.
dynamic_names(_Config) ->
    [#{node := NodeB} = B, #{os_pid := OsPid} = U] =
        eid_peers:start_all([#{name => "b"}, #{name => "undefined"}]),
    [] = eid_proc:listening(OsPid),
    nonode@nohost = eid_peers:call(U, erlang, node, []),
    true = eid_peers:call(U, net_kernel, connect_node, [NodeB]),
    Name = eid_peers:call(U, erlang, node, []),
    true = Name =/= nonode@nohost,
    eid_peers:until(fun() ->
                            eid_peers:call(B, erlang, nodes, [hidden])
                                =:= [Name]
                    end),
    Name = eid_peers:call(B, erpc, call, [Name, erlang, node, []]),
    true = eid_peers:call(U, erlang, disconnect_node, [NodeB]),
    eid_peers:until(fun() ->
                            eid_peers:call(U, erlang, node, [])
                                =:= nonode@nohost
                    end),
    ok.

remote_shell(_Config) ->
    #{node := NodeA, host := HostA} = eid_peers:start(#{name => "a"}),
    [begin
         Arguments = eid_peers:arguments(#{name => Name, host => Host})
             ++ ["-remsh", atom_to_list(NodeA) | More],
         {Shell, Output} = shell(Arguments),
         Known = shell_says(Shell, Output, "1> $",
                            "io:format(\"~p <~p>~n\", [node(),\n"
                            "nodes(hidden) ++ nodes()]).\n"),
         Seen = shell_says(Shell, Known,
                           ["'?a@", HostA, "'? <\\['?.*@", Host, "'?\\]>"],
                           "\^G"),
         Menu = shell_says(Shell, Seen, "--> $", "q\n"),
         shell_ends(Shell, Menu)
     end || {Name, More} <- [{"shell", ["-dist_listen", "false"]},
                             {"shell", []}, {"undefined", []}],
            Host <- [eid_peers:host()]],
    ok.

start_and_stop_at_run_time(_Config) ->
    [#{os_pid := OsPid, host := Host} = A, #{node := NodeB} = B] =
        eid_peers:start_all([#{name => none}, #{name => "b"}]),
    Listeners = fun() -> length(eid_proc:listening(OsPid)) end,
    Node = list_to_atom("late@" ++ Host),
    Ports = fun() ->
                    [Name || Port <- eid_peers:call(A, erlang, ports, []),
                             {name, Name} <-
                                 [eid_peers:call(A, erlang, port_info,
                                                 [Port, name])]]
            end,
    PortsBefore = Ports(),
    [begin
         {ok, _} = eid_peers:run(A, Start),
         Node = eid_peers:call(A, erlang, node, []),
         Wanted = Listeners(),
         true = eid_peers:call(A, net_kernel, connect_node, [NodeB]),
         Node = eid_peers:call(B, erpc, call, [Node, erlang, node, []]),
         ok = eid_peers:call(A, net_kernel, stop, []),
         eid_peers:until(fun() ->
                                 eid_peers:call(A, erlang, node, [])
                                     =:= nonode@nohost
                         end),
         eid_peers:until(fun() -> Listeners() =:= 0 end),
         eid_peers:until(fun() -> Ports() =:= PortsBefore end),
         eid_peers:until(fun() ->
                                 eid_peers:call(B, erlang, nodes, [connected])
                                     =:= []
                         end)
     end || {Start, Wanted} <-
                [{fun() -> net_kernel:start([Node, longnames]) end, 1},
                 {fun() ->
                          net_kernel:start(Node, #{name_domain => longnames})
                  end, 1},
                 {fun() ->
                          net_kernel:start(Node, #{name_domain => longnames,
                                                   hidden => true,
                                                   dist_listen => false})
                  end, 0},
                 {fun() ->
                          net_kernel:start(Node, #{name_domain => longnames,
                                                   net_ticktime => 5})
                  end, 1},
                 {fun() -> net_kernel:start([Node, longnames]) end, 1}]],
    ok.

%% ---------------------------------------------------------------------
%% Who may connect
%% ---------------------------------------------------------------------

allow(_Config) ->
    [#{node := NodeA} = A, #{node := NodeB} = B, #{node := NodeC} = C] =
        eid_peers:start_all([#{name => "a"}, #{name => "b"}, #{name => "c"}]),
    ok = eid_peers:call(B, net_kernel, allow, [[NodeC]]),
    false = eid_peers:call(A, net_kernel, connect_node, [NodeB]),
    [_] = eid_peers:await_log(B, ["disallowed node.*", atom_to_list(NodeA)]),
    true = eid_peers:call(C, net_kernel, connect_node, [NodeB]),
    ok = eid_peers:call(B, net_kernel, allow, [[NodeA]]),
    true = eid_peers:call(A, net_kernel, connect_node, [NodeB]),
    said_once(A, ["cannot connect to ", atom_to_list(NodeB), ".*not allow"]),
    said_once(B, "").

wrong_cookie(_Config) ->
    [A, #{node := NodeB} = B] =
        eid_peers:start_all([#{name => "a", cookie => "one"},
                             #{name => "b", cookie => "another"}]),
    false = eid_peers:call(A, net_kernel, connect_node, [NodeB]),
    [_] = eid_peers:await_log(B, "Connection attempt from node.*rejected. "
                              "Invalid challenge reply"),
    said_once(A, "cookies differ"),
    said_once(B, "").

a_cookie_for_each_node(_Config) ->
    [A, #{node := NodeB}, #{node := NodeC}] =
        eid_peers:start_all([#{name => "a", cookie => "one"},
                             #{name => "b", cookie => "another"},
                             #{name => "c", cookie => "third"}]),
    true = eid_peers:call(A, erlang, set_cookie, [NodeB, another]),
    true = eid_peers:call(A, erlang, set_cookie, [NodeC, third]),
    true = eid_peers:call(A, net_kernel, connect_node, [NodeB]),
    true = eid_peers:call(A, net_kernel, connect_node, [NodeC]),
    ok.

another_node_than_it_was_asked_for(_Config) ->
    [A, #{host := HostB} = B] =
        eid_peers:start_all([#{name => "a"}, #{name => "b"}]),
    false = eid_peers:call(A, net_kernel, connect_node,
                           [list_to_atom("other@" ++ HostB)]),
    [] = eid_peers:call(A, erlang, nodes, [connected]),
    [] = eid_peers:call(B, erlang, nodes, [connected]),
    ok.

%% The second one takes the first one's place, as over inet_tcp.
two_nodes_with_one_name(_Config) ->
    Host = eid_peers:host(),
    Other = eid_peers:address(eid_peers:host()),
    [#{node := NodeX} = X1, #{node := NodeX} = X2, #{node := NodeC} = C] =
        eid_peers:start_all([#{name => "x", host => Host},
                             #{name => "x", host => Host, interface => Other},
                             #{name => "c"}]),
    watch(X1),
    ok = eid_peers:connect(X1, C),
    {nodeup, NodeC} = event(X1),
    First = eid_peers:call(C, erpc, call, [NodeX, os, getpid, []]),
    true = eid_peers:call(X2, net_kernel, connect_node, [NodeC]),
    {nodedown, NodeC, connection_closed} = event(X1),
    Second = eid_peers:call(C, erpc, call, [NodeX, os, getpid, []]),
    true = First =/= Second,
    ok.

simultaneous_connects(_Config) ->
    [#{node := NodeA} = A, #{node := NodeB} = B] =
        eid_peers:start_all([#{name => "a"}, #{name => "b"}]),
    [begin
         Runs = [spawn_monitor(
                   fun() ->
                           true = eid_peers:call(P, net_kernel, connect_node,
                                                 [N])
                   end) || {P, N} <- [{A, NodeB}, {B, NodeA}]],
         [receive {'DOWN', M, _, _, normal} -> ok end || {_, M} <- Runs],
         pong = eid_peers:call(A, net_adm, ping, [NodeB]),
         pong = eid_peers:call(B, net_adm, ping, [NodeA]),
         ok = eid_peers:disconnect(A, B)
     end || _ <- lists:seq(1, 50)],
    <<>> = eid_peers:log(A),
    <<>> = eid_peers:log(B),
    ok.

%% The other node closes its own connection as soon as it has accepted ours,
%% so it may be gone before it is told that it lost.
the_loser_of_simultaneous_connects_is_no_news(_Config) ->
    B = eid_peers:start(#{name => "b"}),
    Other = eid_peers:host(),
    NodeA = list_to_atom("a@" ++ Other),
    {ok, Listener} = gen_tcp:listen(eid_peers:port(),
                                    [binary, {active, false},
                                     {ip, eid_peers:address(Other)}]),
    _ = spawn_link(fun() ->
                           eid_peers:call(B, net_kernel, connect_node,
                                          [NodeA])
                   end),
    {ok, _} = gen_tcp:accept(Listener, 5000),
    Connecting = eid_peers:kept(B),
    [begin
         {ok, Lost} = gen_tcp:connect(eid_peers:address(B),
                                      eid_peers:port(),
                                      [binary, {active, false},
                                       {linger, {true, 0}}]),
         Name = atom_to_binary(NodeA),
         Flags = element(2, erts_internal:get_dflags()),
         Packet = <<$N, Flags:64, 1:32, (byte_size(Name)):16, Name/binary>>,
         ok = gen_tcp:send(Lost, [<<(byte_size(Packet)):16>>, Packet]),
         ok = gen_tcp:close(Lost)
     end || _ <- lists:seq(1, 20)],
    eid_peers:await_kept(B, Connecting#{memory := infinity}),
    <<>> = eid_peers:log(B),
    ok.

%% As when the other node disconnects at once: it is the one that was asked for.
no_nodeup_after_the_handshake(_Config) ->
    A = eid_peers:start(#{name => "a"}),
    Other = eid_peers:host(),
    NodeB = list_to_atom("b@" ++ Other),
    {ok, Listener} = gen_tcp:listen(eid_peers:port(),
                                    [binary, {active, false}, {packet, 2},
                                     {ip, eid_peers:address(Other)}]),
    {_, Connecting} =
        spawn_monitor(fun() ->
                              false = eid_peers:call(A, net_kernel,
                                                     connect_node, [NodeB])
                      end),
    {ok, Socket} = gen_tcp:accept(Listener, 5000),
    {ok, Hello} = gen_tcp:recv(Socket, 0, 5000),
    Flags = number(Hello, 1, 8),
    ok = gen_tcp:send(Socket, "sok"),
    Name = atom_to_binary(NodeB),
    ok = gen_tcp:send(Socket, <<$N, Flags:64, 1:32, 1:32,
                                (byte_size(Name)):16, Name/binary>>),
    {ok, Reply} = gen_tcp:recv(Socket, 0, 5000),
    Challenge = number(Reply, 1, 4),
    ok = eid_peers:forget_pending(A, NodeB),
    Digest = erlang:md5(["eid_test", integer_to_list(Challenge)]),
    ok = gen_tcp:send(Socket, [$a, Digest]),
    {error, closed} = gen_tcp:recv(Socket, 0, 5000),
    receive {'DOWN', Connecting, _, _, normal} -> ok end,
    said_once(A, "closed as soon as the handshake was done").

%% OTP 29 does not load what OTP 25 makes of a pattern for it.
number(Packet, Offset, Bytes) ->
    binary:decode_unsigned(binary:part(Packet, Offset, Bytes)).

%% ---------------------------------------------------------------------
%% Ends that nobody wished
%% ---------------------------------------------------------------------

a_killed_node_is_down_at_once(_Config) ->
    {A, #{node := NodeB} = B} = eid_peers:pair(),
    watch(A),
    Waits = eid_peers:run(
              A,
              fun() ->
                      Pid = spawn(NodeB, ?MODULE, idle, []),
                      spawn(fun() ->
                                    process_flag(trap_exit, true),
                                    true = link(Pid),
                                    Monitor = monitor(process, Pid),
                                    register(waits, self()),
                                    Down = receive
                                               {'DOWN', Monitor, _, _, R1} ->
                                                   R1
                                           end,
                                    Exit = receive {'EXIT', Pid, R2} -> R2 end,
                                    receive
                                        {which, From} ->
                                            From ! {Down, Exit}
                                    end
                            end)
              end),
    ok = eid_peers:kill(B),
    {nodedown, NodeB, connection_closed} = event(A, 1000),
    {noconnection, noconnection} =
        eid_peers:run(A, fun() ->
                                 Waits ! {which, self()},
                                 receive Reasons -> Reasons end
                         end),
    false = eid_peers:call(A, net_kernel, connect_node, [NodeB]),
    ok.

a_restarted_node_is_another_one(_Config) ->
    {A, #{node := NodeB, host := Host} = B} = eid_peers:pair(),
    watch(A),
    Old = eid_peers:run(B, fun() -> spawn(?MODULE, idle, []) end),
    ok = eid_peers:kill(B),
    {nodedown, NodeB, connection_closed} = event(A),
    #{node := NodeB} = New = eid_peers:start(#{name => "b", host => Host}),
    true = eid_peers:call(A, net_kernel, connect_node, [NodeB]),
    {nodeup, NodeB} = event(A),
    %% Its processes have another creation.
    noproc = eid_peers:run(A, fun() ->
                                      Monitor = monitor(process, Old),
                                      receive
                                          {'DOWN', Monitor, _, _, Why} -> Why
                                      end
                              end),
    ok = eid_peers:connect(New, A).

halt_is_seen_at_once(_Config) ->
    {A, #{node := NodeB} = B} = eid_peers:pair(),
    watch(A),
    ok = eid_peers:stop(B),
    {nodedown, NodeB, connection_closed} = event(A, 1000),
    ok.

%% Ticks keep an idle connection, and find out one that is dead.
idle_and_stopped_nodes(_Config) ->
    Options = #{kernel => [{net_ticktime, 4},
                           {prevent_overlapping_partitions, false}]},
    [A, B, #{node := NodeC} = C] =
        eid_peers:start_all([Options#{name => Name}
                             || Name <- ["a", "b", "c"]]),
    ok = eid_peers:connect(A, B),
    ok = eid_peers:connect(A, C),
    watch(A),
    ok = eid_peers:freeze(C),
    Start = erlang:monotonic_time(millisecond),
    {nodedown, NodeC, net_tick_timeout} = event(A, 8000),
    Took = erlang:monotonic_time(millisecond) - Start,
    true = Took > 2000 andalso Took < 6500,
    ok = eid_peers:thaw(C),
    eid_peers:until(fun() ->
                            eid_peers:call(A, net_kernel, connect_node,
                                           [NodeC])
                    end),
    {nodeup, NodeC} = event(A),
    %% Three periods in all, in which A and B say nothing to each other.
    none = event(A, 12000 - Took),
    true = eid_peers:is_up(A, B),
    true = eid_peers:is_up(B, A),
    ok.

%% ---------------------------------------------------------------------
%% Options
%% ---------------------------------------------------------------------

options_of_a_connection(_Config) ->
    {A, #{node := NodeB}} = eid_peers:pair(),
    {ok, [{nodelay, true}, {keepalive, false}]} =
        eid_peers:call(A, net_kernel, getopts, [NodeB, [nodelay, keepalive]]),
    ok = eid_peers:call(A, net_kernel, setopts,
                        [NodeB, [{nodelay, false}, {keepalive, true}]]),
    {ok, [{keepalive, true}, {nodelay, false}]} =
        eid_peers:call(A, net_kernel, getopts, [NodeB, [keepalive, nodelay]]),
    ok = eid_peers:call(A, net_kernel, setopts, [NodeB, [{sndbuf, 50000}]]),
    {ok, [{sndbuf, Size}, {active, true}, {packet, 4}]} =
        eid_peers:run(A, fun() ->
                                 {ok, Options} =
                                     net_kernel:getopts(
                                       NodeB, [sndbuf, active, packet]),
                                 {ok, [{Key, proplists:get_value(Key, Options)}
                                       || Key <- [sndbuf, active, packet]]}
                         end),
    true = Size >= 50000,
    {error, {badopts, [{active, false}]}} =
        eid_peers:call(A, net_kernel, setopts, [NodeB, [{active, false}]]),
    {error, einval} = eid_peers:call(A, net_kernel, getopts,
                                     [NodeB, [no_such_option]]),
    {error, noconnection} = eid_peers:call(A, net_kernel, setopts,
                                           ['nobody@127.0.0.1', []]),
    pong = eid_peers:call(A, net_adm, ping, [NodeB]),
    ok.

options_of_new_connections(_Config) ->
    [#{node := NodeA} = A, #{node := NodeB} = B] =
        eid_peers:start_all([#{name => "a"}, #{name => "b"}]),
    ok = eid_peers:call(A, net_kernel, setopts, [new, [{keepalive, true}]]),
    ok = eid_peers:connect(A, B),
    {ok, [{keepalive, true}]} =
        eid_peers:call(A, net_kernel, getopts, [NodeB, [keepalive]]),
    ok = eid_peers:disconnect(A, B),
    true = eid_peers:call(B, net_kernel, connect_node, [NodeA]),
    {ok, [{keepalive, true}]} =
        eid_peers:call(A, net_kernel, getopts, [NodeB, [keepalive]]),
    {ok, [{keepalive, false}]} =
        eid_peers:call(B, net_kernel, getopts, [NodeA, [keepalive]]),
    ok.

options_in_the_environment(_Config) ->
    Connect = {inet_dist_connect_options,
               [{priority, 3}, {sndbuf, 70000}, {active, once},
                {linger, {true, 3}}]},
    Listen = {inet_dist_listen_options,
              [{backlog, 5}, {recbuf, 80000}, {packet, 1},
               {keepalive, true}]},
    [A, #{node := NodeB} = B] =
        eid_peers:start_all([#{name => "a", kernel => [Connect]},
                             #{name => "b", kernel => [Listen]}]),
    ok = eid_peers:connect(A, B),
    [NodeA] = eid_peers:call(B, erlang, nodes, []),
    {ok, [{priority, 3}, {sndbuf, Send}, {linger, {true, 3}}]} =
        eid_peers:call(A, net_kernel, getopts,
                       [NodeB, [priority, sndbuf, linger]]),
    {ok, [{recbuf, Receive}, {keepalive, true}]} =
        eid_peers:call(B, net_kernel, getopts, [NodeA, [recbuf, keepalive]]),
    true = Send >= 70000 andalso Send =< 140000,
    true = Receive >= 80000 andalso Receive =< 160000,
    ok.

dist_nodelay(_Config) ->
    {A, #{node := NodeB} = B} =
        eid_peers:pair(#{kernel => [{dist_nodelay, false}]}),
    [NodeA] = eid_peers:call(B, erlang, nodes, []),
    {ok, [{nodelay, false}]} =
        eid_peers:call(A, net_kernel, getopts, [NodeB, [nodelay]]),
    {ok, [{nodelay, false}]} =
        eid_peers:call(B, net_kernel, getopts, [NodeA, [nodelay]]),
    ok.

use_interface(_Config) ->
    #{os_pid := OsPid, host := Host} = eid_peers:start(),
    {D, C, B, A} = eid_peers:address(Host),
    Hex = lists:flatten(io_lib:format("~2.16.0B~2.16.0B~2.16.0B~2.16.0B",
                                      [A, B, C, D])),
    Port = eid_peers:port(),
    [{Hex, Port}] = eid_proc:listening(OsPid),
    ok.

check_ip(_Config) ->
    {_A, _B} = eid_peers:pair(#{kernel => [{check_ip, true}]}),
    ok.

%% ---------------------------------------------------------------------
%% Names
%% ---------------------------------------------------------------------

short_names(Config) ->
    {A, B} = by_name(Config, "-sname", "alpha", "beta"),
    ok = eid_peers:connect(A, B),
    Refused = list_to_atom("b@" ++ eid_peers:host()),
    false = eid_peers:call(A, net_kernel, connect_node, [Refused]),
    said_once(A, "short name").

long_names_with_domains(Config) ->
    {A, B} = by_name(Config, "-name", "alpha.example.org",
                     "beta.example.org"),
    ok = eid_peers:connect(A, B),
    false = eid_peers:call(A, net_kernel, connect_node, [b@beta]),
    said_once(A, "long name").

ipv6_names(_Config) ->
    eid_peers:only("eid_tcp"),
    has_ipv6() orelse throw({skip, "this machine has no IPv6"}),
    [A, #{node := NodeB, os_pid := OsPid} = B] =
        eid_peers:start_all([#{name => "a"},
                             #{name => "b", host => "::1"}]),
    'b@::1' = NodeB,
    [{"00000000000000000000000001000000", _}] = eid_proc:listening(OsPid),
    ok = eid_peers:connect(A, B),
    ok = eid_peers:disconnect(A, B),
    ok = eid_peers:connect(B, A).

one_listener_for_both_families(Config) ->
    eid_peers:only("eid_tcp"),
    has_ipv6() orelse throw({skip, "this machine has no IPv6"}),
    Port = eid_peers:port() + 1,
    Options = #{interface => any, host => "both.example.org"},
    Inetrc = fun(Ip) ->
                     inetrc(Config, [{host, Ip, ["both.example.org"]}])
             end,
    #{node := Node, os_pid := OsPid} = Both =
        eid_peers:start(Options#{name => "both",
                                 kernel => [{erlang_port, Port},
                                            Inetrc({127, 0, 0, 1})]}),
    [{"00000000000000000000000000000000", Port}] = eid_proc:listening(OsPid),
    [begin
         Peer = eid_peers:start(#{name => Name,
                                  args => ["-dist_listen", "false"],
                                  kernel => [{erlang_port, Port},
                                             Inetrc(Ip)]}),
         ok = eid_peers:connect(Peer, Both),
         #{address := {Ip, Port}} =
             eid_peers:run(Peer, fun() -> remote_address(Node) end)
     end || {Name, Ip} <- [{"four", {127, 0, 0, 1}},
                           {"six", {0, 0, 0, 0, 0, 0, 0, 1}}]],
    ok.

the_controller_is_a_port(_Config) ->
    eid_peers:only("eid_tcp"),
    {A, #{node := NodeB}} = eid_peers:pair(),
    [{NodeB, Port}] = eid_peers:call(A, erlang, system_info, [dist_ctrl]),
    {name, "eid_drv" ++ _} = eid_peers:call(A, erlang, port_info,
                                            [Port, name]),
    {connected, Pid} = eid_peers:call(A, erlang, port_info,
                                      [Port, connected]),
    true = is_pid(Pid),
    {ok, Info} = eid_peers:call(A, net_kernel, node_info, [NodeB]),
    up = proplists:get_value(state, Info),
    true = proplists:get_value(in, Info) > 0,
    true = proplists:get_value(out, Info) > 0,
    ok.

an_acceptor_that_dies_is_replaced(_Config) ->
    eid_peers:only("eid_tcp"),
    [A, B] = eid_peers:start_all([#{name => "a"}, #{name => "b"}]),
    %% More than once, for the second may find less than the first did.
    [begin
         Acceptor = acceptor(A),
         true = eid_peers:call(A, erlang, exit, [Acceptor, kill]),
         eid_peers:until(fun() ->
                                 not lists:member(acceptor(A),
                                                  [Acceptor, none])
                         end),
         ok = eid_peers:connect(B, A),
         ok = eid_peers:disconnect(B, A)
     end || _ <- [1, 2]],
    ok.

an_acceptor_that_cannot_run_is_started_slowly(_Config) ->
    eid_peers:only("eid_tcp"),
    [A, B] = eid_peers:start_all([#{name => "a"}, #{name => "b"}]),
    Set = fun(Limit) ->
                  ok = eid_peers:call(A, application, set_env,
                                      [kernel, eid_handshake_limit, Limit])
          end,
    Fails = "the kernel setting eid_handshake_limit is 0",
    Set(0),
    true = eid_peers:call(A, erlang, exit, [acceptor(A), kill]),
    [_ | _] = eid_peers:await_log(A, Fails),
    receive after 2000 -> ok end,
    true = length(eid_peers:logged(A, Fails)) < 10,
    Set(512),
    ok = eid_peers:connect(B, A).

%% As with OTP's carrier: each module but the one that says that it is not to be
%% loaded.
connections_outlive_new_code(_Config) ->
    eid_peers:only("eid_tcp"),
    {A, B} = eid_peers:pair(#{kernel => [{connect_all, false}]}),
    _ = application:load(eid),
    {ok, Modules} = application:get_key(eid, modules),
    [begin
         ok = watch(Node),
         Old = acceptor(Node),
         [begin
              {module, Module} = eid_peers:call(Node, code, load_file,
                                                [Module]),
              _ = eid_peers:call(Node, code, purge, [Module])
          end || Module <- Modules -- [eid_handshake]],
         %% Which has its place in the code.
         eid_peers:until(fun() ->
                                 not lists:member(acceptor(Node), [Old, none])
                         end)
     end || Node <- [A, B]],
    [begin
         true = eid_peers:is_up(Node, Other),
         none = event(Node, 0)
     end || {Node, Other} <- [{A, B}, {B, A}]],
    ok = eid_peers:disconnect(A, B),
    ok = eid_peers:connect(B, A).

%% Where the acceptor is linked to what tells of refusals, it accepts.
acceptor(Node) ->
    eid_peers:run(Node,
                  fun() ->
                          try process_info(whereis(eid_refusals), links) of
                              {links, [Acceptor]} -> Acceptor;
                              _ -> none
                          catch
                              error:badarg -> none
                          end
                  end).

%% ---------------------------------------------------------------------
%% Helpers
%% ---------------------------------------------------------------------

%% The carrier itself says Pattern in the node's log, once, and nothing is
%% said twice.
said_once(Peer, Pattern) ->
    case eid_peers:carrier() of
        "eid_tcp" ->
            Pattern =:= "" orelse eid_peers:await_log(Peer, Pattern),
            [_] = eid_peers:logged(Peer, "^(error|warning) "),
            ok;
        _ ->
            ok
    end.

%% Keeps what net_kernel:monitor_nodes/2 tells, for event/1.
watch(Peer) ->
    eid_peers:run(Peer, fun() ->
                                Self = self(),
                                spawn(fun() ->
                                              register(watch, self()),
                                              ok = net_kernel:monitor_nodes(
                                                     true, [nodedown_reason]),
                                              Self ! ready,
                                              watch()
                                      end),
                                receive ready -> ok end
                        end).

watch() ->
    receive
        {next, From, Milliseconds} ->
            receive
                {nodeup, Node, _} -> From ! {nodeup, Node};
                {nodedown, Node, [{nodedown_reason, Reason}]} ->
                    From ! {nodedown, Node, Reason}
            after Milliseconds ->
                    From ! none
            end,
            watch()
    end.

event(Peer) ->
    event(Peer, 10000).

event(Peer, Milliseconds) ->
    eid_peers:run(Peer, fun() ->
                                watch ! {next, self(), Milliseconds},
                                receive Event -> Event end
                        end).

idle() ->
    receive
        {stop, From} -> From ! stopped
    end.

%% Two nodes whose hosts are names that a file of theirs resolves.
by_name(Config, Flag, HostA, HostB) ->
    IpA = eid_peers:address(eid_peers:host()),
    IpB = eid_peers:address(eid_peers:host()),
    Inetrc = inetrc(Config, [{host, IpA, [HostA]}, {host, IpB, [HostB]}]),
    [A, B] = eid_peers:start_all(
               [#{name => Name, host => Host, flag => Flag,
                  interface => Ip, kernel => [Inetrc]}
                || {Name, Host, Ip} <- [{"a", HostA, IpA},
                                        {"b", HostB, IpB}]]),
    {A, B}.

inetrc(Config, Hosts) ->
    File = filename:join(proplists:get_value(priv_dir, Config),
                         lists:concat(["inetrc",
                                       erlang:unique_integer([positive])])),
    ok = file:write_file(File, [io_lib:format("~p.~n", [Line])
                                || Line <- [{lookup, [file]} | Hosts]]),
    {inetrc, File}.

has_ipv6() ->
    case gen_tcp:listen(0, [inet6, {ip, {0, 0, 0, 0, 0, 0, 0, 1}}]) of
        {ok, Socket} ->
            ok = gen_tcp:close(Socket),
            true;
        {error, _} ->
            false
    end.

%% The #net_address{} of a connection, by its fields' names.
remote_address(Node) ->
    {ok, Info} = net_kernel:node_info(Node),
    {net_address, Address, Host, Protocol, Family} =
        proplists:get_value(address, Info),
    #{address => Address, host => Host, protocol => Protocol,
      family => Family}.

%% An erl on a terminal.
shell(Arguments) ->
    Command = lists:join(" ", [["'", Argument, "'"]
                               || Argument <- [os:getenv("EID_TEST_ERL")
                                               | Arguments]]),
    Port = open_port({spawn_executable, os:find_executable("script")},
                     [{args, ["-qec", lists:flatten(Command), "/dev/null"]},
                      {env, [{"TERM", "vt100"}]}, binary, exit_status,
                      use_stdio]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    ok = eid_peers:note(integer_to_list(OsPid)),
    {Port, <<>>}.

%% Waits until the output matches, and then types Text.
shell_says(Port, Output, Pattern, Text) ->
    case re:run(Output, Pattern, [dotall]) of
        {match, _} ->
            true = port_command(Port, Text),
            <<>>;
        nomatch ->
            receive
                {Port, {data, Data}} ->
                    shell_says(Port, <<Output/binary, Data/binary>>, Pattern,
                               Text);
                {Port, {exit_status, Status}} ->
                    error({exit_status, Status, Output})
            after 15000 ->
                    error({shell_does_not_say, Pattern, Output})
            end
    end.

shell_ends(Port, Output) ->
    receive
        {Port, {data, Data}} ->
            shell_ends(Port, <<Output/binary, Data/binary>>);
        {Port, {exit_status, 0}} ->
            ok
    after 15000 ->
            error({shell_does_not_end, Output})
    end.
