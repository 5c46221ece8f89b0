%% SPDX-License-Identifier: Apache-2.0

%% Run in nodes of different releases: what one asks of another, of each kind
%% that the distribution has. Compiled by the oldest, loaded by all.
-module(eid_mixed).

-behaviour(gen_server).

-export([start/0, kinds/0, try_kind/2, downs/0]).

%% Called from other nodes
-export([give_back/1, leave/1, wait/0, member/2, down_since/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(WAIT_MS, 60000).
%% More than an atom cache of a connection holds (2048).
-define(ATOMS, 3000).
-define(LARGE_BYTES, (8 * 1024 * 1024)).
-define(NUMBERED, 5000).
-define(PARALLEL, 2).

-spec start() -> ok.
start() ->
    {ok, _} = gen_server:start({local, ?MODULE}, ?MODULE, [], []),
    {ok, _} = gen_server:call(?MODULE, start_pg),
    ok.

-spec kinds() -> [atom()].
kinds() ->
    [connects, terms, atoms, large_binaries, numbered_messages, calls, funs,
     spawns, links, monitors, gen_server, global, pg].

%% Fails with what is wrong.
-spec try_kind(atom(), node()) -> ok.
try_kind(Kind, Node) ->
    %% In a process of its own: nothing is left in its mailbox or linked.
    {Pid, Monitor} = spawn_monitor(fun() -> exit({done, kind(Kind, Node)}) end),
    receive
        {'DOWN', Monitor, process, Pid, {done, ok}} -> ok;
        {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
    end.

%% How many nodedowns there have been.
-spec downs() -> non_neg_integer().
downs() ->
    lists:sum(maps:values(gen_server:call(?MODULE, downs))).

%% Disconnects and connects; both sides see both.
-spec kind(atom(), node()) -> ok.
kind(connects, Node) ->
    Before = [gen_server:call(Server, {downs, Of})
              || {Server, Of} <- [{?MODULE, Node}, {{?MODULE, Node}, node()}]],
    true = erlang:disconnect_node(Node),
    %% This connects again.
    until(fun() -> net_adm:ping(Node) =:= pong end),
    until(fun() ->
                  down_since(Node, hd(Before))
                      andalso erpc:call(Node, ?MODULE, down_since,
                                        [node(), lists:last(Before)])
          end),
    true = lists:member(node(), erpc:call(Node, erlang, nodes, [])),
    ok;
kind(terms, Node) ->
    Fun = fun ?MODULE:give_back/1,
    Terms = [[], {}, #{}, <<>>, "", <<5:3>>, <<"binary">>, 'an atom',
             0, -1, 255, 256, 1 bsl 31, 1 bsl 63, -(1 bsl 64), 1 bsl 5000,
             0.0, -1.5, 1.0e300, self(), make_ref(), alias(),
             hd(erlang:ports()), Fun, node(), Node,
             lists:seq(1, 300), lists:seq(1, 100000), [improper | tail],
             list_to_tuple(lists:seq(1, 300)),
             maps:from_list([{N, {N, N * 1.0}} || N <- lists:seq(1, 100)]),
             #{{key, 1} => #{deep => [#{}]}},
             lists:foldl(fun(N, Acc) -> {N, [Acc]} end, [],
                         lists:seq(1, 1000)),
             [binary:copy(<<Size>>, Size) || Size <- lists:seq(0, 255)]],
    [begin
         Term = gen_server:call({?MODULE, Node}, Term, ?WAIT_MS),
         Hash = erlang:phash2(Term),
         Hash = erpc:call(Node, erlang, phash2, [Term])
     end || Term <- [Terms | Terms]],
    %% Those that are the other node's.
    There = whereis_there(Node),
    There = gen_server:call({?MODULE, Node}, There),
    Port = hd(erpc:call(Node, erlang, ports, [])),
    Port = gen_server:call({?MODULE, Node}, Port),
    ok;
kind(atoms, Node) ->
    Atoms = [binary_to_atom(<<"mixed ", (integer_to_binary(N))/binary>>)
             || N <- lists:seq(1, ?ATOMS)]
        ++ [binary_to_atom(<<"grün"/utf8>>), binary_to_atom(<<"猫"/utf8>>),
            binary_to_atom(binary:copy(<<"é"/utf8>>, 255)), ''],
    %% Each by itself, and again: by then some come from the cache.
    [begin
         [ok = gen_server:cast({?MODULE, Node}, {self(), {N, Atom}})
          || Atom <- Atoms],
         [receive
              {N, Answer} -> {Atom, Atom} = {Atom, Answer}
          after ?WAIT_MS -> error({no_answer, Atom})
          end || Atom <- Atoms]
     end || N <- [1, 2]],
    Atoms = gen_server:call({?MODULE, Node}, Atoms, ?WAIT_MS),
    ok;
kind(large_binaries, Node) ->
    Part = rand:bytes(65536),
    Large = binary:copy(Part, ?LARGE_BYTES div 65536),
    Md5 = erlang:md5(Large),
    Md5 = erpc:call(Node, erlang, md5, [Large], ?WAIT_MS),
    %% Several under way at once, both ways, with small ones between.
    Requests = [erpc:send_request(Node, ?MODULE, give_back, [{N, Large}])
                || N <- lists:seq(1, ?PARALLEL)],
    small = erpc:call(Node, ?MODULE, give_back, [small], ?WAIT_MS),
    [{N, Large} = erpc:receive_response(Request, ?WAIT_MS)
     || {N, Request} <- lists:zip(lists:seq(1, ?PARALLEL),
                                                 Requests)],
    %% No whole number of fragments (64 KB), and parts by reference.
    [begin
         Binary = binary:part(Large, 3, Size),
         Binary = erpc:call(Node, ?MODULE, give_back, [Binary], ?WAIT_MS)
     end || Size <- [63, 64, 65, 65535, 65536, 65537, 131072, 1000003]],
    ok;
kind(numbered_messages, Node) ->
    Numbers = lists:seq(1, ?NUMBERED),
    [ok = gen_server:cast({?MODULE, Node},
                          {self(), {N, binary:copy(<<N>>, N rem 200)}})
     || N <- Numbers],
    [receive
         {Number, Binary} ->
             {N, {Number, Binary}} =
                 {Number, {N, binary:copy(<<N>>, N rem 200)}}
     after ?WAIT_MS -> error({lost, N})
     end || N <- Numbers],
    receive More -> error({more, More}) after 0 -> ok end;
kind(calls, Node) ->
    Node = erpc:call(Node, erlang, node, []),
    Node = rpc:call(Node, erlang, node, []),
    {badrpc, {'EXIT', {ended, _}}} = rpc:call(Node, erlang, error, [ended]),
    {'EXIT', {{exception, ended, _}, _}} =
        (catch erpc:call(Node, erlang, error, [ended])),
    {'EXIT', {exception, ended}} =
        (catch erpc:call(Node, erlang, exit, [ended])),
    [{ok, Here}, {ok, Node}] =
        erpc:multicall([node(), Node], erlang, node, [], ?WAIT_MS),
    {[Here, Node], []} = rpc:multicall([node(), Node], erlang, node, []),
    Node = rpc:block_call(Node, erlang, node, []),
    Request = erpc:send_request(Node, timer, sleep, [0]),
    ok = erpc:receive_response(Request, ?WAIT_MS),
    {'EXIT', {{erpc, timeout}, _}} =
        (catch erpc:call(Node, timer, sleep, [1000], 1)),
    ok;
kind(funs, Node) ->
    Self = self(),
    Large = lists:seq(1, 1000),
    {Node, Self, Large} = erpc:call(Node, fun() -> {node(), Self, Large} end),
    Fun = erpc:call(Node, fun() -> fun(X) -> {X, Self} end end),
    {1, Self} = Fun(1),
    External = erpc:call(Node, ?MODULE, give_back, [fun lists:sum/1]),
    6 = External([1, 2, 3]),
    ok;
kind(spawns, Node) ->
    Self = self(),
    _ = spawn(Node, fun() -> Self ! {node(), went} end),
    receive {Node, went} -> ok after ?WAIT_MS -> error(spawn) end,
    {Pid, Monitor} = spawn_monitor(Node, ?MODULE, leave, [gone]),
    receive
        {'DOWN', Monitor, process, Pid, gone} -> ok
    after ?WAIT_MS -> error(spawn_monitor)
    end,
    Request = spawn_request(Node, ?MODULE, wait, [], [link, monitor]),
    Spawned = receive
                  {spawn_reply, Request, ok, New} -> New
              after ?WAIT_MS -> error(spawn_request)
              end,
    true = unlink(Spawned),
    exit(Spawned, kill),
    receive
        {'DOWN', Request, process, Spawned, killed} -> ok
    after ?WAIT_MS -> error(monitor_of_spawn_request)
    end,
    Refused = spawn_request(Node, ?MODULE, wait, [], [no_such_option]),
    receive
        {spawn_reply, Refused, error, badopt} -> ok
    after ?WAIT_MS -> error(badopt)
    end;
kind(links, Node) ->
    process_flag(trap_exit, true),
    Linked = spawn_link(Node, ?MODULE, leave, [{reason, self()}]),
    Self = self(),
    receive
        {'EXIT', Linked, {reason, Self}} -> ok
    after ?WAIT_MS -> error(spawn_link)
    end,
    %% A link made later; and the signal goes the other way.
    There = spawn(Node, ?MODULE, wait, []),
    Here = spawn(fun() -> true = link(There), Self ! linked, wait() end),
    Monitors = [monitor(process, Pid) || Pid <- [Here, There]],
    receive linked -> ok end,
    exit(Here, ended_here),
    [receive
         {'DOWN', Monitor, process, _, ended_here} -> ok
     after ?WAIT_MS -> error({link, Monitor})
     end || Monitor <- Monitors],
    %% None after unlink.
    Other = spawn(Node, ?MODULE, wait, []),
    true = link(Other),
    true = unlink(Other),
    OtherMonitor = monitor(process, Other),
    exit(Other, kill),
    receive
        {'DOWN', OtherMonitor, process, Other, killed} -> ok
    after ?WAIT_MS -> error(unlink)
    end,
    receive {'EXIT', Other, _} -> error(unlinked) after 0 -> ok end;
kind(monitors, Node) ->
    ByName = monitor(process, {nobody_here, Node}),
    receive
        {'DOWN', ByName, process, {nobody_here, Node}, noproc} -> ok
    after ?WAIT_MS -> error(noproc)
    end,
    There = spawn(Node, ?MODULE, wait, []),
    Self = self(),
    %% Both ways: the process there watches this one's child.
    {Here, Local} = spawn_monitor(fun wait/0),
    _ = spawn(Node, fun() ->
                            Watch = monitor(process, Here),
                            Self ! watching,
                            receive
                                {'DOWN', Watch, process, Here, Reason} ->
                                    Self ! {seen_there, Reason}
                            end
                    end),
    receive watching -> ok after ?WAIT_MS -> error(watching) end,
    exit(Here, for_a_reason),
    receive {seen_there, for_a_reason} -> ok
    after ?WAIT_MS -> error(monitor_from_there)
    end,
    receive {'DOWN', Local, _, _, for_a_reason} -> ok end,
    Dropped = monitor(process, There),
    Kept = monitor(process, There),
    true = demonitor(Dropped),
    exit(There, {large, lists:seq(1, 10000)}),
    receive
        {'DOWN', Kept, process, There, {large, [1 | _]}} -> ok
    after ?WAIT_MS -> error(monitor)
    end,
    receive {'DOWN', Dropped, _, _, _} -> error(demonitor) after 0 -> ok end,
    Alias = monitor(process, {?MODULE, Node}, [{alias, reply_demonitor}]),
    ok = gen_server:cast({?MODULE, Node}, {Alias, {Alias, answer}}),
    receive {Alias, answer} -> ok after ?WAIT_MS -> error(alias) end;
kind(gen_server, Node) ->
    hello = gen_server:call({?MODULE, Node}, hello),
    Request = gen_server:send_request({?MODULE, Node}, late),
    {reply, late} = gen_server:wait_response(Request, ?WAIT_MS),
    {Replies, []} = gen_server:multi_call([node(), Node], ?MODULE, all),
    true = lists:sort(Replies) =:= lists:sort([{node(), all}, {Node, all}]),
    {'EXIT', {noproc, _}} = (catch gen_server:call({nobody_here, Node}, x)),
    ok;
kind(global, Node) ->
    %% Connected they are, but global may not have seen to that yet.
    ok = global:sync(),
    ok = erpc:call(Node, global, sync, [], ?WAIT_MS),
    Name = {?MODULE, node(), make_ref()},
    yes = global:register_name(Name, self()),
    true = self() =:= erpc:call(Node, global, whereis_name, [Name]),
    _ = erpc:call(Node, global, send, [Name, by_name]),
    receive by_name -> ok after ?WAIT_MS -> error(global_send) end,
    no = erpc:call(Node, global, register_name, [Name, self()]),
    _ = global:unregister_name(Name),
    undefined = erpc:call(Node, global, whereis_name, [Name]),
    %% The name of a process there, until it ends.
    There = spawn(Node, ?MODULE, wait, []),
    yes = erpc:call(Node, global, register_name, [Name, There]),
    There = global:whereis_name(Name),
    exit(There, kill),
    until(fun() -> global:whereis_name(Name) =:= undefined end),
    Nodes = [node(), Node],
    true = global:set_lock({Name, here}, Nodes),
    false = erpc:call(Node, global, set_lock, [{Name, there}, Nodes, 0]),
    true = global:del_lock({Name, here}, Nodes),
    true = erpc:call(Node, global, set_lock, [{Name, there}, Nodes, 0]),
    true = erpc:call(Node, global, del_lock, [{Name, there}, Nodes]),
    ok;
kind(pg, Node) ->
    Group = {?MODULE, make_ref()},
    Self = self(),
    There = spawn(Node, ?MODULE, wait, []),
    ok = pg:join(scope(), Group, Self),
    ok = erpc:call(Node, pg, join, [scope(), Group, There]),
    until(fun() -> member(Group, There) end),
    until(fun() -> erpc:call(Node, ?MODULE, member, [Group, Self]) end),
    exit(There, kill),
    until(fun() -> not member(Group, There) end),
    ok = pg:leave(scope(), Group, Self),
    until(fun() -> not erpc:call(Node, ?MODULE, member, [Group, Self]) end),
    ok.

%% The pg of OTP 25.2 ends when it hears of a scope of OTP 27, whose protocol
%% has a version: these go apart. (The name is one of a process, too.)
-spec scope() -> atom().
scope() ->
    case erlang:system_info(otp_release) of
        "25" -> eid_mixed_pg_25;
        _ -> eid_mixed_pg
    end.

-spec until(fun(() -> boolean())) -> ok.
until(Fun) ->
    until(Fun, erlang:monotonic_time(millisecond) + ?WAIT_MS).

-spec until(fun(() -> boolean()), integer()) -> ok.
until(Fun, End) ->
    case Fun() of
        true ->
            ok;
        false ->
            true = erlang:monotonic_time(millisecond) < End,
            receive after 10 -> ok end,
            until(Fun, End)
    end.

-spec whereis_there(node()) -> pid().
whereis_there(Node) ->
    Pid = erpc:call(Node, erlang, whereis, [?MODULE]),
    true = node(Pid) =:= Node,
    Pid.

%% Whether Node has been down more often than this.
-spec down_since(node(), non_neg_integer()) -> boolean().
down_since(Node, Before) ->
    gen_server:call(?MODULE, {downs, Node}) > Before.

-spec give_back(Term) -> Term.
give_back(Term) ->
    Term.

-spec leave(term()) -> no_return().
leave(Reason) ->
    exit(Reason).

-spec wait() -> no_return().
wait() ->
    receive never -> exit(never) end.

-spec member(term(), pid()) -> boolean().
member(Group, Pid) ->
    lists:member(Pid, pg:get_members(scope(), Group)).

%% ---------------------------------------------------------------------
%% The server: gives back, and counts nodedowns
%% ---------------------------------------------------------------------

-type state() :: #{node() => pos_integer()}.

-spec init([]) -> {ok, state()}.
init([]) ->
    ok = net_kernel:monitor_nodes(true),
    {ok, #{}}.

-spec handle_call(term(), gen_server:from(), state()) ->
          {reply, term(), state()}.
handle_call(start_pg, _From, State) ->
    %% Linked to this process, which stays.
    {reply, pg:start_link(scope()), State};
handle_call(downs, _From, State) ->
    {reply, State, State};
handle_call({downs, Node}, _From, State) ->
    {reply, maps:get(Node, State, 0), State};
handle_call(Term, _From, State) ->
    {reply, Term, State}.

-spec handle_cast({pid() | reference(), term()}, state()) ->
          {noreply, state()}.
handle_cast({To, What}, State) ->
    To ! What,
    {noreply, State}.

-spec handle_info(term(), state()) -> {noreply, state()}.
handle_info({nodedown, Node}, State) ->
    {noreply, State#{Node => maps:get(Node, State, 0) + 1}};
handle_info(_, State) ->
    {noreply, State}.
