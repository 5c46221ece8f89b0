%% SPDX-License-Identifier: Apache-2.0

%% The wire is the same: a node with this carrier and one with OTP's inet_tcp
%% connect, in both directions, whoever tells them the port; here a real epmd,
%% and eid_epmd's direct lookup. Nodes of two OTP releases do, too.
-module(eid_interop_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).

-export([eid_and_inet_tcp_over_epmd/1, all_kinds_of_traffic/1,
         simultaneous_connects/1, two_releases/1, eid_alone_over_epmd/1,
         a_range_of_listen_ports/1, what_epmd_does_not_know/1,
         epmd_is_not_running/1]).

-define(HOSTS, 3).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [eid_and_inet_tcp_over_epmd, all_kinds_of_traffic,
     simultaneous_connects, two_releases, eid_alone_over_epmd,
     a_range_of_listen_ports, what_epmd_does_not_know, epmd_is_not_running].

%% An epmd of our own, on a port of our own.
init_per_suite(Config) ->
    ok = eid_peers:only("eid_tcp"),
    case epmd() of
        Epmd when is_list(Epmd) ->
            Hosts = [eid_peers:host() || _ <- lists:seq(1, ?HOSTS)],
            Port = eid_peers:port() + 2,
            Self = self(),
            {Keeper, Monitor} =
                spawn_monitor(fun() ->
                                      keep_epmd(Self, Epmd, Port, Hosts)
                              end),
            receive
                {Keeper, up} -> true = demonitor(Monitor, [flush]);
                {'DOWN', Monitor, _, _, Reason} -> error(Reason)
            end,
            [{hosts, Hosts}, {epmd_port, Port}, {keeper, Keeper} | Config];
        false ->
            {skip, "there is no epmd"}
    end.

end_per_suite(Config) ->
    Keeper = proplists:get_value(keeper, Config),
    Keeper ! {stop, self()},
    receive {Keeper, stopped} -> ok end.

epmd() ->
    Own = filename:join([code:root_dir(), "bin", "epmd"]),
    case filelib:is_regular(Own) of
        true -> Own;
        false -> os:find_executable("epmd")
    end.

keep_epmd(Parent, Epmd, Number, Hosts) ->
    Port = open_port({spawn_executable, Epmd},
                     [{args, ["-port", integer_to_list(Number), "-address",
                              lists:append(lists:join(",", Hosts))]},
                      exit_status, stderr_to_stdout, hide]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    ok = eid_peers:note(integer_to_list(OsPid)),
    eid_peers:until(
      fun() ->
              case gen_tcp:connect({127, 0, 0, 1}, Number, []) of
                  {ok, Socket} -> gen_tcp:close(Socket) =:= ok;
                  {error, econnrefused} -> false
              end
      end),
    Parent ! {self(), up},
    From = receive {stop, Stopper} -> Stopper end,
    _ = os:cmd("kill -KILL " ++ integer_to_list(OsPid)),
    receive {Port, {exit_status, _}} -> ok end,
    From ! {self(), stopped}.

%% ---------------------------------------------------------------------
%% With OTP's carrier, and with another OTP
%% ---------------------------------------------------------------------

eid_and_inet_tcp_over_epmd(Config) ->
    [#{node := NodeA} = A, #{node := NodeB} = B] =
        over_epmd(Config, [#{name => "a"},
                           #{name => "b", carrier => "inet_tcp"}]),
    [begin
         ok = eid_peers:connect(From, To),
         [NodeB] = eid_peers:call(A, erlang, nodes, []),
         [NodeA] = eid_peers:call(B, erlang, nodes, []),
         NodeB = eid_peers:call(A, erpc, call, [NodeB, erlang, node, []]),
         NodeA = eid_peers:call(B, erpc, call, [NodeA, erlang, node, []]),
         ok = eid_peers:disconnect(Who, Whom)
     end || {From, To} <- [{A, B}, {B, A}],
            {Who, Whom} <- [{A, B}, {B, A}]],
    <<>> = eid_peers:log(A),
    ok.

all_kinds_of_traffic(Config) ->
    [A, B] = over_epmd(Config, [#{name => "a"},
                                #{name => "b", carrier => "inet_tcp"}]),
    ok = eid_peers:connect(A, B),
    traffic(A, B).

traffic(A, #{node := Node} = B) ->
    [eid_messages_SUITE:Case([{a, A}, {b, B}, {node, Node}])
     || Case <- [messages_of_16_mb_arrive, all_kinds_of_terms_arrive,
                 more_atoms_than_the_cache_holds,
                 many_senders_in_both_directions,
                 mixed_sizes_in_both_directions, links, monitors,
                 spawn_requests, erpc_calls, global_names]],
    ok.

simultaneous_connects(_Config) ->
    [#{node := NodeA} = A, #{node := NodeB} = B] =
        eid_peers:start_all([#{name => "a"},
                             #{name => "b", carrier => "inet_tcp"}]),
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
    ok.

%% That of the run's nodes and that of the VM that steers them.
two_releases(_Config) ->
    Here = erlang:system_info(otp_release),
    integer_to_list(eid_peers:release()) =/= Here
        orelse throw({skip, "there is one OTP; give another by --erl"}),
    [A, B] =
        eid_peers:start_all([#{name => "a"},
                             #{name => "b",
                               erl => os:find_executable("erl")}]),
    ok = eid_peers:connect(A, B),
    Here = eid_peers:call(B, erlang, system_info, [otp_release]),
    traffic(A, B).

%% ---------------------------------------------------------------------
%% This carrier with a real epmd
%% ---------------------------------------------------------------------

eid_alone_over_epmd(Config) ->
    [#{os_pid := OsPid, host := Host} = A, #{node := NodeB} = B] =
        over_epmd(Config, [#{name => "a"}, #{name => "b"}]),
    [{_, Port}] = eid_proc:listening(OsPid),
    {ok, Names} = eid_peers:call(A, net_adm, names,
                                 [eid_peers:address(Host)]),
    [{"a", Port}, {"b", _}] = lists:sort(Names),
    ok = eid_peers:connect(A, B),
    %% epmd gives creations, which tell one life of a node from the next.
    true = eid_peers:call(B, erlang, system_info, [creation]) > 0,
    ok = eid_peers:stop(B),
    eid_peers:until(
      fun() ->
              {ok, [{"a", Port}]} =:=
                  eid_peers:call(A, net_adm, names,
                                 [eid_peers:address(Host)])
      end),
    false = eid_peers:call(A, net_kernel, connect_node, [NodeB]).

%% Three nodes with one address take what is free.
a_range_of_listen_ports(Config) ->
    [Host | _] = proplists:get_value(hosts, Config),
    First = eid_peers:port() + 3,
    Range = [{inet_dist_listen_min, First},
             {inet_dist_listen_max, First + 1}],
    Options = #{host => Host, kernel => Range},
    Peers = over_epmd(Config, [Options#{name => "a"},
                               Options#{name => "b"}]),
    [First, Second] =
        lists:sort([Port || #{os_pid := OsPid} <- Peers,
                            {_, Port} <- eid_proc:listening(OsPid)]),
    Second = First + 1,
    [A, B] = Peers,
    ok = eid_peers:connect(A, B),
    {Status, Output} =
        eid_proc:erl(eid_peers:arguments(
                       epmd_options(Options#{name => "c"})),
                     epmd_environment(Config)),
    true = Status =/= 0,
    {match, _} = re:run(Output, "already listens on port "
                        ++ integer_to_list(Second)),
    ok.

what_epmd_does_not_know(Config) ->
    [#{host := Host} = A] = over_epmd(Config, [#{name => "a"}]),
    false = eid_peers:call(A, net_kernel, connect_node,
                           [list_to_atom("stranger@" ++ Host)]),
    [_] = eid_peers:await_log(A, "cannot connect to stranger@.*: erl_epmd has "
                              "no port for it"),
    [_] = eid_peers:logged(A, "."),
    ok.

epmd_is_not_running(Config) ->
    [Host | _] = proplists:get_value(hosts, Config),
    Unused = integer_to_list(eid_peers:port() + 9),
    {Status, Output} =
        eid_proc:erl(eid_peers:arguments(
                       epmd_options(#{name => "a", host => Host})),
                     [{"ERL_EPMD_PORT", Unused}]),
    true = Status =/= 0,
    {match, _} = re:run(Output, "register/listen error: econnrefused"),
    ok.

%% ---------------------------------------------------------------------
%% Helpers
%% ---------------------------------------------------------------------

%% Each on one of the addresses that epmd listens on.
over_epmd(Config, All) ->
    Hosts = proplists:get_value(hosts, Config),
    eid_peers:start_all(
      [epmd_options(Options#{host => maps:get(host, Options, Host),
                             env => epmd_environment(Config)})
       || {Options, Host} <- lists:zip(All, lists:sublist(Hosts,
                                                          length(All)))]).

epmd_options(Options) ->
    Options#{epmd => "erl_epmd",
             kernel => maps:get(kernel, Options, [])
                 ++ [{erlang_port, 0}]}.

epmd_environment(Config) ->
    [{"ERL_EPMD_PORT",
      integer_to_list(proplists:get_value(epmd_port, Config))}].
