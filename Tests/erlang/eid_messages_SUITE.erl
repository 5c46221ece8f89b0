%% SPDX-License-Identifier: Apache-2.0

%% What goes over a connection arrives: complete, in order, and as it was.
-module(eid_messages_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).

-export([small_messages_arrive_in_order/1, messages_of_64_kb_arrive/1,
         messages_of_1_mb_arrive/1, messages_of_16_mb_arrive/1,
         a_message_of_100_mb_arrives/1, sizes_at_the_limits_arrive/1,
         long_binaries_are_not_copied/1,
         all_kinds_of_terms_arrive/1, more_atoms_than_the_cache_holds/1,
         many_senders_in_both_directions/1,
         mixed_sizes_in_both_directions/1, links/1, monitors/1, spawns/1,
         spawn_requests/1, rpc_calls/1, erpc_calls/1, gen_server_calls/1,
         global_names/1, pg_groups/1, aliases/1, group_leader_output/1,
         signals_over_a_busy_connection/1]).

%% Run in the nodes
-export([echo/0, keeper/2, receiver/2, idle/0, init/1, handle_call/3,
         handle_cast/2, sum/1, fail/2]).

suite() ->
    [{timetrap, {seconds, 60}}].

all() ->
    [small_messages_arrive_in_order, messages_of_64_kb_arrive,
     messages_of_1_mb_arrive, messages_of_16_mb_arrive,
     a_message_of_100_mb_arrives, sizes_at_the_limits_arrive,
     long_binaries_are_not_copied,
     all_kinds_of_terms_arrive, more_atoms_than_the_cache_holds,
     many_senders_in_both_directions, mixed_sizes_in_both_directions,
     links, monitors, spawns, spawn_requests, rpc_calls, erpc_calls,
     gen_server_calls, global_names, pg_groups, aliases,
     group_leader_output, signals_over_a_busy_connection].

init_per_suite(Config) ->
    {A, B} = eid_peers:pair(#{keep => true}),
    [{a, A}, {b, B}, {node, maps:get(node, B)} | Config].

end_per_suite(_Config) ->
    ok.

%% ---------------------------------------------------------------------
%% Messages
%% ---------------------------------------------------------------------

small_messages_arrive_in_order(Config) ->
    stream(Config, 100000, 0).

messages_of_64_kb_arrive(Config) ->
    stream(Config, 500, 64 * 1024).

messages_of_1_mb_arrive(Config) ->
    stream(Config, 40, 1024 * 1024).

messages_of_16_mb_arrive(Config) ->
    stream(Config, 4, 16 * 1024 * 1024).

a_message_of_100_mb_arrives(Config) ->
    stream(Config, 1, 100 * 1024 * 1024).

%% Around the sizes at which a binary is copied or referred to, a message
%% fragmented, a buffer full.
sizes_at_the_limits_arrive(Config) ->
    Sizes = [Limit + Offset
             || Limit <- [64, 256, 1024, 2048, 4096, 16384, 65536, 131072,
                          262144, 524288],
                Offset <- [-129, -128, -64, -33, -5, -4, -1, 0, 1, 4],
                Limit + Offset >= 0],
    run_a(Config,
          fun(Node) ->
                  Echo = spawn_link(Node, ?MODULE, echo, []),
                  lists:foreach(
                    fun(Size) ->
                            Payload = payload(Size),
                            Echo ! {self(), {Size, Payload}},
                            receive
                                {Echo, {Size, Back}} ->
                                    ?assert(Payload =:= Back)
                            end
                    end, Sizes ++ lists:reverse(Sizes))
          end).

%% They refer to the receive chunk, as those that come over inet_tcp do to the
%% packet's buffer. What one holds is less than four times its size.
long_binaries_are_not_copied(Config) ->
    run_a(Config,
          fun(Node) ->
                  [begin
                       Keeper = spawn_link(Node, ?MODULE, keeper,
                                           [self(), 300]),
                       Payload = payload(Size),
                       [Keeper ! Payload || _ <- lists:seq(1, 300)],
                       receive
                           {Keeper, Kept} ->
                               {Backs, Held} =
                                   lists:unzip(lists:nthtail(200, Kept)),
                               [?assert(Payload =:= Back) || Back <- Backs],
                               ?assert(lists:min(Held) > Size),
                               ?assert(lists:max(Held) < 4 * Size)
                       end
                   end || Size <- [16400, 20000, 33000, 60000]]
          end).

all_kinds_of_terms_arrive(Config) ->
    Bits = <<1:3, 5:70>>,
    Sub = binary:part(payload(10000), 100, 5000),
    Terms = [0, -1, 1 bsl 64, -(1 bsl 2000), 1.5e300, -0.0, a, '', 'ÿ☃',
             [], [a | b], lists:seq(1, 70000), "text", <<>>, Bits, Sub,
             {}, list_to_tuple(lists:seq(1, 300)), #{},
             maps:from_list([{N, #{N => [N]}} || N <- lists:seq(1, 100)]),
             make_ref(), self(), fun erlang:abs/1, fun() -> Bits end,
             [payload(N) || N <- lists:seq(0, 300)],
             lists:duplicate(20000, {x, <<"abc">>, 1.0})],
    run_a(Config,
          fun(Node) ->
                  Echo = spawn_link(Node, ?MODULE, echo, []),
                  [begin
                       Echo ! {self(), Term},
                       receive
                           {Echo, Back} -> ?assert(Term =:= Back)
                       end
                   end || Term <- [hd(erlang:ports()), Terms | Terms]]
          end).

more_atoms_than_the_cache_holds(Config) ->
    run_a(Config,
          fun(Node) ->
                  Echo = spawn_link(Node, ?MODULE, echo, []),
                  Atoms = [list_to_atom("atom" ++ integer_to_list(N))
                           || N <- lists:seq(1, 6000)],
                  [begin
                       Echo ! {self(), Atom},
                       Echo ! {self(), [Atom, many]}
                   end || Atom <- Atoms],
                  [begin
                       receive {Echo, First} -> Atom = First end,
                       receive {Echo, Second} -> [Atom, many] = Second end
                   end || Atom <- Atoms]
          end).

many_senders_in_both_directions(Config) ->
    both_ways(Config, [{100, 300, [0, 10, 100]}]).

%% A large message must neither hold up nor mix with what is sent beside it.
mixed_sizes_in_both_directions(Config) ->
    both_ways(Config, [{10, 1000, [0, 1, 50]}, {5, 30, [70000, 20]},
                       {2, 5, [3 * 1024 * 1024]}]).

%% ---------------------------------------------------------------------
%% Signals
%% ---------------------------------------------------------------------

links(Config) ->
    run_a(
      Config,
      fun(Node) ->
              process_flag(trap_exit, true),
              One = spawn_link(Node, ?MODULE, idle, []),
              One ! {exit, {because, payload(3000)}},
              {because, _} = exited(One),
              Two = spawn(Node, ?MODULE, idle, []),
              true = link(Two),
              exit(Two, kill),
              killed = exited(Two),
              %% The other way: a local process dies, a remote one is told.
              Three = spawn(Node, ?MODULE, idle, []),
              Monitor = monitor(process, Three),
              _ = spawn(fun() -> link(Three), exit(gone) end),
              gone = down(Monitor),
              %% A link to nobody.
              true = link(Two),
              noproc = exited(Two),
              Four = spawn_link(Node, ?MODULE, idle, []),
              true = unlink(Four),
              exit(Four, kill),
              %% Whether it is dead by then or not.
              true = lists:member(down(monitor(process, Four)),
                                  [killed, noproc]),
              receive {'EXIT', Four, _} = Exit -> error(Exit) after 0 -> ok end
      end).

monitors(Config) ->
    run_a(
      Config,
      fun(Node) ->
              {Pid, Monitor} = spawn_monitor(Node, ?MODULE, idle, []),
              Pid ! {exit, bye},
              bye = down(Monitor),
              noproc = down(monitor(process, Pid)),
              noproc = down(monitor(process, {nobody_has_this_name, Node})),
              Named = spawn(Node, ?MODULE, idle, []),
              true = erpc:call(Node, erlang, register, [named, Named]),
              ByName = monitor(process, {named, Node}),
              {named, Node} ! {exit, by_name},
              by_name = down(ByName),
              Other = spawn(Node, ?MODULE, idle, []),
              Off = monitor(process, Other),
              true = demonitor(Off),
              Last = monitor(process, Other),
              exit(Other, off),
              off = down(Last),
              receive {'DOWN', Off, _, _, _} = M -> error(M) after 0 -> ok end
      end).

spawns(Config) ->
    run_a(
      Config,
      fun(Node) ->
              Self = self(),
              Pids = [spawn(Node, fun() -> Self ! {self(), N, node()} end)
                      || N <- lists:seq(1, 500)],
              [receive {Pid, N, Node} -> ok end
               || {Pid, N} <- lists:zip(Pids, lists:seq(1, 500))],
              {_, Monitor} =
                  spawn_opt(Node, erlang, exit, [done],
                            [monitor, {priority, high}]),
              done = down(Monitor),
              {_, Undef} = spawn_opt(Node, no_such_module, f, [], [monitor]),
              {undef, _} = down(Undef)
      end).

spawn_requests(Config) ->
    run_a(
      Config,
      fun(Node) ->
              Wanted = [spawn_request(Node, ?MODULE, idle, [], [monitor])
                        || _ <- lists:seq(1, 200)],
              [receive
                   {spawn_reply, Request, ok, Pid} when node(Pid) =:= Node ->
                       Pid ! {exit, Request},
                       Request = down(Request)
               end || Request <- Wanted],
              Bad = spawn_request(Node, ?MODULE, idle, [], [no_such_option]),
              receive {spawn_reply, Bad, error, badopt} -> ok end,
              Tagged = spawn_request(Node, ?MODULE, idle, [],
                                     [{reply_tag, tag}, link]),
              receive {tag, Tagged, ok, Linked} -> unlink(Linked) end
      end).

rpc_calls(Config) ->
    run_a(
      Config,
      fun(Node) ->
              Node = rpc:call(Node, erlang, node, []),
              {badrpc, {'EXIT', {oops, _}}} =
                  rpc:call(Node, ?MODULE, fail, [error, oops]),
              {badrpc, timeout} = rpc:call(Node, ?MODULE, idle, [], 50),
              {badrpc, nodedown} = rpc:call('x@127.0.0.0', erlang, node, []),
              Keys = [rpc:async_call(Node, ?MODULE, sum, [[N, 1]])
                      || N <- lists:seq(1, 100)],
              [N = rpc:yield(Key) - 1
               || {N, Key} <- lists:zip(lists:seq(1, 100), Keys)],
              {[_, _], []} = rpc:multicall([node(), Node], erlang, date, []),
              [2, Node] = rpc:parallel_eval([{?MODULE, sum, [[1, 1]]},
                                             {rpc, call,
                                              [Node, erlang, node, []]}]),
              true = rpc:cast(Node, erlang, send, [self(), cast]),
              receive cast -> ok end
      end).

erpc_calls(Config) ->
    run_a(
      Config,
      fun(Node) ->
              Large = payload(5000000),
              Digest = erlang:md5(Large),
              Digest = erpc:call(Node, erlang, md5, [Large]),
              Large = erpc:call(Node, fun() -> Large end),
              {error, {exception, oops, _}} =
                  caught(fun() ->
                                 erpc:call(Node, ?MODULE, fail, [error, oops])
                         end),
              {exit, {exception, oops}} =
                  caught(fun() ->
                                 erpc:call(Node, ?MODULE, fail, [exit, oops])
                         end),
              {throw, oops} =
                  caught(fun() ->
                                 erpc:call(Node, ?MODULE, fail, [throw, oops])
                         end),
              {error, {erpc, timeout}} =
                  caught(fun() -> erpc:call(Node, ?MODULE, idle, [], 50) end),
              Requests = [{N, erpc:send_request(Node, ?MODULE, sum, [[N, N]])}
                          || N <- lists:seq(1, 1000)],
              [N = erpc:receive_response(Request, 20000) div 2
               || {N, Request} <- lists:reverse(Requests)],
              [{ok, 3}, {ok, 3}] =
                  erpc:multicall([Node, Node], ?MODULE, sum, [[1, 2]]),
              ok = erpc:cast(Node, erlang, send, [self(), cast]),
              receive cast -> ok end
      end).

gen_server_calls(Config) ->
    run_a(
      Config,
      fun(Node) ->
              {ok, _} = erpc:call(Node, gen_server, start,
                                  [{local, adder}, ?MODULE, [], []]),
              Adder = {adder, Node},
              Callers =
                  [spawn_monitor(fun() ->
                                         [S = gen_server:call(Adder, {S, 0})
                                          || S <- lists:seq(1, 50)]
                                 end) || _ <- lists:seq(1, 50)],
              [normal = down(Monitor) || {_, Monitor} <- Callers],
              ok = gen_server:cast(Adder, {tell, self()}),
              receive told -> ok end,
              {[{Node, 3}], []} =
                  gen_server:multi_call([Node], adder, {1, 2}),
              ok = gen_server:stop(Adder)
      end).

global_names(Config) ->
    A = proplists:get_value(a, Config),
    B = proplists:get_value(b, Config),
    NodeA = maps:get(node, A),
    ok = eid_peers:call(A, global, sync, []),
    Pid = eid_peers:run(
            A, fun() ->
                       Pid = spawn(?MODULE, idle, []),
                       yes = global:register_name(here, Pid),
                       no = global:register_name(here, self()),
                       Pid
               end),
    ok = eid_peers:run(
           B, fun() ->
                      Pid = global:whereis_name(here),
                      NodeA = node(Pid),
                      %% One that holds a lock keeps the other out.
                      true = global:set_lock({lock, self()}),
                      false = erpc:call(NodeA, global, set_lock,
                                        [{lock, other}, [node(), NodeA], 0]),
                      true = global:del_lock({lock, self()}),
                      done = global:trans({trans, self()},
                                          fun() -> done end),
                      Mine = spawn(?MODULE, idle, []),
                      yes = global:re_register_name(here, Mine),
                      Mine = erpc:call(NodeA, global, whereis_name, [here]),
                      exit(Pid, kill),
                      Monitor = monitor(process, Mine),
                      _ = global:send(here, {exit, stop}),
                      stop = down(Monitor),
                      ok
              end),
    eid_peers:until(
      fun() ->
              eid_peers:call(A, global, whereis_name, [here]) =:= undefined
      end).

pg_groups(Config) ->
    A = proplists:get_value(a, Config),
    B = proplists:get_value(b, Config),
    [{ok, _} = eid_peers:call(P, pg, start, [scope]) || P <- [A, B]],
    Members = fun(P) ->
                      lists:sort(eid_peers:call(P, pg, get_members,
                                                [scope, group]))
              end,
    [Pid, Other, _] = All =
        lists:sort([eid_peers:run(P, fun() ->
                                             Pid = spawn(?MODULE, idle, []),
                                             ok = pg:join(scope, group, Pid),
                                             Pid
                                     end) || P <- [A, B, B]]),
    [eid_peers:until(fun() -> Members(P) =:= All end) || P <- [A, B]],
    true = eid_peers:call(A, erlang, exit, [Pid, kill]),
    [eid_peers:until(fun() -> Members(P) =:= tl(All) end) || P <- [A, B]],
    true = eid_peers:call(B, erlang, exit, [Other, kill]),
    [eid_peers:until(fun() -> length(Members(P)) =:= 1 end) || P <- [A, B]].

aliases(Config) ->
    run_a(
      Config,
      fun(Node) ->
              Alias = alias([reply]),
              Self = self(),
              _ = spawn(Node, fun() ->
                                      Alias ! first,
                                      Alias ! second,
                                      Self ! sent
                              end),
              receive first -> ok end,
              receive sent -> ok end,
              receive second -> error(not_deactivated) after 0 -> ok end
      end).

%% A process that is spawned elsewhere writes where its parent does.
group_leader_output(Config) ->
    run_a(
      Config,
      fun(Node) ->
              Leader = spawn_link(fun() -> count_output(0) end),
              true = group_leader(Leader, self()),
              {_, Monitor} =
                  spawn_monitor(Node, fun() ->
                                              [io:format("~s", [text(1000)])
                                               || _ <- lists:seq(1, 50)]
                                      end),
              normal = down(Monitor),
              Leader ! {how_much, self()},
              receive {written, 50000} -> ok end
      end).

%% Whatever is queued ahead, signals arrive, and after what was sent before.
signals_over_a_busy_connection(Config) ->
    run_a(
      Config,
      fun(Node) ->
              process_flag(trap_exit, true),
              Sink = spawn_link(Node, ?MODULE, receiver, [self(), infinity]),
              Block = payload(1024 * 1024),
              Flood = spawn_link(fun() -> flood(Sink, 1, Block) end),
              [begin
                   {Pid, Monitor} = spawn_opt(Node, ?MODULE, receiver,
                                              [self(), 2],
                                              [link, monitor]),
                   Pid ! {1, self(), Block, none},
                   Pid ! {2, self(), <<>>, none},
                   receive {complete, Pid} -> ok end,
                   normal = down(Monitor),
                   normal = exited(Pid),
                   Victim = spawn(Node, ?MODULE, idle, []),
                   Death = monitor(process, Victim),
                   exit(Victim, kill),
                   killed = down(Death),
                   Node = erpc:call(Node, erlang, node, [], 20000)
               end || _ <- lists:seq(1, 20)],
              exit(Flood, kill),
              killed = exited(Flood),
              exit(Sink, kill),
              killed = exited(Sink)
      end).

%% ---------------------------------------------------------------------
%% Helpers
%% ---------------------------------------------------------------------

%% Runs Fun(B's name) in A.
run_a(Config, Fun) ->
    Node = proplists:get_value(node, Config),
    eid_peers:run(proplists:get_value(a, Config), fun() -> Fun(Node) end,
                  50000),
    ok.

%% Count messages of Size bytes and their numbers, from A to B and back.
stream(Config, Count, Size) ->
    A = proplists:get_value(a, Config),
    B = proplists:get_value(b, Config),
    [eid_peers:run(From,
                   fun() -> send_all(Node, Count, [Size]) end, 50000)
     || {From, #{node := Node}} <- [{A, B}, {B, A}]],
    ok.

%% For each {Senders, Count, Sizes} so many processes on each side send Count
%% messages each, of these sizes in turn, all to one receiver and at once.
both_ways(Config, Kinds) ->
    A = proplists:get_value(a, Config),
    B = proplists:get_value(b, Config),
    Runs = [spawn_monitor(
              fun() ->
                      eid_peers:run(From, fun() -> send(Node, Kinds) end,
                                    50000)
              end) || {From, #{node := Node}} <- [{A, B}, {B, A}]],
    [normal = down(Monitor) || {_, Monitor} <- Runs],
    ok.

send(Node, Kinds) ->
    Total = lists:sum([Senders * Count || {Senders, Count, _} <- Kinds]),
    Receiver = spawn_link(Node, ?MODULE, receiver, [self(), Total]),
    [spawn_link(fun() -> send_to(Receiver, Count, Sizes) end)
     || {Senders, Count, Sizes} <- Kinds, _ <- lists:seq(1, Senders)],
    receive {complete, Receiver} -> ok end.

send_all(Node, Count, Sizes) ->
    Receiver = spawn_link(Node, ?MODULE, receiver, [self(), Count]),
    send_to(Receiver, Count, Sizes),
    receive {complete, Receiver} -> ok end.

send_to(Receiver, Count, Sizes) ->
    Payloads = [{Payload, erlang:md5(Payload)}
                || Size <- Sizes, Payload <- [payload(Size)]],
    send_to(Receiver, 1, Count, Payloads, Payloads).

send_to(_Receiver, N, Count, _, _) when N > Count ->
    ok;
send_to(Receiver, N, Count, [], All) ->
    send_to(Receiver, N, Count, All, All);
send_to(Receiver, N, Count, [{Payload, Digest} | Payloads], All) ->
    Receiver ! {N, self(), Payload, Digest},
    send_to(Receiver, N + 1, Count, Payloads, All).

%% Takes Total messages, those of each sender in its order and undamaged.
%% Tells of Total binaries, and of how much memory each holds.
keeper(Parent, Total) ->
    Kept = [receive Binary when is_binary(Binary) -> Binary end
            || _ <- lists:seq(1, Total)],
    Parent ! {self(), [{Binary, binary:referenced_byte_size(Binary)}
                       || Binary <- Kept]}.

receiver(Parent, Total) ->
    receive_all(Parent, Total, #{}).

receive_all(Parent, 0, _) ->
    Parent ! {complete, self()};
receive_all(Parent, Left, Last) ->
    receive
        {N, From, Payload, Digest} ->
            Before = maps:get(From, Last, 0),
            N =:= Before + 1 orelse error({out_of_order, Before, N}),
            Digest =:= none
                orelse Digest =:= erlang:md5(Payload)
                orelse error({damaged, N, byte_size(Payload)}),
            receive_all(Parent,
                        if Left =:= infinity -> Left; true -> Left - 1 end,
                        Last#{From => N})
    end.

flood(Sink, N, Block) ->
    Sink ! {N, self(), Block, none},
    flood(Sink, N + 1, Block).

%% Size bytes, no two parts of which are the same.
payload(Size) ->
    Random = rand:bytes(65536),
    Blocks = [[<<N:64>>, Random] || N <- lists:seq(0, Size div 65544)],
    binary:part(iolist_to_binary(Blocks), 0, Size).

text(Size) ->
    lists:duplicate(Size, $x).

exited(Pid) ->
    receive
        {'EXIT', Pid, Reason} -> Reason
    after 20000 ->
            error({no_exit, Pid})
    end.

down(Monitor) ->
    receive
        {'DOWN', Monitor, process, _, Reason} -> Reason
    after 50000 ->
            error(no_down)
    end.

caught(Fun) ->
    try
        Fun()
    catch
        Class:Reason -> {Class, Reason}
    end.

%% An I/O server that only counts.
count_output(Count) ->
    receive
        {io_request, From, Ref, {put_chars, unicode, Module, F, Arguments}} ->
            Text = unicode:characters_to_binary(apply(Module, F, Arguments)),
            From ! {io_reply, Ref, ok},
            count_output(Count + byte_size(Text));
        {io_request, From, Ref, {put_chars, unicode, Text}} ->
            From ! {io_reply, Ref, ok},
            count_output(Count + iolist_size(Text));
        {how_much, From} ->
            From ! {written, Count},
            count_output(Count)
    end.

echo() ->
    receive
        {From, Term} ->
            From ! {self(), Term},
            echo()
    end.

idle() ->
    receive
        {exit, Reason} -> exit(Reason)
    end.

sum(Numbers) ->
    lists:sum(Numbers).

fail(Class, Reason) ->
    erlang:raise(Class, Reason, []).

init([]) ->
    {ok, none}.

handle_call({A, B}, _From, State) ->
    {reply, A + B, State}.

handle_cast({tell, Pid}, State) ->
    Pid ! told,
    {noreply, State}.
