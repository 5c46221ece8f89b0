%% SPDX-License-Identifier: Apache-2.0

%% Many hidden nodes in one process's memory: the other ends of the hub's
%% connections. A VM has one connection to each node, and 500 VMs would measure
%% the machine; so these speak the handshake (OTP's "Distribution Protocol")
%% over gen_tcp, answer ticks, and drop whatever else comes.
-module(eid_bench_crowd).

-export([connect/3]).

-type hub() :: {inet:ip_address(), inet:port_number(), string()}.

%% What a node sends after a tick of the other.
-define(TICK, <<>>).
%% REG_SEND to a name that nobody has: {6, From, unused, To}, and its message.
-define(REG_SEND, 6).
%% Left out of the flags: hidden nodes, and messages without the atom cache.
-define(DFLAG_PUBLISHED, 16#1).
-define(DFLAG_DIST_HDR_ATOM_CACHE, 16#2000).
-define(DFLAG_FRAGMENTS, 16#800000).
%% Messages of a burst, and the bytes of each.
-define(BURST_MESSAGES, 200).
-define(BURST_BYTES, 8192).
%% Ticks of a connection before it rests, one at a time.
-define(WARM_TICKS, 20).
-define(WARM_MS, 20).

%% Connects Count further nodes, one after the other, and keeps them.
%% With Burst each sends 1.6 MB, as a connection does that was in use.
-spec connect(pos_integer(), boolean(), hub()) -> [{atom(), number()}].
connect(Count, Burst, Hub) ->
    Times = lists:sort([connect_one(Burst, Hub)
                        || _ <- lists:seq(1, Count)]),
    [{time, lists:nth((Count + 1) div 2, Times) / 1000}].

-spec connect_one(boolean(), hub()) -> integer().
connect_one(Burst, Hub) ->
    Parent = self(),
    Start = erlang:monotonic_time(nanosecond),
    Pid = spawn_link(fun() -> node_loop(handshake(Hub), Parent, Burst) end),
    receive {up, Pid} -> ok end,
    Time = erlang:monotonic_time(nanosecond) - Start,
    receive {sent, Pid} -> ok end,
    Time.

handshake({Ip, Port, Cookie}) ->
    {ok, Socket} = gen_tcp:connect(Ip, Port, [binary, {packet, 2},
                                              {active, false},
                                              {nodelay, true}]),
    Flags = element(2, erts_internal:get_dflags()) band
        bnot (?DFLAG_PUBLISHED bor ?DFLAG_DIST_HDR_ATOM_CACHE
              bor ?DFLAG_FRAGMENTS),
    Name = iolist_to_binary(
             io_lib:format("c~w@127.0.0.1",
                           [erlang:unique_integer([positive])])),
    ok = gen_tcp:send(Socket, [<<$N, Flags:64, 1:32,
                                 (byte_size(Name)):16>>, Name]),
    {ok, <<"sok", _/binary>>} = gen_tcp:recv(Socket, 0),
    {ok, <<$N, _:64, Challenge:32, _/binary>>} = gen_tcp:recv(Socket, 0),
    Digest = erlang:md5([Cookie, integer_to_list(Challenge)]),
    ok = gen_tcp:send(Socket, <<$r, 1:32, Digest/binary>>),
    {ok, <<$a, _:16/binary>>} = gen_tcp:recv(Socket, 0),
    ok = inet:setopts(Socket, [{packet, 4}, {active, true}]),
    Socket.

node_loop(Socket, Parent, Burst) ->
    Parent ! {up, self()},
    Burst andalso burst(Socket),
    Parent ! {sent, self()},
    tick_often(Socket),
    answer(Socket).

%% A socket that has been read from ten times is watched by the VM in another,
%% cheaper way from then on (`+IOs'). That is so with all that are in use, so
%% it is what is to be measured; otherwise the carrier that reads more at once
%% would be the one that is watched in the dearer way.
tick_often(Socket) ->
    _ = [begin
             receive after ?WARM_MS -> ok end,
             ok = gen_tcp:send(Socket, ?TICK)
         end || _ <- lists:seq(1, ?WARM_TICKS)],
    ok.

answer(Socket) ->
    receive
        {tcp, Socket, ?TICK} ->
            ok = gen_tcp:send(Socket, ?TICK),
            answer(Socket);
        {tcp, Socket, _} ->
            answer(Socket);
        {tcp_closed, Socket} ->
            exit(hub_closed)
    end.

burst(Socket) ->
    %% A pid of a node that nobody asks for.
    From = <<88, 119, 9, "c@127.0.0", 1:32, 0:32, 1:32>>,
    Atom = <<119, 15, "nobody_has_this">>,
    Control = <<131, 104, 4, 97, ?REG_SEND, From/binary, 119, 0,
                Atom/binary>>,
    Message = <<131, 109, ?BURST_BYTES:32, 0:(8 * ?BURST_BYTES)>>,
    %% 112: "pass through", a message without a distribution header.
    Packet = <<112, Control/binary, Message/binary>>,
    [ok = gen_tcp:send(Socket, Packet)
     || _ <- lists:seq(1, ?BURST_MESSAGES)].
