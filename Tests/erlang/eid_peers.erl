%% SPDX-License-Identifier: Apache-2.0

%% The nodes of the suites: real VMs, each on a loopback address of its own,
%% steered over standard I/O so that the distribution is left to the test.
%%
%% A node ends with the process that started it, or with the whole run when it
%% was started with `keep'. What it logs goes to a file that the test reads.
-module(eid_peers).

-export([start_keeper/0, stop_kept/0, start/0, start/1, start_all/1,
         note/1, pair/0, pair/1, only/1,
         kill/1, stop/1, freeze/1, thaw/1, is_up/2, call/4, run/2, run/3,
         connect/2, disconnect/2, forget_pending/2, host/0, address/1,
         arguments/1, carrier/0,
         sanitized/0, port/0, temp/0, release/0, log/1, logged/2, await_log/2,
         kept/1, await_kept/2, memory/1, until/1, until/2]).

-export_type([peer/0, options/0, kept/0]).

-type peer() :: #{peer := pid(), node := node(), host := string(),
                  os_pid := string(), log := file:filename()}.

%% name: all before the @, or `none' for a VM that is not distributed.
%% flag: -name, or -sname.
%% host: all after it, by default an address nobody else has.
%% interface: what the node listens on, by default the host's address.
%% carrier: eid_tcp, or as the run says. epmd: the epmd module, by default
%%   eid_epmd, whatever the carrier. erl: another one than the run's.
%% kernel: kernel environment, over the defaults. args: arguments for erl.
%% descriptors: how many files it may have open.
%% keep: whether it lives until stop_kept/0.
-type options() :: #{name => string() | none,
                     flag => string(),
                     host => string(),
                     interface => inet:ip_address() | any,
                     carrier => string(),
                     epmd => string(),
                     erl => string(),
                     kernel => [{atom(), term()}],
                     args => [string()],
                     env => [{string(), string()}],
                     cookie => string(),
                     descriptors => pos_integer(),
                     keep => boolean()}.

%% What a node has: counts, and bytes (as a bound, or `infinity').
-type kept() :: #{ports := non_neg_integer(),
                  processes := non_neg_integer(),
                  descriptors := non_neg_integer(),
                  memory := non_neg_integer() | infinity}.

-define(WAIT_MS, 15000).

%% ---------------------------------------------------------------------
%% Their lives
%% ---------------------------------------------------------------------

%% Starts the process that ends the nodes.
-spec start_keeper() -> ok.
start_keeper() ->
    persistent_term:put({?MODULE, hosts}, atomics:new(1, [])),
    Ready = make_ref(),
    Caller = self(),
    _ = spawn(fun() ->
                      true = register(?MODULE, self()),
                      Caller ! Ready,
                      keep(#{}, [])
              end),
    receive Ready -> ok end.

-spec keep(#{reference() => [string()]}, [string()]) -> no_return().
keep(Owned, Kept) ->
    receive
        {owned, Owner, OsPid} ->
            keep(Owned#{monitor(process, Owner) => OsPid}, Kept);
        {kept, OsPid} ->
            keep(Owned, [OsPid | Kept]);
        {'DOWN', Monitor, process, _, _} ->
            {OsPid, Others} = maps:take(Monitor, Owned),
            signal("KILL", OsPid),
            keep(Others, Kept);
        {stop_kept, From} ->
            lists:foreach(fun(OsPid) -> signal("KILL", OsPid) end, Kept),
            From ! {?MODULE, stopped},
            keep(Owned, [])
    end.

-spec stop_kept() -> ok.
stop_kept() ->
    ?MODULE ! {stop_kept, self()},
    receive {?MODULE, stopped} -> ok end.

-spec start() -> peer().
start() ->
    start(#{}).

-spec start(options()) -> peer().
start(Options) ->
    [Peer] = start_all([Options]),
    Peer.

%% Starts several at once: most of the time of a test is the nodes' boot.
-spec start_all([options()]) -> [peer()].
start_all(All) ->
    Workers = [spawn_monitor(fun() -> exit({booted, boot(Options)}) end)
               || Options <- All],
    Ends = [receive {'DOWN', Monitor, _, _, End} -> End end
            || {_, Monitor} <- Workers],
    Peers = [own(Options, Peer)
             || {Options, {booted, Peer}} <- lists:zip(All, Ends)],
    case [End || End <- Ends, element(1, End) =/= booted] of
        [] -> Peers;
        [End | _] -> error(End)
    end.

-spec own(options(), peer()) -> peer().
own(Options, #{os_pid := OsPid} = Peer) ->
    ?MODULE ! case Options of
                  #{keep := true} -> {kept, OsPid};
                  #{} -> {owned, self(), OsPid}
              end,
    Peer.

-spec boot(options()) -> peer().
boot(Options0) ->
    Options = Options0#{host => maps:get(host, Options0, host())},
    Host = maps:get(host, Options),
    Log = filename:join(filename:join(temp(), "nodes"),
                        lists:concat([name(Options), "@", Host, ".",
                                      erlang:unique_integer([positive]),
                                      ".log"])),
    ok = file:write_file(Log, []),
    {ok, Peer, Node} =
        peer:start(#{connection => standard_io, exec => exec(Options),
                     wait_boot => ?WAIT_MS,
                     env => maps:get(env, Options, []),
                     args => arguments(Options) ++ log_arguments(Log)}),
    OsPid = peer:call(Peer, os, getpid, []),
    ok = note(OsPid),
    #{peer => Peer, node => Node, host => Host, os_pid => OsPid,
      log => Log}.

%% Has the run end this process, should it outlive the VM.
-spec note(string()) -> ok.
note(OsPid) ->
    {ok, Stat} = file:read_file("/proc/" ++ OsPid ++ "/stat"),
    %% The time of its start tells it from a later process with this number.
    [_, Rest] = string:split(Stat, ")", trailing),
    Started = lists:nth(20, string:lexemes(Rest, " ")),
    ok = file:write_file(filename:join(temp(), "pids"),
                         [OsPid, " ", Started, "\n"], [append]).

%% Two nodes that are connected.
-spec pair() -> {peer(), peer()}.
pair() ->
    pair(#{}).

-spec pair(options()) -> {peer(), peer()}.
pair(Options) ->
    [A, B] = start_all([Options#{name => "a"}, Options#{name => "b"}]),
    ok = connect(A, B),
    {A, B}.

%% Skips the test case, or the whole suite, unless the run is about this
%% carrier.
-spec only(string()) -> ok.
only(Carrier) ->
    carrier() =:= Carrier
        orelse throw({skip, "this is about " ++ Carrier}),
    ok.

%% Both sides see the other.
-spec connect(peer(), peer()) -> ok.
connect(A, B) ->
    true = call(A, net_kernel, connect_node, [maps:get(node, B)]),
    until(fun() -> is_up(B, A) end).

%% Until neither sees the other. Again where global, which asks the others what
%% it missed, has connected them once more (with inet_tcp as well).
-spec disconnect(peer(), peer()) -> ok.
disconnect(A, B) ->
    true = call(A, erlang, disconnect_node, [maps:get(node, B)]),
    until(fun() ->
                  case is_up(A, B) orelse is_up(B, A) of
                      true ->
                          call(A, erlang, disconnect_node,
                               [maps:get(node, B)]),
                          false;
                      false ->
                          true
                  end
          end).

%% Takes what a handshake with Node would complete from the VM of Peer: then it
%% ends as one does whose connection has ended just before.
-spec forget_pending(peer(), node()) -> ok.
forget_pending(Peer, Node) ->
    run(Peer, fun() ->
                      ConnId = ets:lookup_element(sys_dist, Node, 3),
                      true = erts_internal:abort_pending_connection(Node,
                                                                    ConnId),
                      ok
              end).

-spec is_up(peer(), peer()) -> boolean().
is_up(A, #{node := Node}) ->
    lists:member(Node, call(A, erlang, nodes, [connected])).

%% As a power cut would.
-spec kill(peer()) -> ok.
kill(#{os_pid := OsPid}) ->
    signal("KILL", OsPid).

%% Ends the node as halt/0 does.
-spec stop(peer()) -> ok.
stop(#{peer := Peer, os_pid := OsPid}) ->
    peer:cast(Peer, erlang, halt, []),
    until(fun() -> not filelib:is_dir("/proc/" ++ OsPid) end).

-spec freeze(peer()) -> ok.
freeze(#{os_pid := OsPid}) ->
    signal("STOP", OsPid).

-spec thaw(peer()) -> ok.
thaw(#{os_pid := OsPid}) ->
    signal("CONT", OsPid).

-spec signal(string(), string()) -> ok.
signal(Signal, OsPid) ->
    _ = os:cmd("kill -" ++ Signal ++ " " ++ OsPid),
    ok.

%% ---------------------------------------------------------------------
%% What they do
%% ---------------------------------------------------------------------

-spec call(peer(), module(), atom(), [term()]) -> term().
call(#{peer := Peer}, Module, Function, Arguments) ->
    peer:call(Peer, Module, Function, Arguments, 2 * ?WAIT_MS).

%% Has the node call Fun.
-spec run(peer(), fun(() -> Result)) -> Result.
run(Peer, Fun) ->
    call(Peer, erlang, apply, [Fun, []]).

-spec run(peer(), fun(() -> Result), timeout()) -> Result.
run(#{peer := Peer}, Fun, Milliseconds) ->
    peer:call(Peer, erlang, apply, [Fun, []], Milliseconds).

%% Waits until Fun answers neither false nor undefined, and gives its answer.
%% The answer true is given as ok.
-spec until(fun(() -> Answer)) -> ok | Answer.
until(Fun) ->
    until(Fun, ?WAIT_MS).

-spec until(fun(() -> Answer), non_neg_integer()) -> ok | Answer.
until(Fun, Milliseconds) ->
    until_time(Fun, erlang:monotonic_time(millisecond) + Milliseconds).

-spec until_time(fun(() -> Answer), integer()) -> ok | Answer.
until_time(Fun, End) ->
    case Fun() of
        Not when Not =:= false; Not =:= undefined ->
            case erlang:monotonic_time(millisecond) < End of
                true ->
                    receive after 10 -> ok end,
                    until_time(Fun, End);
                false ->
                    error({deadline, erlang:fun_info(Fun, name)})
            end;
        true ->
            ok;
        Answer ->
            Answer
    end.

%% All that the node has logged, a line for each event.
-spec log(peer()) -> binary().
log(#{log := Log}) ->
    {ok, Text} = file:read_file(Log),
    Text.

%% The lines of the log that match the regular expression.
-spec logged(peer(), iodata()) -> [binary()].
logged(Peer, Pattern) ->
    [Line || Line <- binary:split(log(Peer), <<"\n">>, [global, trim]),
             re:run(Line, Pattern) =/= nomatch].

-spec await_log(peer(), iodata()) -> [binary()].
await_log(Peer, Pattern) ->
    try
        until(fun() ->
                      case logged(Peer, Pattern) of
                          [] -> false;
                          Lines -> Lines
                      end
              end)
    catch
        error:{deadline, _} ->
            error({not_logged, Pattern, log(Peer)})
    end.

%% What the node has, garbage apart.
-spec kept(peer()) -> kept().
kept(#{os_pid := OsPid} = Peer) ->
    Kept = run(Peer,
               fun() ->
                       _ = [garbage_collect(Pid) || Pid <- processes()],
                       #{ports => length(erlang:ports()),
                         processes => length(processes()),
                         memory => memory(total)}
               end),
    Kept#{descriptors => eid_proc:descriptors(OsPid)}.

%% What the VM that this runs in says of its memory; nothing where it has handed
%% that to malloc (Tests/erlang/run --sanitizer), and does not know.
-spec memory(total | binary) -> non_neg_integer().
memory(Type) ->
    try erlang:memory(Type)
    catch error:notsup -> 0
    end.

%% Waits until the node has these again, and less memory than that.
-spec await_kept(peer(), kept()) -> ok.
await_kept(Peer, #{memory := Bound} = Wanted) ->
    Counts = maps:remove(memory, Wanted),
    try
        until(fun() ->
                      #{memory := Memory} = Now = kept(Peer),
                      maps:remove(memory, Now) =:= Counts
                          andalso Memory < Bound
              end)
    catch
        error:{deadline, _} -> error({kept, kept(Peer), Wanted})
    end.

%% ---------------------------------------------------------------------
%% How they are started
%% ---------------------------------------------------------------------

%% A loopback address that nothing else in this run has, as text.
-spec host() -> string().
host() ->
    %% Several ask at once.
    Number = atomics:add_get(persistent_term:get({?MODULE, hosts}), 1, 1),
    true = Number < 32 * 250,
    [A, B] = string:lexemes(os:getenv("EID_TEST_NET"), "."),
    lists:concat([A, ".", B, ".", Number div 250, ".", 1 + Number rem 250]).

-spec address(peer() | string()) -> inet:ip_address().
address(#{host := Host}) ->
    address(Host);
address(Host) ->
    {ok, Ip} = inet:parse_address(Host),
    Ip.

%% The port on which all nodes of the run listen.
-spec port() -> inet:port_number().
port() ->
    list_to_integer(os:getenv("EID_TEST_PORT")).

%% Whether the nodes run with the address sanitizer: then they are slow.
-spec sanitized() -> boolean().
sanitized() ->
    os:getenv("EID_TEST_SANITIZER") =/= "".

-spec carrier() -> string().
carrier() ->
    os:getenv("EID_TEST_CARRIER").

%% The directory in which everything is written.
-spec temp() -> file:filename().
temp() ->
    os:getenv("EID_TEST_TEMP").

-spec erl() -> string().
erl() ->
    os:getenv("EID_TEST_ERL").

-spec exec(options()) -> string() | {string(), [string()]}.
exec(#{descriptors := Count}) ->
    {"/bin/sh", ["-c", lists:concat(["ulimit -n ", Count, "; exec \"$@\""]),
                 "sh", erl()]};
exec(Options) ->
    maps:get(erl, Options, erl()).

%% The OTP release of the nodes.
-spec release() -> pos_integer().
release() ->
    list_to_integer(os:getenv("EID_TEST_RELEASE")).

-spec name(options()) -> string() | atom().
name(Options) ->
    maps:get(name, Options, "x").

%% The arguments of erl for a node with these options.
-spec arguments(options()) -> [string()].
arguments(Options) ->
    Host = maps:get(host, Options),
    Carrier = maps:get(carrier, Options, carrier()),
    Names = case name(Options) of
                none -> [];
                Name -> [maps:get(flag, Options, "-name"), Name ++ "@" ++ Host]
            end,
    Epmd = case {Carrier, Options} of
               {_, #{epmd := Module}} -> ["-epmd_module", Module];
               {"eid_tcp", _} -> [];
               _ -> ["-epmd_module", "eid_epmd"]
           end,
    Interface =
        case maps:find(interface, Options) of
            {ok, any} ->
                [];
            {ok, Ip} ->
                [{inet_dist_use_interface, Ip}];
            error ->
                [{inet_dist_use_interface, Ip}
                 || {ok, Ip} <- [inet:parse_address(Host)]]
        end,
    Kernel = [{eid_lookup, direct}, {erlang_port, port()} | Interface],
    Given = maps:get(kernel, Options, []),
    Names
        ++ ["-boot", "no_dot_erlang", "-start_epmd", "false",
            "-proto_dist", Carrier,
            "-setcookie", maps:get(cookie, Options, "eid_test"),
            "-pa", filename:dirname(code:which(?MODULE))]
        ++ Epmd
        ++ lists:append(
             [["-kernel", atom_to_list(Key),
               lists:flatten(io_lib:format("~w", [Value]))]
              || {Key, Value} <- [Default || {Key, _} = Default <- Kernel,
                                             not lists:keymember(Key, 1,
                                                                 Given)]
                     ++ Given])
        ++ maps:get(args, Options, []).

-spec log_arguments(file:filename()) -> [string()].
log_arguments(Log) ->
    ["-kernel", "logger",
     lists:flatten(
       io_lib:format("[{handler,default,eid_log_file,#{config=>~p}}]",
                     [Log]))].
