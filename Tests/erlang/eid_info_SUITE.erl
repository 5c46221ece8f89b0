%% SPDX-License-Identifier: Apache-2.0

%% What a node says of itself and of its connections.
-module(eid_info_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).

-export([a_node_of_its_own/1, a_node_that_is_none/1, both_ends/1,
         what_was_carried/1, senders_that_wait/1, another_carrier/1,
         every_module_loads/1]).

-define(KB, 1024).

suite() ->
    [{timetrap, {seconds, 60}}].

all() ->
    [a_node_of_its_own, a_node_that_is_none, both_ends, what_was_carried,
     senders_that_wait, another_carrier, every_module_loads].

init_per_suite(Config) ->
    ok = eid_peers:only("eid_tcp"),
    Config.

end_per_suite(_Config) ->
    ok.

a_node_of_its_own(_Config) ->
    #{node := Node} = A = eid_peers:start(#{name => "a"}),
    Listens = {eid_peers:address(A), eid_peers:port()},
    Port = eid_peers:port(),
    #{node := Node, listens := Listens, lookup := direct,
      erlang_port := Port, docker_daemon_port := 4243, connections := 0,
      version := Version} = eid_peers:call(A, eid, info, []),
    {ok, Version} = eid_peers:call(A, application, get_key, [eid, vsn]),
    [] = eid_peers:call(A, eid, connections, []),
    undefined = eid_peers:call(A, eid, info, ['b@127.0.0.1']),
    ok.

a_node_that_is_none(_Config) ->
    A = eid_peers:start(#{name => none}),
    #{node := nonode@nohost, listens := undefined, connections := 0} =
        eid_peers:call(A, eid, info, []),
    [] = eid_peers:call(A, eid, connections, []),
    ok.

both_ends(_Config) ->
    {#{node := NodeA} = A, #{node := NodeB} = B} = eid_peers:pair(),
    [#{node := NodeB} = OfA] = eid_peers:call(A, eid, connections, []),
    [#{node := NodeA} = OfB] = eid_peers:call(B, eid, connections, []),
    #{peer := {Ip, Port} = Called, local := Calling} = OfA,
    #{peer := Calling, local := Called} = OfB,
    Ip = eid_peers:address(B),
    Port = eid_peers:port(),
    #{node := NodeB} = eid_peers:call(A, eid, info, [NodeB]),
    #{connections := 1} = eid_peers:call(A, eid, info, []),
    ok = eid_peers:disconnect(A, B),
    eid_peers:until(fun() -> eid_peers:call(B, eid, connections, []) =:= []
                    end).

%% What one end has sent is what the other has received, once it has arrived.
what_was_carried(_Config) ->
    {#{node := NodeA} = A, #{node := NodeB} = B} = eid_peers:pair(),
    #{sent_bytes := Before} = eid_peers:call(A, eid, info, [NodeB]),
    Binary = rand:bytes(300 * ?KB),
    Binary = eid_peers:call(A, erpc, call,
                            [NodeB, erlang, binary_part,
                             [<<Binary/binary, 0>>, 0, byte_size(Binary)]]),
    eid_peers:until(
      fun() ->
              #{sent_bytes := Sent, received_bytes := Got,
                sent_packets := SentPackets,
                received_packets := GotPackets, queued_bytes := 0,
                busy := false, round_trip_microseconds := RoundTrip} =
                  eid_peers:call(A, eid, info, [NodeB]),
              true = Sent - Before > byte_size(Binary),
              true = RoundTrip > 0 andalso RoundTrip < 5000000,
              case eid_peers:call(B, eid, info, [NodeA]) of
                  #{sent_bytes := Got, received_bytes := Sent,
                    sent_packets := GotPackets,
                    received_packets := SentPackets} -> true;
                  #{} -> false
              end
      end).

senders_that_wait(_Config) ->
    {A, #{node := NodeB} = B} = eid_peers:pair(),
    Sink = eid_peers:run(B, fun() -> spawn(fun sink/0) end),
    ok = eid_peers:freeze(B),
    Sender = eid_peers:run(
               A,
               fun() -> spawn(fun() -> pour(Sink, rand:bytes(64 * ?KB)) end)
               end),
    Busy = eid_peers:until(
             fun() ->
                     case eid_peers:call(A, eid, info, [NodeB]) of
                         #{busy := true, queued_bytes := Queued} = Info
                           when Queued > 0 -> Info;
                         #{} -> false
                     end
             end),
    #{busy_count := Count, busy_microseconds := Microseconds} = Busy,
    true = Count >= 1,
    %% The time goes on while it is busy.
    eid_peers:until(
      fun() ->
              #{busy_microseconds := Later} =
                  eid_peers:call(A, eid, info, [NodeB]),
              Later > Microseconds + 10000
      end),
    true = eid_peers:call(A, erlang, exit, [Sender, kill]),
    ok = eid_peers:thaw(B),
    eid_peers:until(fun() ->
                            #{busy := IsBusy, queued_bytes := Queued} =
                                eid_peers:call(A, eid, info, [NodeB]),
                            not IsBusy andalso Queued =:= 0
                    end).

sink() ->
    receive _ -> sink() end.

pour(Sink, Binary) ->
    Sink ! Binary,
    pour(Sink, Binary).

%% Of a connection that is not eid's there is nothing to say.
another_carrier(_Config) ->
    [A, #{node := NodeB} = B] =
        eid_peers:start_all([#{name => Name, carrier => "inet_tcp"}
                             || Name <- ["a", "b"]]),
    ok = eid_peers:connect(A, B),
    [] = eid_peers:call(A, eid, connections, []),
    undefined = eid_peers:call(A, eid, info, [NodeB]),
    #{listens := undefined} = eid_peers:call(A, eid, info, []),
    ok.

%% Releases of OTP differ in what they load of another one's compiler.
every_module_loads(_Config) ->
    A = eid_peers:start(#{name => "a"}),
    ok = eid_peers:call(A, application, load, [eid]),
    {ok, Modules} = eid_peers:call(A, application, get_key, [eid, modules]),
    [] = [{Module, Result}
          || Module <- Modules,
             Result <- [eid_peers:call(A, code, ensure_loaded, [Module])],
             Result =/= {module, Module}],
    ok.
