%% SPDX-License-Identifier: Apache-2.0

%% The distribution module of eid: what net_kernel calls for
%% `-proto_dist eid_tcp'. See "How to Implement an Alternative Carrier for
%% the Erlang Distribution" in OTP's documentation.
%%
%% The handshake, the cookie and the ticks are dist_util's; where a node is
%% reached is the epmd module's, by default eid_epmd's; the bytes are the
%% driver's, behind eid_socket.
-module(eid_tcp_dist).

%% Called by net_kernel
-export([listen/1, listen/2, accept/1, accept_connection/5, setup/5,
         close/1, select/1, address/0, address/1, is_node_name/1,
         setopts/2, getopts/2]).

%% Called by dist_util, and spawned
-export([tick/1, getstat/1, do_accept/6, do_setup/6]).

%% Called by eid_handshake
-export([incoming_failed/4, outgoing_failed/4]).

-include_lib("kernel/include/net_address.hrl").
-include_lib("kernel/include/dist_util.hrl").

%% What net_kernel keeps a listener and its connections apart by.
-define(FAMILY, inet).
-define(PROTOCOL, eid).

%% A peer that closes with bytes of ours unread resets the connection; Docker's
%% proxy does the one or the other.
-define(IS_CLOSED(Reason),
        (Reason =:= closed orelse Reason =:= econnreset
         orelse Reason =:= epipe)).

%% Of dist_util:do_setnode/1: the handshake was done, and the connection ended
%% before its nodeup.
-define(NO_NODEUP, {badarg, [{erlang, setnode, _, _} | _]}).

%% ---------------------------------------------------------------------
%% Called by net_kernel, in its own process: nothing here may wait
%% ---------------------------------------------------------------------

%% Whether this carrier reaches Node. The host part is resolved by the setup
%% process, since net_kernel serves nobody else meanwhile.
-spec select(node()) -> boolean().
select(Node) ->
    is_node_name(Node).

-spec is_node_name(term()) -> boolean().
is_node_name(Node) when is_atom(Node) ->
    case string:split(atom_to_list(Node), "@", all) of
        [[_ | _], [_ | _]] -> true;
        _ -> false
    end;
is_node_name(_Node) ->
    false.

-spec address() -> #net_address{}.
address() ->
    {ok, Host} = inet:gethostname(),
    address(Host).

-spec address(inet:hostname()) -> #net_address{}.
address(Host) ->
    #net_address{host = Host, protocol = ?PROTOCOL, family = ?FAMILY}.

-spec listen(atom()) -> {ok, {eid_socket:socket(), #net_address{},
                              integer()}} | {error, term()}.
listen(Name) ->
    {ok, Host} = inet:gethostname(),
    listen(Name, Host).

-spec listen(atom(), inet:hostname()) ->
          {ok, {eid_socket:socket(), #net_address{}, integer()}}
              | {error, term()}.
listen(Name, Host) ->
    case eid_settings:check() of
        ok ->
            load_all(),
            try
                listen(Name, Host, epmd_module())
            catch
                error:{driver_not_loaded, Sentence} ->
                    start_failed(driver_not_loaded, Sentence)
            end;
        {error, Sentence} ->
            start_failed(bad_setting, Sentence)
    end.

-spec listen(atom(), inet:hostname(), module()) ->
          {ok, {eid_socket:socket(), #net_address{}, integer()}}
              | {error, term()}.
listen(Name, Host, Epmd) ->
    {First, Last} = listen_ports(Name, Host, Epmd),
    case listen_on(First, Last, listen_options()) of
        {ok, Listener} ->
            {ok, {_, Port} = Address} = eid_socket:sockname(Listener),
            case Epmd:register_node(Name, Port, epmd_driver()) of
                {ok, Creation} ->
                    NetAddress = address(Host),
                    {ok, {Listener, NetAddress#net_address{address = Address},
                          Creation}};
                Error ->
                    eid_socket:close(Listener),
                    Error
            end;
        {error, eaddrinuse} ->
            start_failed(
              eaddrinuse,
              io_lib:format("another program already listens on port ~w. "
                            "There is one node per container: start a "
                            "second one with -dist_listen false, or with "
                            "-kernel erlang_port 0", [Last]));
        {error, {Fault, Option}} ->
            start_failed(Fault, option_sentence(inet_dist_listen_options,
                                                Fault, Option));
        {error, Reason} ->
            start_failed(
              Reason,
              io_lib:format("cannot listen on port ~w: ~ts",
                            [First, inet:format_error(Reason)]))
    end.

%% What is loaded on demand cannot be loaded once no descriptor is left:
%% net_kernel would end for want of dist_util (and the distribution with it),
%% and logger remove its handler for want of what writes its first event.
-spec load_all() -> ok.
load_all() ->
    _ = code:ensure_modules_loaded([dist_util, erl_posix_msg, io,
                                    eid_acceptor, eid_allow,
                                    eid_docker_setting, eid_epmd,
                                    eid_failures, eid_handshake,
                                    eid_refusals, eid_report, eid_settings,
                                    eid_socket, eid_telemetry,
                                    eid_tls_lookup, gb_sets,
                                    logger_filters, uri_string]),
    eid_report:load_all().

-spec accept(eid_socket:socket()) -> pid().
accept(Listener) ->
    eid_acceptor:start(Listener, ?FAMILY, ?PROTOCOL).

-spec accept_connection(pid(), eid_socket:socket(), node(), [node()],
                        non_neg_integer()) -> pid().
accept_connection(Acceptor, Socket, MyNode, Allowed, SetupTime) ->
    spawn_opt(?MODULE, do_accept,
              [self(), Acceptor, Socket, MyNode, Allowed, SetupTime],
              dist_util:net_ticker_spawn_options()).

-spec setup(node(), normal | hidden, node(), longnames | shortnames,
            non_neg_integer()) -> pid().
setup(Node, Type, MyNode, LongOrShortNames, SetupTime) ->
    spawn_opt(?MODULE, do_setup,
              [self(), Node, Type, MyNode, LongOrShortNames, SetupTime],
              dist_util:net_ticker_spawn_options()).

-spec close(eid_socket:socket()) -> ok.
close(Socket) ->
    eid_socket:close(Socket).

%% ---------------------------------------------------------------------
%% Called by dist_util in a connection supervisor
%% ---------------------------------------------------------------------

-spec setopts(eid_socket:socket(), [term()]) -> ok | {error, term()}.
setopts(Socket, Options) ->
    case [Option || {Key, _} = Option <- Options,
                    lists:member(Key, [active, deliver, packet])] of
        [] -> eid_socket:setopts(Socket, Options);
        Bad -> {error, {badopts, Bad}}
    end.

-spec getopts(eid_socket:socket(), [term()]) ->
          {ok, [term()]} | {error, term()}.
getopts(Socket, Names) ->
    eid_socket:getopts(Socket, Names).

-spec tick(eid_socket:socket()) -> ok | {error, atom()}.
tick(Socket) ->
    case eid_socket:tick(Socket) of
        {error, closed} = Error ->
            self() ! {tcp_closed, Socket},
            Error;
        Result ->
            Result
    end.

-spec getstat(eid_socket:socket()) ->
          {ok, non_neg_integer(), non_neg_integer(), non_neg_integer()}
              | {error, atom()}.
getstat(Socket) ->
    eid_socket:getstat(Socket).

%% ---------------------------------------------------------------------
%% A connection from another node
%% ---------------------------------------------------------------------

-spec do_accept(pid(), pid(), eid_socket:socket(), node(), [node()],
                non_neg_integer()) -> no_return().
do_accept(Kernel, Acceptor, Socket, MyNode, Allowed, SetupTime) ->
    receive
        {Acceptor, controller} ->
            Timer = dist_util:start_timer(SetupTime),
            Peer = peer(Socket),
            case is_own_network(Peer) of
                true ->
                    HSData = (hs_data(Kernel, MyNode, Socket, Timer,
                                      SetupTime, fun listen_options/0))
                        #hs_data{allowed = Allowed,
                                 f_address = fun remote_address/2,
                                 f_handshake_complete =
                                     fun(_Socket, _Node, _DHandle) ->
                                             eid_acceptor:done(Acceptor)
                                     end},
                    incoming(Peer, HSData);
                false ->
                    eid_refusals:note(
                      Peer, disallowed,
                      "check_ip is set, and the address is not in a network "
                      "of this node"),
                    ?shutdown(no_node)
            end
    end.

%% Runs the handshake, and then the connection for as long as it lasts.
-spec incoming(unknown | eid_socket:endpoint(), #hs_data{}) -> no_return().
incoming(Peer, HSData) ->
    ok = eid_refusals:handshake_begins(Peer),
    eid_handshake:run(handshake_other_started, HSData, incoming_failed, Peer).

-spec incoming_failed(unknown | eid_socket:endpoint(), error | exit | throw,
                      term(), list()) -> no_return().
incoming_failed(Peer, Class, Reason, Stack) ->
    case get(?MODULE) of
        up -> erlang:raise(Class, Reason, Stack);
        Steps -> refused(Peer, Steps, Reason)
    end,
    failed_exit(Class, Reason).

-spec failed_exit(error | exit | throw, term()) -> no_return().
failed_exit(exit, Reason) -> exit(Reason);
failed_exit(_Class, _Reason) -> exit(shutdown).

%% Says why a connection from outside came to nothing, unless dist_util has
%% said it, or there is nothing to say.
-spec refused(unknown | eid_socket:endpoint(), term(), term()) -> ok.
refused(_Peer, {"nok", _, _}, _Reason) ->
    %% Both nodes connected at once, and the other connection is kept. The
    %% other node may know that already, and have closed before it is told.
    ok;
refused({{127, _, _, _}, _}, {["named:" | _], 1, {Closed, 1}}, _Reason)
  when ?IS_CLOSED(Closed) ->
    %% `eid health', in this container, which asks for a name, and leaves when
    %% it has been answered.
    ok;
refused(Peer, {_Sent, _Received, Error}, Reason) when Error =/= none ->
    refused(Peer, Error, Reason);
refused(_Peer, {_, _, none}, {is_allowed, _}) ->
    ok;
refused(_Peer, {_, _, none}, {check_dflags_failed, _}) ->
    ok;
refused(_Peer, {_, _, none}, {recv_challenge_reply_failed, bad_cookie}) ->
    ok;
refused(Peer, {_, Received, none}, ?NO_NODEUP = Reason) ->
    refused(Peer, {closed, Received}, Reason);
refused(_Peer, {Closed, 0}, _Reason) when ?IS_CLOSED(Closed) ->
    %% A port scan or a health check that only connects.
    ok;
refused(Peer, {Closed, _}, _Reason) when ?IS_CLOSED(Closed) ->
    eid_refusals:note(Peer, closed,
                       "it closed in the middle of the handshake; if it is "
                       "a node, its own log says why");
refused(Peer, {timeout, _}, _Reason) ->
    eid_refusals:note(Peer, timeout,
                       "it sent no complete handshake message in time "
                       "(net_setuptime)");
refused(Peer, {handshake_packet_too_long, _}, _Reason) ->
    eid_refusals:note(Peer, handshake_packet_too_long,
                       "its first bytes are not those of an Erlang node; "
                       "something else connects to this port");
refused(Peer, {{bad_setting, Sentence}, _}, _Reason) ->
    eid_refusals:note(Peer, bad_setting, Sentence);
refused(Peer, {Error, _}, _Reason) ->
    eid_refusals:note(Peer, Error, eid_report:reason(Error));
refused(Peer, {_, _, none}, Reason) ->
    eid_refusals:note(Peer, bad_handshake,
                       io_lib:format("what it sent is not the handshake of "
                                     "an Erlang node (~tP)", [Reason, 8])).

%% ---------------------------------------------------------------------
%% The setup of a connection to another node
%% ---------------------------------------------------------------------

-spec do_setup(pid(), node(), normal | hidden, node(),
               longnames | shortnames, non_neg_integer()) -> no_return().
do_setup(Kernel, Node, Type, MyNode, LongOrShortNames, SetupTime) ->
    Start = erlang:monotonic_time(),
    _ = put({?MODULE, start}, Start),
    {Name, Host} = split(Node, LongOrShortNames),
    Timer = dist_util:start_timer(SetupTime),
    {Ip, Port, Version} = find(Node, Name, Host,
                               now_ms() + time_below(SetupTime)),
    dist_util:reset_timer(Timer),
    %% Just below dist_util's own timer, so that the reason can be told.
    Options = connect_options(Node),
    case eid_socket:connect(Ip, Port, Options, time_below(SetupTime)) of
        {ok, Socket} ->
            HSData = (hs_data(Kernel, MyNode, Socket, Timer, SetupTime,
                              fun() -> Options end))
                #hs_data{other_node = Node,
                         other_version = Version,
                         request_type = Type,
                         f_handshake_complete =
                             fun(_, _, _) ->
                                     eid_telemetry:connect_ended(Node, Start,
                                                                 ok)
                             end,
                         f_address =
                             fun(_, _) ->
                                     (address(Host))
                                         #net_address{address = {Ip, Port}}
                             end},
            outgoing(Node, {Ip, Port}, HSData);
        {error, Reason} ->
            failed(Node, connect, Reason,
                   connect_sentence({Ip, Port}, Reason)),
            ?shutdown(Node)
    end.

-spec outgoing(node(), eid_socket:endpoint(), #hs_data{}) -> no_return().
outgoing(Node, Peer, HSData) ->
    eid_handshake:run(handshake_we_started, HSData, outgoing_failed,
                      {Node, Peer}).

-spec outgoing_failed({node(), eid_socket:endpoint()}, error | exit | throw,
                      term(), list()) -> no_return().
outgoing_failed({Node, Peer}, Class, Reason, Stack) ->
    case get(?MODULE) of
        up -> erlang:raise(Class, Reason, Stack);
        Steps -> rejected(Node, Peer, Steps, Reason)
    end,
    failed_exit(Class, Reason).

%% Says why the handshake with a node failed, unless dist_util has said it, or
%% there is nothing to say.
-spec rejected(node(), eid_socket:endpoint(), term(), term()) -> ok.
rejected(_Node, _Peer, _Steps, {recv_status_failed, _, "nok"}) ->
    %% Both nodes connected at once, and the other connection is kept.
    ok;
rejected(_Node, _Peer, _Steps, {check_dflags_failed, _}) ->
    ok;
rejected(_Node, _Peer, _Steps, {recv_challenge_ack_failed, bad_cookie}) ->
    ok;
rejected(Node, Peer, _Steps, {recv_status_failed, not_allowed}) ->
    failed(
      Node, handshake, not_allowed,
      ["the node at ", eid_socket:format(Peer), " does not allow this one "
       "(net_kernel:allow/1 there)"]);
rejected(Node, Peer, {_, Received, {Closed, _}}, _Reason)
  when ?IS_CLOSED(Closed) ->
    {Term, Sentence} =
        case Received of
            0 ->
                {closed, "closed at once. No node listens there "
                 "(Docker's proxy accepts for a container in which nothing "
                 "does), or it runs another version"};
            1 ->
                {closed, "closed after the first handshake message"};
            3 ->
                {closed, "closed as soon as the handshake was done"};
            _ ->
                {closed_at_cookie, "closed when it had our answer to its "
                 "challenge: the cookies differ, most likely"}
        end,
    failed(Node, handshake, Term,
           [eid_socket:format(Peer), " ", Sentence]);
rejected(Node, Peer, {_, Received, {timeout, _}}, _Reason) ->
    failed(
      Node, handshake, handshake_timeout,
      [eid_socket:format(Peer), " accepted the connection but did not ",
       case Received of
           0 -> "answer: what is there is no node, or it hangs";
           _ -> "finish the handshake in time (net_setuptime)"
       end]);
rejected(Node, _Peer, {_, _, {{bad_setting, Sentence}, _}}, _Reason) ->
    failed(Node, handshake, bad_setting, Sentence);
rejected(Node, Peer, {_, _, {Error, _}}, _Reason) ->
    failed(Node, handshake, Error, connect_sentence(Peer, Error));
rejected(Node, Peer, {_, _, none}, ?NO_NODEUP) ->
    failed(Node, handshake, closed,
           [eid_socket:format(Peer),
            " closed as soon as the handshake was done"]);
rejected(Node, Peer, {_, _, none}, Reason) ->
    failed(
      Node, handshake, bad_handshake,
      [eid_socket:format(Peer),
       io_lib:format(" did not answer as this node would (~tP); is it "
                     "another one?", [Reason, 8])]).

-spec connect_sentence(eid_socket:endpoint(), term()) -> iolist().
connect_sentence(Peer, econnrefused) ->
    ["connection refused by ", eid_socket:format(Peer),
     ": no node listens there (yet)"];
connect_sentence(Peer, timeout) ->
    [eid_socket:format(Peer), " does not answer: a firewall, or no route "
     "(waited for net_setuptime)"];
connect_sentence(_Peer, {Fault, Option}) ->
    option_sentence(inet_dist_connect_options, Fault, Option);
connect_sentence(Peer, handshake_packet_too_long) ->
    [eid_socket:format(Peer),
     " is not an Erlang node: what it sent is no handshake"];
connect_sentence(Peer, Reason) ->
    [eid_socket:format(Peer), ": ", eid_report:reason(Reason)].

-spec failed(node(), eid_failures:step(), term(), iodata()) -> ok.
failed(Node, Step, Reason, Sentence) ->
    eid_failures:note(Node, Step, Reason, Sentence),
    eid_telemetry:connect_ended(Node, get({?MODULE, start}),
                                {error, Step, Reason}).

%% Where Node is reached, by the epmd module, until the time Ends.
-spec find(node(), string(), string(), integer()) ->
          {inet:ip_address(), inet:port_number(), pos_integer()}
              | no_return().
find(Node, Name, Host, Ends) ->
    Epmd = epmd_module(),
    case find_address(Epmd, Name, Host, Ends) of
        {ok, Ip, Port, Version} ->
            {Ip, Port, Version};
        {ok, Ip} when Epmd =:= eid_epmd ->
            case eid_epmd:look_up(Name, Ip, Host, max(1, left(Ends))) of
                {port, Port, Version} ->
                    {Ip, Port, Version};
                {error, {Reason, Sentence}} ->
                    failed(Node, lookup, Reason, Sentence),
                    ?shutdown(Node)
            end;
        {ok, Ip} ->
            case Epmd:port_please(Name, Ip) of
                {port, Port, Version} ->
                    {Ip, Port, Version};
                Other ->
                    failed(
                      Node, lookup, no_port,
                      io_lib:format("~s has no port for it (~tp): the node "
                                    "is not up, or not registered there",
                                    [Epmd, Other])),
                    ?shutdown(Node)
            end;
        {error, Reason} ->
            failed(
              Node, resolve, Reason,
              io_lib:format("the host ~ts does not resolve (~ts)",
                            [Host, eid_report:reason(Reason)])),
            ?shutdown(Node)
    end.

%% A resolver may wait for longer than dist_util's timer, which would end this
%% process without a word.
-spec find_address(module(), string(), string(), integer()) ->
          {ok, inet:ip_address()}
              | {ok, inet:ip_address(), inet:port_number(), pos_integer()}
              | {error, term()}.
find_address(Epmd, Name, Host, Ends) ->
    eid_epmd:within(left(Ends), fun() ->
                                        address(Epmd, Name, Host, [inet, inet6])
                                end).

-spec address(module(), string(), string(), [inet | inet6]) ->
          {ok, inet:ip_address()}
              | {ok, inet:ip_address(), inet:port_number(), pos_integer()}
              | {error, term()}.
address(Epmd, Name, Host, [Family | Families]) ->
    Found = case exports(Epmd, address_please, 3) of
                true -> Epmd:address_please(Name, Host, Family);
                false -> erl_epmd:address_please(Name, Host, Family)
            end,
    case {Found, Families} of
        {{error, _} = Error, []} -> Error;
        {{error, _}, _} -> address(Epmd, Name, Host, Families);
        _ -> Found
    end.

%% Name and host part of Node, as far as long or short names allow them.
-spec split(node(), longnames | shortnames) ->
          {string(), string()} | no_return().
split(Node, LongOrShortNames) ->
    [Name, Host] = string:split(atom_to_list(Node), "@"),
    Dotted = lists:member($., Host),
    case LongOrShortNames of
        longnames when not Dotted ->
            case inet:parse_address(Host) of
                {ok, _} ->
                    {Name, Host};
                {error, _} ->
                    failed(
                      Node, name, bad_host,
                      ["this node has a long name (-name), so the host ",
                       Host, " must be an address or a name with a domain"]),
                    ?shutdown(Node)
            end;
        shortnames when Dotted ->
            failed(
              Node, name, bad_host,
              ["this node has a short name (-sname), so the host ", Host,
               " must have no dot; start this node with -name"]),
            ?shutdown(Node);
        _ ->
            {Name, Host}
    end.

%% ---------------------------------------------------------------------
%% The handshake's data, for both sides
%% ---------------------------------------------------------------------

%% dist_util drops the reason of a failed handshake, so what happened is kept
%% in the process dictionary: {last status sent, packets received, error}.
-spec hs_data(pid(), node(), eid_socket:socket(), pid(),
              non_neg_integer(), fun(() -> [term()])) -> #hs_data{}.
hs_data(Kernel, MyNode, Socket, Timer, SetupTime, Options) ->
    put(?MODULE, {none, 0, none}),
    #hs_data{kernel_pid = Kernel,
             this_node = MyNode,
             socket = Socket,
             timer = Timer,
             this_flags = 0,
             f_send = fun send/2,
             f_recv =
                 fun(S, _Length, _Timeout) ->
                         recv(S, time_below(SetupTime))
                 end,
             f_setopts_pre_nodeup =
                 fun(S) -> enter_data_mode(S, Options) end,
             f_setopts_post_nodeup =
                 fun(S) ->
                         put(?MODULE, up),
                         ok = eid_refusals:handshake_ended(),
                         eid_socket:start_delivery(S)
                 end,
             f_getll = fun(S) -> {ok, S} end,
             mf_tick = fun ?MODULE:tick/1,
             mf_getstat = fun ?MODULE:getstat/1,
             mf_setopts = fun ?MODULE:setopts/2,
             mf_getopts = fun ?MODULE:getopts/2}.

-spec enter_data_mode(eid_socket:socket(), fun(() -> [term()])) ->
          ok | {error, term()}.
enter_data_mode(Socket, Options) ->
    case set_sizes(Socket, Options) of
        ok ->
            eid_socket:enter_data_mode(Socket);
        {error, Reason} = Failed ->
            {Sent, Received, _} = get(?MODULE),
            put(?MODULE, {Sent, Received, {Reason, Received}}),
            Failed
    end.

-spec set_sizes(eid_socket:socket(), fun(() -> [term()])) ->
          ok | {error, term()}.
set_sizes(Socket, Options) ->
    try tuning(Options()) of
        [] -> ok;
        Sizes -> eid_socket:setopts(Socket, Sizes)
    catch
        error:{bad_setting, _} = Reason -> {error, Reason}
    end.

%% The sizes of a connection: eid's settings, and over them those that OTP's
%% settings name.
-spec tuning([term()]) -> [{atom(), non_neg_integer()}].
tuning(Options) ->
    eid_settings:tuning()
        ++ [Option || {Key, _} = Option <- Options,
                      Key =:= high_watermark orelse Key =:= low_watermark]
        ++ [{near_receive_buffer, 0} || {recbuf, _} <- Options].

-spec send(eid_socket:socket(), iodata()) -> ok | {error, atom()}.
send(Socket, Packet) ->
    {Sent, Received, Error} = get(?MODULE),
    Status = case Packet of
                 [$s | Text] -> Text;
                 _ -> Sent
             end,
    case eid_socket:send(Socket, Packet) of
        ok ->
            put(?MODULE, {Status, Received, Error}),
            ok;
        {error, Reason} = Failed ->
            put(?MODULE, {Status, Received, {Reason, Received}}),
            Failed
    end.

-spec recv(eid_socket:socket(), timeout()) ->
          {ok, [byte()]} | {error, atom()}.
recv(Socket, Timeout) ->
    {Sent, Received, _} = get(?MODULE),
    case eid_socket:recv(Socket, Timeout) of
        {ok, Packet} ->
            put(?MODULE, {Sent, Received + 1, none}),
            {ok, binary_to_list(Packet)};
        {error, Reason} ->
            put(?MODULE, {Sent, Received, {Reason, Received}}),
            {error, Reason}
    end.

%% Just below dist_util's timer, which ends the process without a word.
-spec time_below(non_neg_integer()) -> non_neg_integer().
time_below(SetupTime) ->
    SetupTime - min(200, SetupTime div 10).

%% In milliseconds, of the clock that nobody sets.
-spec now_ms() -> integer().
now_ms() ->
    erlang:monotonic_time(millisecond).

-spec left(integer()) -> non_neg_integer().
left(Ends) ->
    max(0, Ends - now_ms()).

-spec remote_address(eid_socket:socket(), node()) -> #net_address{}.
remote_address(Socket, Node) ->
    case {eid_socket:peername(Socket),
          string:split(atom_to_list(Node), "@", all)} of
        {{ok, Address}, [_, Host]} ->
            (address(Host))#net_address{address = Address};
        _ ->
            ?shutdown(no_node)
    end.

-spec peer(eid_socket:socket()) -> unknown | eid_socket:endpoint().
peer(Socket) ->
    case eid_socket:peername(Socket) of
        {ok, Endpoint} -> Endpoint;
        {error, _} -> unknown
    end.

%% ---------------------------------------------------------------------
%% Settings, as inet_tcp_dist reads them
%% ---------------------------------------------------------------------

%% The epmd module that was asked for; net_kernel:epmd_module/0 would answer
%% erl_epmd when none was.
-spec epmd_module() -> module().
epmd_module() ->
    case application:get_env(kernel, epmd_module) of
        {ok, Module} ->
            Module;
        undefined ->
            %% The last one counts, so that the command line overrides
            %% what ERL_AFLAGS puts before it.
            case init:get_argument(epmd_module) of
                {ok, Values} -> list_to_atom(hd(lists:last(Values)));
                error -> eid_epmd
            end
    end.

-spec exports(module(), atom(), arity()) -> boolean().
exports(Module, Function, Arity) ->
    {module, Module} =:= code:ensure_loaded(Module)
        andalso erlang:function_exported(Module, Function, Arity).

%% The first and last port to try. An epmd tells the others the port, so that
%% it may be any of a range; without one it is erlang_port.
-spec listen_ports(atom(), inet:hostname(), module()) ->
          {inet:port_number(), inet:port_number()}.
listen_ports(_Name, _Host, eid_epmd) ->
    Port = eid_settings:get(erlang_port),
    {Port, Port};
listen_ports(Name, Host, Epmd) ->
    Wanted = case exports(Epmd, listen_port_please, 2) of
                 true -> Epmd:listen_port_please(Name, Host);
                 false -> erl_epmd:listen_port_please(Name, Host)
             end,
    case {Wanted, application:get_env(kernel, inet_dist_listen_min)} of
        {{ok, 0}, {ok, First}} ->
            {First, application:get_env(kernel, inet_dist_listen_max,
                                        First)};
        {{ok, 0}, undefined} ->
            Port = eid_settings:get(erlang_port),
            {Port, Port};
        {{ok, Port}, _} ->
            {Port, Port}
    end.

-spec listen_on(inet:port_number(), inet:port_number(), [term()]) ->
          {ok, eid_socket:socket()} | {error, term()}.
listen_on(First, Last, Options) ->
    case eid_socket:listen(First, Options) of
        {error, eaddrinuse} when First < Last ->
            listen_on(First + 1, Last, Options);
        Result ->
            Result
    end.

-spec listen_options() -> [term()].
listen_options() ->
    Interface = case application:get_env(kernel, inet_dist_use_interface) of
                    {ok, Ip} when is_tuple(Ip) -> [{ip, Ip}];
                    _ -> []
                end,
    Given = eid_settings:get(inet_dist_listen_options),
    %% Accepted sockets inherit nodelay from the listener.
    Interface ++ defaults([{reuseaddr, true}, {backlog, 128}], Given)
        ++ Given ++ nodelay().

-spec connect_options(node()) -> [term()] | no_return().
connect_options(Node) ->
    try
        eid_settings:get(inet_dist_connect_options) ++ nodelay()
    catch
        error:{bad_setting, Sentence} ->
            failed(Node, connect, bad_setting, Sentence),
            ?shutdown(Node)
    end.

-spec option_sentence(atom(), unsupported_option | bad_option_value,
                      term()) -> iolist().
option_sentence(Setting, Fault, Option) ->
    io_lib:format("the kernel setting ~s has ~tp, ~s",
                  [Setting, Option,
                   case Fault of
                       unsupported_option ->
                           "which this carrier does not know";
                       bad_option_value ->
                           "but that option cannot have this value"
                   end]).

-spec defaults([{atom(), term()}], [term()]) -> [{atom(), term()}].
defaults(Defaults, Given) ->
    [Default || {Key, _} = Default <- Defaults,
                not lists:keymember(Key, 1, Given)].

-spec nodelay() -> [{nodelay, boolean()}].
nodelay() ->
    [{nodelay, application:get_env(kernel, dist_nodelay, true) =/= false}].

%% As which of OTP's drivers the epmd module is to register this node.
-spec epmd_driver() -> inet_tcp | inet6_tcp.
epmd_driver() ->
    case application:get_env(kernel, inet_dist_use_interface) of
        {ok, Ip} when tuple_size(Ip) =:= 8 -> inet6_tcp;
        _ -> inet_tcp
    end.

%% With kernel's check_ip only peers of this node's own networks may connect.
-spec is_own_network(unknown | eid_socket:endpoint()) -> boolean().
is_own_network(Peer) ->
    case application:get_env(kernel, check_ip) of
        {ok, true} ->
            {ok, Interfaces} = inet:getifaddrs(),
            lists:any(fun({_Name, Flags}) -> shares_network(Peer, Flags) end,
                      Interfaces);
        _ ->
            true
    end.

-spec shares_network(unknown | eid_socket:endpoint(), [term()]) -> boolean().
shares_network(unknown, _Flags) ->
    false;
shares_network({Ip, _}, [{addr, Own}, {netmask, Mask} | Flags])
  when tuple_size(Ip) =:= tuple_size(Own) ->
    masked(Ip, Mask) =:= masked(Own, Mask)
        orelse shares_network({Ip, 0}, Flags);
shares_network(Peer, [_ | Flags]) ->
    shares_network(Peer, Flags);
shares_network(_Peer, []) ->
    false.

-spec masked(inet:ip_address(), inet:ip_address()) -> [non_neg_integer()].
masked(Ip, Mask) ->
    lists:zipwith(fun(A, M) -> A band M end,
                  tuple_to_list(Ip), tuple_to_list(Mask)).

%% At boot, logger keeps its events until kernel is up, which then never is:
%% the sentence goes straight to the console as well. (What net_kernel shows of
%% a failed listen goes to two streams, where it can be torn.)
-spec start_failed(term(), iodata()) -> {error, term()}.
start_failed(Reason, Sentence) ->
    Text = lists:flatten(Sentence),
    eid_report:error(start_failed, Text),
    _ = [erlang:display_string("eid: " ++ Text ++ "\n")
         || lists:member(simple, logger:get_handler_ids())],
    {error, {Reason, Text}}.
