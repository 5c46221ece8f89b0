%% SPDX-License-Identifier: Apache-2.0

%% The driver's ports through their API, in one VM.
-module(eid_socket_tests).

-include_lib("eunit/include/eunit.hrl").

-define(LOOPBACK, {127, 0, 0, 1}).

%% ---------------------------------------------------------------------
%% Connecting
%% ---------------------------------------------------------------------

packets_go_both_ways_test() ->
    {A, B} = pair(),
    [begin
         Packet = rand:bytes(Size),
         ?assertEqual(ok, eid_socket:send(From, Packet)),
         ?assertEqual({ok, Packet}, eid_socket:recv(To, 5000))
     end || Size <- [1, 0, 2, 255, 256, 4095, 4096],
            {From, To} <- [{A, B}, {B, A}]],
    %% Several are kept apart, and none is read before it is asked for.
    [ok = eid_socket:send(A, [N, "x"]) || N <- lists:seq(1, 100)],
    [{ok, <<N, "x">>} = eid_socket:recv(B, 5000) || N <- lists:seq(1, 100)],
    ?assertEqual({error, emsgsize}, eid_socket:send(A, <<0:(65536 * 8)>>)),
    ?assertMatch({ok, 7, _, 0}, eid_socket:getstat(A)),
    close([A, B]).

names_test() ->
    {A, B} = pair(),
    {ok, Own} = eid_socket:sockname(A),
    {ok, Peer} = eid_socket:peername(A),
    ?assertEqual({ok, Peer}, eid_socket:sockname(B)),
    ?assertEqual({ok, Own}, eid_socket:peername(B)),
    close([A, B]).

ipv6_test() ->
    Loopback = {0, 0, 0, 0, 0, 0, 0, 1},
    case eid_socket:listen(0, [{ip, Loopback}]) of
        {ok, Listener} ->
            {A, B} = pair(Listener),
            ?assertMatch({ok, {Loopback, _}}, eid_socket:peername(A)),
            close([A, B]);
        {error, _} ->
            ok
    end.

refused_test() ->
    {ok, Listener} = listen(),
    {ok, {Ip, Port}} = eid_socket:sockname(Listener),
    close([Listener]),
    ?assertEqual({error, econnrefused},
                 eid_socket:connect(Ip, Port, [], 5000)),
    ?assertMatch({error, _},
                 eid_socket:connect({255, 255, 255, 255}, 1, [], 5000)).

local_address_test() ->
    {ok, Listener} = listen(),
    {ok, {Ip, Port}} = eid_socket:sockname(Listener),
    {ok, A} = eid_socket:connect(Ip, Port, [{ip, {127, 7, 7, 7}}], 5000),
    {ok, B} = eid_socket:accept(Listener),
    ?assertMatch({ok, {{127, 7, 7, 7}, _}}, eid_socket:peername(B)),
    close([A, B, Listener]).

port_in_use_test() ->
    {ok, Listener} = listen(),
    {ok, {Ip, Port}} = eid_socket:sockname(Listener),
    ?assertEqual({error, eaddrinuse},
                 eid_socket:listen(Port, [{ip, Ip}, {reuseaddr, true}])),
    close([Listener]).

%% ---------------------------------------------------------------------
%% Waiting
%% ---------------------------------------------------------------------

a_receive_that_timed_out_takes_nothing_test() ->
    {A, B} = pair(),
    ?assertEqual({error, timeout}, eid_socket:recv(B, 20)),
    ok = eid_socket:send(A, "late"),
    ?assertEqual({ok, <<"late">>}, eid_socket:recv(B, 5000)),
    close([A, B]).

half_a_packet_is_kept_for_the_next_receive_test() ->
    {ok, Listener} = listen(),
    {ok, {Ip, Port}} = eid_socket:sockname(Listener),
    {ok, Client} = gen_tcp:connect(Ip, Port, [binary]),
    {ok, B} = eid_socket:accept(Listener),
    [begin
         ok = gen_tcp:send(Client, Part),
         ?assertEqual({error, timeout}, eid_socket:recv(B, 30))
     end || Part <- [<<0>>, <<5>>, "ab", "cd"]],
    ok = gen_tcp:send(Client, "e"),
    ?assertEqual({ok, <<"abcde">>}, eid_socket:recv(B, 5000)),
    ok = gen_tcp:close(Client),
    close([B, Listener]).

one_waits_at_a_time_test() ->
    {A, B} = pair(),
    {_, Monitor} = spawn_monitor(fun() ->
                                         exit({got, eid_socket:recv(B, 5000)})
                                 end),
    eid_peers:until(fun() ->
                            eid_socket:recv(B, 0) =:= {error, ealready}
                    end),
    ok = eid_socket:send(A, "x"),
    receive {'DOWN', Monitor, _, _, End} -> ?assertEqual({got, {ok, <<"x">>}},
                                                         End)
    end,
    close([A, B]).

the_peer_closes_test() ->
    {A, B} = pair(),
    ok = eid_socket:send(A, "last"),
    close([A]),
    ?assertEqual({ok, <<"last">>}, eid_socket:recv(B, 5000)),
    ?assertEqual({error, closed}, eid_socket:recv(B, 5000)),
    ?assertEqual({error, closed}, eid_socket:recv(B, 5000)),
    close([B]),
    ?assertEqual({error, closed}, eid_socket:recv(B, 5000)),
    ?assertEqual({error, closed}, eid_socket:send(B, "x")),
    ?assertEqual({error, closed}, eid_socket:getstat(B)),
    ?assertEqual({error, closed}, eid_socket:peername(B)).

closing_ends_an_accept_test() ->
    {ok, Listener} = listen(),
    {_, Monitor} = spawn_monitor(fun() ->
                                         exit({got,
                                               eid_socket:accept(Listener)})
                                 end),
    eid_peers:until(fun() -> waits(Listener) end),
    close([Listener]),
    receive {'DOWN', Monitor, _, _, End} ->
            ?assertEqual({got, {error, closed}}, End)
    end.

%% Somebody waits for a connection, which a second one is told.
waits(Listener) ->
    {_, Monitor} = spawn_monitor(fun() ->
                                         exit({got,
                                               eid_socket:accept(Listener)})
                                 end),
    receive {'DOWN', Monitor, _, _, End} -> End =:= {got, {error, ealready}}
    after 100 -> false
    end.

%% The driver does not see that who waited has ended.
an_accept_of_the_dead_is_taken_back_test() ->
    {ok, Listener} = listen(),
    {Acceptor, Monitor} = spawn_monitor(fun() ->
                                                eid_socket:accept(Listener)
                                        end),
    eid_peers:until(fun() -> waits(Listener) end),
    exit(Acceptor, kill),
    receive {'DOWN', Monitor, _, _, killed} -> ok end,
    ?assertEqual({error, ealready}, eid_socket:accept(Listener)),
    ?assertEqual(ok, eid_socket:stop_accept(Listener)),
    {A, B} = pair(Listener),
    close([A, B]).

a_port_goes_with_its_owner_test() ->
    {A, B} = pair(),
    Owner = spawn(fun() -> receive stop -> ok end end),
    ok = eid_socket:controlling_process(B, Owner),
    ?assertEqual({connected, Owner}, erlang:port_info(B, connected)),
    Owner ! stop,
    ?assertEqual({error, closed}, eid_socket:recv(A, 5000)),
    eid_peers:until(fun() -> erlang:port_info(B, id) =:= undefined end),
    ?assertEqual({error, closed},
                 eid_socket:controlling_process(B, self())),
    close([A]).

%% ---------------------------------------------------------------------
%% Options
%% ---------------------------------------------------------------------

options_test() ->
    {A, B} = pair(),
    [begin
         ?assertEqual(ok, eid_socket:setopts(A, [Option])),
         ?assertEqual({ok, [Option]}, eid_socket:getopts(A, [Name]))
     end || {Name, _} = Option <-
                [{nodelay, true}, {nodelay, false}, {keepalive, true},
                 {priority, 4}, {tos, 16}, {ttl, 7}, {linger, {true, 2}},
                 {linger, {false, 2}}, {reuseaddr, true},
                 {low_watermark, 1000}, {high_watermark, 5000},
                 {staging_limit, 0}, {unsent_limit, 0},
                 {near_receive_buffer, 70000}, {receive_chunk, 4096}]],
    %% SOL_SOCKET, SO_KEEPALIVE
    ok = eid_socket:setopts(A, [{raw, 1, 9, <<0:32/native>>}]),
    ?assertEqual({ok, [{raw, 1, 9, <<0:32/native>>}, {keepalive, false}]},
                 eid_socket:getopts(A, [{raw, 1, 9, 4}, keepalive])),
    ?assertEqual({ok, [{active, true}, {packet, 4}]},
                 eid_socket:getopts(A, [active, packet])),
    ?assertEqual({ok, []}, eid_socket:getopts(A, [])),
    [?assertEqual({error, einval}, eid_socket:setopts(A, [Bad]))
     || Bad <- [{nonsense, 1}, {nodelay, 1.5}, nonsense, {linger, 1},
                {high_watermark, 0}, {staging_limit, -1},
                {unsent_limit, 1 bsl 32}, {ip, "x"}]],
    ?assertEqual({error, einval}, eid_socket:getopts(A, [nonsense])),
    close([A, B]).

unsupported_options_test() ->
    ?assertEqual({error, {unsupported_option, {nonsense, 1}}},
                 eid_socket:listen(0, [{nonsense, 1}])),
    ?assertEqual({error, {unsupported_option, keepalive}},
                 eid_socket:listen(0, [keepalive])),
    [?assertEqual({error, {bad_option_value, Option}},
                  eid_socket:connect(?LOOPBACK, 1, [Option], 1000))
     || Option <- [{ip, {1, 2, 3, 300}}, {keepalive, 1.5}, {linger, 1},
                   {bind_to_device, "eth0"}, {raw, 1, 9, 0}, {raw, x},
                   {high_watermark, 0}, {staging_limit, -1}, {port, 65536},
                   {backlog, -1}]].

%% ---------------------------------------------------------------------
%% What no caller would do
%% ---------------------------------------------------------------------

commands_out_of_turn_test() ->
    {A, B} = pair(),
    {ok, Listener} = listen(),
    [?assertMatch({error, _}, Command)
     || Command <- [eid_socket:start_delivery(A),
                    eid_socket:accept(A), eid_socket:send(Listener, "x"),
                    eid_socket:recv(Listener, 10),
                    eid_socket:tick(Listener), eid_socket:peername(Listener),
                    eid_socket:enter_data_mode(Listener)]],
    ok = eid_socket:enter_data_mode(B),
    [?assertMatch({error, _}, Command)
     || Command <- [eid_socket:send(B, "x"), eid_socket:recv(B, 10)]],
    close([A, B, Listener]).

%% Output to a port in the handshake is a mistake that ends the port alone.
output_in_the_handshake_test() ->
    {A, B} = pair(),
    process_flag(trap_exit, true),
    B ! {self(), {command, "x"}},
    receive {'EXIT', B, Reason} -> ?assertEqual(badarg, Reason) end,
    ?assertEqual({error, closed}, eid_socket:recv(A, 5000)),
    flush(),
    close([A]).

%% Whatever bytes a control command has: an answer or badarg.
random_commands_test_() ->
    {timeout, 30, fun random_commands/0}.

random_commands() ->
    _ = rand:seed(exsss, 2014),
    process_flag(trap_exit, true),
    [begin
         Port = open_port({spawn_driver, "eid_drv " ++ Role}, [binary]),
         [random_command(Port) || _ <- lists:seq(1, 200)],
         catch port_close(Port)
     end || Role <- ["listener", "connection", "lookup"],
            _ <- lists:seq(1, 30)],
    flush(),
    {A, B} = pair(),
    [random_command(Port) || _ <- lists:seq(1, 2000), Port <- [A, B]],
    close([A, B]),
    flush().

random_command(Port) ->
    %% Not what opens sockets to addresses made of random bytes.
    Opcodes = [Code || {Name, Code} <- eid_socket:opcodes(),
                       Name =/= connect, Name =/= lookup,
                       Name =/= list],
    Opcode = case rand:uniform(10) of
                 1 -> rand:uniform(1000) + 16;
                 _ -> lists:nth(rand:uniform(length(Opcodes)), Opcodes)
             end,
    Data = rand:bytes(rand:uniform(40) - 1),
    try
        true = is_binary(port_control(Port, Opcode, Data))
    catch
        error:badarg -> ok
    end.

wrong_roles_test() ->
    process_flag(trap_exit, true),
    [?assertMatch({'EXIT', _},
                  catch open_port({spawn_driver, Name}, [binary]))
     || Name <- ["eid_drv", "eid_drv ", "eid_drv other",
                 "eid_drv listenerx"]],
    flush().

%% ---------------------------------------------------------------------
%% Helpers
%% ---------------------------------------------------------------------

listen() ->
    eid_socket:listen(0, [{ip, ?LOOPBACK}]).

%% A connection's two ends.
pair() ->
    {ok, Listener} = listen(),
    pair(Listener).

pair(Listener) ->
    {ok, {Ip, Port}} = eid_socket:sockname(Listener),
    {ok, A} = eid_socket:connect(Ip, Port, [], 5000),
    {ok, B} = eid_socket:accept(Listener),
    close([Listener]),
    {A, B}.

close(Sockets) ->
    [?assertEqual(ok, eid_socket:close(Socket)) || Socket <- Sockets].

flush() ->
    receive _ -> flush() after 0 -> ok end.
