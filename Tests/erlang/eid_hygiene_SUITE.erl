%% SPDX-License-Identifier: Apache-2.0

%% What a node with this carrier has and leaves behind: its own port, and
%% nothing else.
-module(eid_hygiene_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).

-export([nothing_else_listens/1, no_epmd_is_asked_or_started/1,
         no_other_process_runs/1, no_threads_and_no_signal_handlers/1,
         sockets_are_not_inherited/1, opcodes_agree/1,
         connections_leave_nothing/1, failed_connects_leave_nothing/1]).

-define(MB, (1024 * 1024)).
-define(O_NONBLOCK, 8#4000).
-define(O_CLOEXEC, 8#2000000).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [nothing_else_listens, no_epmd_is_asked_or_started,
     no_other_process_runs, no_threads_and_no_signal_handlers,
     sockets_are_not_inherited, opcodes_agree, connections_leave_nothing,
     failed_connects_leave_nothing].

init_per_suite(Config) ->
    ok = eid_peers:only("eid_tcp"),
    Config.

end_per_suite(_Config) ->
    ok.

%% ---------------------------------------------------------------------
%% What is there
%% ---------------------------------------------------------------------

nothing_else_listens(_Config) ->
    {#{os_pid := OsPid} = A, _} = eid_peers:pair(),
    Port = eid_peers:port(),
    [{_, Port}] = eid_proc:listening(OsPid),
    [] = udp_sockets(OsPid),
    {error, _} = look_up(A),
    {ok, [eid]} = eid_peers:call(A, application, ensure_all_started, [eid]),
    [{_, Port}] = eid_proc:listening(OsPid),
    [] = udp_sockets(OsPid),
    ok.

%% To an epmd of ours, where the nodes would look for one, nobody connects.
no_epmd_is_asked_or_started(_Config) ->
    [HostA, HostB] = [eid_peers:host(), eid_peers:host()],
    EpmdPort = eid_peers:port() + 2,
    Epmds = [begin
                 {ok, Listener} = gen_tcp:listen(EpmdPort,
                                                 [{ip, Ip},
                                                  {reuseaddr, true}]),
                 Listener
             end || Ip <- [{127, 0, 0, 1}, eid_peers:address(HostA),
                           eid_peers:address(HostB)]],
    Env = [{"ERL_EPMD_PORT", integer_to_list(EpmdPort)}],
    [A, B] = eid_peers:start_all(
               [#{name => "a", host => HostA, env => Env,
                  args => ["-epmd_module", "eid_epmd"]},
                #{name => "b", host => HostB, env => Env}]),
    ok = eid_peers:connect(A, B),
    false = eid_peers:call(A, net_kernel, connect_node,
                           [list_to_atom("nobody@" ++ eid_peers:host())]),
    %% With the flag net_adm knows of eid_epmd as well; without, it does ask.
    {error, address} = eid_peers:call(A, net_adm, names, [HostB]),
    ok = eid_peers:stop(A),
    [{error, timeout} = gen_tcp:accept(Listener, 0) || Listener <- Epmds],
    %% It would have been seen.
    _ = spawn(fun() -> eid_peers:call(B, net_adm, names, [HostA]) end),
    {ok, _} = gen_tcp:accept(lists:nth(2, Epmds), 15000),
    [ok = gen_tcp:close(Listener) || Listener <- Epmds],
    ok.

%% Not even the VM's own resolver, which it would start for names.
no_other_process_runs(_Config) ->
    {#{os_pid := OsPid} = A, _} = eid_peers:pair(),
    {error, _} = look_up(A),
    ["erl_child_setup"] = eid_proc:descendants(OsPid),
    ok.

no_threads_and_no_signal_handlers(_Config) ->
    [#{os_pid := OsPid} = A, #{node := NodeB}] =
        eid_peers:start_all([#{name => none}, #{name => "b"}]),
    Threads = threads(OsPid),
    Caught = caught_signals(OsPid),
    ok = eid_peers:call(A, eid_socket, load, []),
    Caught = caught_signals(OsPid),
    {error, _} = look_up(A),
    {ok, _} = eid_peers:call(A, net_kernel, start,
                             [[list_to_atom("a@" ++ maps:get(host, A)),
                               longnames]]),
    true = eid_peers:call(A, net_kernel, connect_node, [NodeB]),
    pong = eid_peers:call(A, net_adm, ping, [NodeB]),
    Threads = threads(OsPid),
    Caught = caught_signals(OsPid),
    ok.

%% From birth: a program that the VM starts at any time gets none of them, and
%% nothing waits in the kernel for them.
sockets_are_not_inherited(_Config) ->
    {A, B} = eid_peers:pair(),
    Host = eid_peers:host(),
    Container = eid_daemon:container(),
    Daemon = eid_daemon:start(Host),
    ok = eid_daemon:set(Daemon, Container,
                        fun(Socket) -> {error, closed} =
                                           gen_tcp:recv(Socket, 0)
                        end),
    %% A: a listener, a connection, and a lookup; B: what was accepted.
    _ = eid_peers:run(A, fun() ->
                                 spawn(fun() ->
                                               look_up(Host, Container, 5000)
                                       end)
                         end),
    eid_peers:until(fun() -> eid_daemon:requests(Daemon) =/= [] end),
    [begin
         Flags = socket_flags(OsPid),
         AtLeast = length(Flags),
         [true = Flag band Wanted =:= Wanted
          || Flag <- Flags, Wanted <- [?O_NONBLOCK bor ?O_CLOEXEC]]
     end || {#{os_pid := OsPid}, AtLeast} <- [{A, 3}, {B, 2}]],
    ok.

opcodes_agree(_Config) ->
    A = eid_peers:start(#{name => none}),
    Opcodes = eid_peers:call(A, eid_socket, opcodes, []),
    Driver = eid_peers:call(A, eid_socket, driver_opcodes, []),
    [] = Opcodes -- Driver,
    [] = Driver -- Opcodes,
    {Names, Numbers} = lists:unzip(Opcodes),
    Names = lists:uniq(Names),
    Numbers = lists:uniq(Numbers),
    ok.

%% ---------------------------------------------------------------------
%% What is left behind
%% ---------------------------------------------------------------------

connections_leave_nothing(_Config) ->
    {#{node := NodeA} = A, #{node := NodeB} = B} = eid_peers:pair(),
    Data = rand:bytes(100000),
    Cycle = fun(From, To, Node) ->
                    true = eid_peers:call(From, net_kernel, connect_node,
                                          [Node]),
                    100000 = eid_peers:call(From, erpc, call,
                                            [Node, erlang, byte_size,
                                             [Data]]),
                    ok = eid_peers:disconnect(From, To)
            end,
    Both = fun() ->
                   Cycle(A, B, NodeB),
                   Cycle(B, A, NodeA)
           end,
    leaves_nothing([A, B], 100, Both).

%% Refused by nobody there, by a node with another cookie, by what is no node,
%% and lookups that fail.
failed_connects_leave_nothing(_Config) ->
    [#{host := Host} = A, #{node := NodeB} = B] =
        eid_peers:start_all([#{name => "a"},
                             #{name => "b", cookie => "another"}]),
    Daemon = eid_daemon:start(Host),
    ok = eid_daemon:set(Daemon, "web", "HTTP/1.1 200 OK\r\n\r\n[[[[["),
    Nobody = list_to_atom("nobody@" ++ eid_peers:host()),
    Ip = eid_peers:address(B),
    leaves_nothing(
      [A, B], 50,
      fun() ->
              [false = eid_peers:call(A, net_kernel, connect_node, [Node])
               || Node <- [NodeB, Nobody]],
              {error, _} = eid_peers:run(A, fun() ->
                                                    look_up(Host, "web", 5000)
                                            end),
              {ok, Socket} = gen_tcp:connect(Ip, eid_peers:port(),
                                             [{active, false}]),
              ok = gen_tcp:send(Socket, "GET / HTTP/1.1\r\n\r\n"),
              {error, _} = gen_tcp:recv(Socket, 0),
              ok = gen_tcp:close(Socket)
      end).

%% Does Fun so often, after a few times, and compares the nodes.
leaves_nothing(Peers, Times, Fun) ->
    repeat(10, Fun),
    Before = [settled(Peer) || Peer <- Peers],
    repeat(Times, Fun),
    lists:foreach(
      fun({Peer, {Counts, Bytes}}) ->
              eid_peers:until(fun() ->
                                      no_more(element(1, settled(Peer)),
                                              Counts)
                              end),
              {_, Now} = settled(Peer),
              [] = [{What, After - Then, more_than, Allowed}
                    || {{What, Allowed}, {After, Then}} <-
                           lists:zip([{binaries, ?MB div 4}, {memory, 2 * ?MB},
                                      {resident, resident_bound()}],
                                     lists:zip(Now, Bytes)),
                       After - Then >= Allowed]
      end, lists:zip(Peers, Before)).

%% On a busy machine something of the first times may still be on its way out
%% when it is counted; what is left behind each time is more than that.
no_more({Ports, Processes, Descriptors}, {Ports0, Processes0, Descriptors0}) ->
    Ports =< Ports0 andalso Processes =< Processes0
        andalso Descriptors =< Descriptors0.

%% The address sanitizer keeps what was freed in a quarantine, of 16 MB
%% (Tests/erlang/run), and that fills up as it goes.
resident_bound() ->
    case eid_peers:sanitized() of
        true -> 32 * ?MB;
        false -> 8 * ?MB
    end.

repeat(Times, Fun) ->
    [Fun() || _ <- lists:seq(1, Times)],
    ok.

%% How many ports, processes and descriptors a node has; and its bytes in
%% binaries, in all that the VM knows of, and in memory.
settled(#{os_pid := OsPid} = Peer) ->
    {Ports, Processes, Binary, Total} =
        eid_peers:run(Peer, fun() ->
                                    [garbage_collect(Pid)
                                     || Pid <- processes()],
                                    {length(erlang:ports()),
                                     length(processes()),
                                     eid_peers:memory(binary),
                                     eid_peers:memory(total)}
                            end),
    {{Ports, Processes, eid_proc:descriptors(OsPid)},
     [Binary, Total, eid_proc:resident_bytes(OsPid)]}.

%% ---------------------------------------------------------------------
%% Helpers
%% ---------------------------------------------------------------------

%% A lookup that nobody answers.
look_up(#{host := Host} = Peer) ->
    eid_peers:run(Peer, fun() -> look_up(Host, "web", 5000) end).

look_up(Host, Container, Milliseconds) ->
    Ip = eid_peers:address(Host),
    eid_socket:lookup({Ip, eid_daemon:port()}, Ip, Milliseconds,
                      eid_peers:port(), Container).

udp_sockets(OsPid) ->
    Own = eid_proc:sockets(OsPid),
    [Inode || Table <- ["udp", "udp6", "raw", "raw6"],
              {ok, Text} <- [file:read_file(filename:join(["/proc", OsPid,
                                                           "net", Table]))],
              Line <- tl(string:lexemes(binary_to_list(Text), "\n")),
              Inode <- [lists:nth(10, string:lexemes(Line, " "))],
              lists:member(Inode, Own)].

threads(OsPid) ->
    {ok, Threads} = file:list_dir("/proc/" ++ OsPid ++ "/task"),
    length(Threads).

caught_signals(OsPid) ->
    {ok, Status} = file:read_file("/proc/" ++ OsPid ++ "/status"),
    {match, [Caught]} = re:run(Status, "\nSigCgt:\t([0-9a-f]+)\n",
                               [{capture, all_but_first, binary}]),
    Caught.

%% The flags of the TCP sockets of a process.
socket_flags(OsPid) ->
    Dir = "/proc/" ++ OsPid,
    {ok, Names} = file:list_dir(Dir ++ "/fd"),
    [begin
         {ok, Info} = file:read_file(Dir ++ "/fdinfo/" ++ Name),
         {match, [Flags]} = re:run(Info, "flags:\t([0-7]+)",
                                   [{capture, all_but_first, list}]),
         list_to_integer(Flags, 8)
     end || Name <- Names,
            {ok, "socket:[" ++ Inode} <- [file:read_link(Dir ++ "/fd/" ++
                                                             Name)],
            is_tcp(OsPid, string:trim(Inode, trailing, "]"))].

%% Others than TCP sockets are the VM's own.
is_tcp(OsPid, Inode) ->
    lists:any(
      fun(Table) ->
              case file:read_file(filename:join(["/proc", OsPid, "net",
                                                 Table])) of
                  {ok, Text} ->
                      binary:match(Text, iolist_to_binary(
                                           [" ", Inode, " "])) =/= nomatch;
                  {error, enoent} ->
                      false
              end
      end, ["tcp", "tcp6"]).
