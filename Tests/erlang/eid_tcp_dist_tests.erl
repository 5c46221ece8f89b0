%% SPDX-License-Identifier: Apache-2.0

-module(eid_tcp_dist_tests).

-include_lib("eunit/include/eunit.hrl").
-include_lib("kernel/include/net_address.hrl").

%% What net_kernel calls, of OTP 25 to 29.
exports_test() ->
    Wanted = [{listen, 1}, {listen, 2}, {accept, 1}, {accept_connection, 5},
              {setup, 5}, {close, 1}, {select, 1}, {address, 0},
              {address, 1}, {setopts, 2}, {getopts, 2}, {is_node_name, 1}],
    ?assertEqual([], Wanted -- eid_tcp_dist:module_info(exports)).

node_names_test() ->
    [?assertEqual({Name, inet_tcp_dist:is_node_name(Name)},
                  {Name, eid_tcp_dist:is_node_name(Name)})
     || Name <- ['a@b', 'a@127.0.0.1', 'a@::1', a, '', 'a@b@c', "a@b",
                 <<"a@b">>, 12, {a, b}, 'ÿ@b']].

%% OTP's carrier takes these two, and fails later.
names_of_nothing_test() ->
    [?assertNot(eid_tcp_dist:is_node_name(Name)) || Name <- ['@b', 'a@']].

%% Called inside net_kernel, so it resolves nothing.
select_test() ->
    ?assert(eid_tcp_dist:select('a@no-such-host.invalid')),
    ?assertNot(eid_tcp_dist:select(a)).

address_test() ->
    {ok, Host} = inet:gethostname(),
    ?assertMatch(#net_address{host = Host, protocol = eid, family = inet},
                 eid_tcp_dist:address()),
    ?assertMatch(#net_address{host = "other", protocol = eid},
                 eid_tcp_dist:address("other")).

listen_test() ->
    ok = application:set_env(kernel, erlang_port, 0),
    ok = application:set_env(kernel, inet_dist_use_interface, {127, 0, 0, 1}),
    {ok, Own} = inet:gethostname(),
    [begin
         {ok, {Listener, Address, Creation}} = Listen(),
         ?assertEqual(-1, Creation),
         ?assertMatch(#net_address{host = Host, protocol = eid,
                                   address = {{127, 0, 0, 1}, _}}, Address),
         #net_address{address = {Ip, Port}} = Address,
         ?assertEqual({ok, [{nodelay, true}]},
                      eid_tcp_dist:getopts(Listener, [nodelay])),
         ?assertEqual(ok, eid_tcp_dist:setopts(Listener,
                                               [{keepalive, true}])),
         ?assertEqual({ok, [{keepalive, true}]},
                      eid_tcp_dist:getopts(Listener, [keepalive])),
         ?assertMatch({error, {badopts, _}},
                      eid_tcp_dist:setopts(Listener, [{packet, 1}])),
         {ok, Client} = gen_tcp:connect(Ip, Port, []),
         ok = gen_tcp:close(Client),
         ?assertEqual(ok, eid_tcp_dist:close(Listener)),
         ?assertEqual({error, econnrefused},
                      gen_tcp:connect(Ip, Port, []))
     end || {Host, Listen} <-
                [{Own, fun() -> eid_tcp_dist:listen(x) end},
                 {"other", fun() -> eid_tcp_dist:listen(x, "other") end}]],
    ok = application:unset_env(kernel, erlang_port),
    ok = application:unset_env(kernel, inet_dist_use_interface).

%% The acceptor hands each connection to net_kernel: here, to us.
accept_test() ->
    {ok, Listener} = eid_socket:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, {Ip, Port}} = eid_socket:sockname(Listener),
    Acceptor = eid_tcp_dist:accept(Listener),
    ?assert(is_pid(Acceptor)),
    {ok, _} = gen_tcp:connect(Ip, Port, []),
    Socket = receive {accept, Acceptor, S, inet, eid} -> S end,
    Self = self(),
    {Pid, Monitor} =
        spawn_monitor(fun() ->
                              receive {Acceptor, controller} -> ok end,
                              {connected, Own} =
                                  erlang:port_info(Socket, connected),
                              Own = self(),
                              Self ! {self(), owns}
                      end),
    Acceptor ! {self(), controller, Pid},
    receive
        {Pid, owns} -> ok;
        {'DOWN', Monitor, _, _, Reason} -> error(Reason)
    end,
    %% With its owner goes the connection.
    receive {'DOWN', Monitor, _, _, normal} -> ok end,
    eid_peers:until(fun() -> erlang:port_info(Socket, id) =:= undefined end),
    process_flag(trap_exit, true),
    ok = eid_tcp_dist:close(Listener),
    receive {'EXIT', Acceptor, {error, closed}} -> ok end.
