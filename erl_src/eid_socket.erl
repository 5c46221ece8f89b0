%% SPDX-License-Identifier: Apache-2.0

%% A socket API over the driver's ports, in the manner of gen_tcp: the only
%% module that knows the driver's opcodes and encodings.
%%
%% Requests that wait (accept, connect, recv, lookup) carry a number; their
%% answer comes as the message {eid, Port, Request, Answer}.
-module(eid_socket).

-export([load/0, listen/2, listens/0, accept/1, stop_accept/1, connect/4,
         send/2, recv/2, controlling_process/2, close/1, enter_data_mode/1,
         start_delivery/1, tick/1, getstat/1, traffic/1, setopts/2,
         getopts/2, peername/1, sockname/1, format/1, lookup/5, lookup_over/4,
         list/5, list_over/4, feed/2, feed_end/2, published_port/1,
         containers/1, events_request/2, opcodes/0, driver_opcodes/0]).

-export_type([socket/0, endpoint/0, traffic/0, container/0]).

-type socket() :: port().
-type endpoint() :: {inet:ip_address(), inet:port_number()}.

%% What a connection has carried so far, both sides of the handshake included.
%% Packets are the VM's: a message, a fragment of a long one, or a tick.
-type traffic() :: #{received_packets := non_neg_integer(),
                     sent_packets := non_neg_integer(),
                     received_bytes := non_neg_integer(),
                     sent_bytes := non_neg_integer(),
                     %% What waits in the driver.
                     queued_bytes := non_neg_integer(),
                     %% Whether senders wait, how often and how long they did.
                     busy := boolean(),
                     busy_count := non_neg_integer(),
                     busy_microseconds := non_neg_integer(),
                     %% As the kernel has smoothed it.
                     round_trip_microseconds := pos_integer() | undefined}.

%% A container as a daemon's list has it: all 64 digits, its name in Docker,
%% Docker's word for its state, and the published port.
-type container() :: #{id := binary(), name := binary(), state := binary(),
                       port := {ok, inet:port_number()}
                             | {error, {atom(), string()}}}.

-define(DRIVER, "eid_drv").

%% The other half of this table is ControlOpcode.swift.
-define(OPCODES, 1).
-define(LISTEN, 2).
-define(ACCEPT, 3).
-define(CONNECT, 4).
-define(SEND, 5).
-define(RECV, 6).
-define(CANCEL, 7).
-define(ENTER_DATA_MODE, 8).
-define(START_DELIVERY, 9).
-define(TICK, 10).
-define(GETSTAT, 11).
-define(SETOPTS, 12).
-define(GETOPTS, 13).
-define(PEERNAME, 14).
-define(SOCKNAME, 15).
-define(LOOKUP, 16).
-define(TRAFFIC, 17).
-define(LOOKUP_OVER, 18).
-define(FEED, 19).
-define(FEED_END, 20).
-define(LIST, 21).
-define(LIST_OVER, 22).
-define(EVENTS_REQUEST, 23).

%% The number of each request to accept: a listener has one at a time.
-define(ACCEPT_REQUEST, 0).

%% The other half of these is SocketOption.swift.
-define(INTEGER_OPTIONS,
        [{reuseaddr, 1}, {keepalive, 2}, {nodelay, 3}, {sndbuf, 4},
         {recbuf, 5}, {priority, 6}, {tos, 7}, {tclass, 8}, {ttl, 9},
         {dontroute, 10}, {ipv6_v6only, 11}, {reuseport, 12}]).
-define(BOOLEAN_OPTIONS,
        [reuseaddr, keepalive, nodelay, dontroute, ipv6_v6only, reuseport]).
-define(OPT_LINGER, 32).
-define(OPT_DEVICE, 33).
-define(OPT_RAW, 34).
-define(OPT_LOCAL_ADDRESS, 37).

%% The connection's own, in bytes. The other half is Tuning.swift.
-define(TUNING_OPTIONS,
        [{high_watermark, 35}, {low_watermark, 36}, {staging_limit, 38},
         {unsent_limit, 39}, {near_receive_buffer, 40},
         {receive_chunk, 41}]).

%% Options of gen_tcp that the carrier decides itself, or that mean nothing to
%% a distribution connection: inet_tcp_dist overrides or ignores them as well.
-define(IGNORED_OPTIONS,
        [active, buffer, delay_send, deliver, exit_on_close, header,
         high_msgq_watermark, low_msgq_watermark, mode, packet, packet_size,
         read_packets, send_timeout, send_timeout_close, show_econnreset,
         tcp_module, line_delimiter, nopush]).

%% Those whose value is more than a number for the driver.
-define(OTHER_OPTIONS,
        [backlog, bind_to_device, ifaddr, ip, linger, port, raw]).

-define(MAX_BACKLOG, 16#7fffffff).

%% ---------------------------------------------------------------------
%% The driver
%% ---------------------------------------------------------------------

%% Loads the driver, unless it is.
-spec load() -> ok | {error, string()}.
load() ->
    Dir = priv_dir(),
    case erl_ddll:try_load(Dir, ?DRIVER, []) of
        {ok, _} -> ok;
        {error, permanent} -> ok;
        {error, Reason} ->
            Sentence = io_lib:format(
                         "the driver ~s.so in ~ts cannot be loaded: ~ts",
                         [?DRIVER, Dir, erl_ddll:format_error(Reason)]),
            {error, lists:flatten(Sentence)}
    end.

-spec priv_dir() -> file:filename().
priv_dir() ->
    case code:priv_dir(eid) of
        {error, bad_name} ->
            Ebin = filename:dirname(code:which(?MODULE)),
            filename:join(filename:dirname(Ebin), "priv");
        Dir ->
            Dir
    end.

-spec open(listener | connection | lookup) -> port().
open(Role) ->
    case load() of
        ok ->
            open_port({spawn_driver,
                       ?DRIVER ++ " " ++ atom_to_list(Role)}, [binary]);
        {error, Sentence} ->
            error({driver_not_loaded, Sentence})
    end.

%% The opcodes as this module has them, for the test that compares.
-spec opcodes() -> [{atom(), pos_integer()}].
opcodes() ->
    [{opcodes, ?OPCODES}, {listen, ?LISTEN}, {accept, ?ACCEPT},
     {connect, ?CONNECT}, {send, ?SEND}, {recv, ?RECV}, {cancel, ?CANCEL},
     {enter_data_mode, ?ENTER_DATA_MODE},
     {start_delivery, ?START_DELIVERY}, {tick, ?TICK}, {getstat, ?GETSTAT},
     {setopts, ?SETOPTS}, {getopts, ?GETOPTS}, {peername, ?PEERNAME},
     {sockname, ?SOCKNAME}, {lookup, ?LOOKUP}, {traffic, ?TRAFFIC},
     {lookup_over, ?LOOKUP_OVER}, {feed, ?FEED}, {feed_end, ?FEED_END},
     {list, ?LIST}, {list_over, ?LIST_OVER},
     {events_request, ?EVENTS_REQUEST}].

%% The opcodes as the driver has them.
-spec driver_opcodes() -> [{atom(), pos_integer()}].
driver_opcodes() ->
    Port = open(listener),
    {ok, Table} = control(Port, ?OPCODES, []),
    true = port_close(Port),
    [{binary_to_atom(Name), binary_to_integer(Number)}
     || Line <- binary:split(Table, <<"\n">>, [global, trim]),
        [Name, Number] <- [binary:split(Line, <<"=">>)]].

%% ---------------------------------------------------------------------
%% Listening and connecting
%% ---------------------------------------------------------------------

%% Listens on Port (0: any free one). Without {ip, Address}, inet or inet6
%% among the options one socket serves IPv6 and IPv4, where the machine has
%% IPv6, else IPv4 alone.
-spec listen(inet:port_number(), [term()]) ->
          {ok, socket()} | {error, term()}.
listen(Port, Options) ->
    case local_ip(Options) of
        {ok, Ip} ->
            listen_on(Ip, Port, Options);
        none ->
            Dual = [{ipv6_v6only, false}
                    | lists:keydelete(ipv6_v6only, 1, Options)],
            case listen_on({0, 0, 0, 0, 0, 0, 0, 0}, Port, Dual) of
                {ok, Listener} ->
                    {ok, Listener};
                {error, Reason} when Reason =:= eafnosupport;
                                     Reason =:= eaddrnotavail;
                                     Reason =:= enoprotoopt ->
                    listen_on({0, 0, 0, 0}, Port, Options);
                Error ->
                    Error
            end
    end.

-spec listen_on(inet:ip_address(), inet:port_number(), [term()]) ->
          {ok, socket()} | {error, term()}.
listen_on(Ip, Port, Options) ->
    Backlog = proplists:get_value(backlog, Options, 128),
    case encode_options(Options) of
        {ok, Encoded} ->
            Listener = open(listener),
            Request = [encode_endpoint({Ip, Port}), <<Backlog:32>>, Encoded],
            case control(Listener, ?LISTEN, Request) of
                {ok, <<>>} ->
                    {ok, Listener};
                Error ->
                    close(Listener),
                    Error
            end;
        Error ->
            Error
    end.

%% Where this node listens; undefined where it does not, or another carrier
%% does.
-spec listens() -> endpoint() | undefined.
listens() ->
    Listening = [Port || Port <- erlang:ports(),
                         erlang:port_info(Port, name)
                             =:= {name, "eid_drv listener"}],
    case [Endpoint || Port <- Listening,
                      {ok, Endpoint} <- [sockname(Port)]] of
        [Endpoint | _] -> Endpoint;
        [] -> undefined
    end.

%% The next connection. The caller owns it.
-spec accept(socket()) -> {ok, socket()} | {error, atom()}.
accept(Listener) ->
    request(Listener, ?ACCEPT, ?ACCEPT_REQUEST, [], infinity).

%% Takes back the request of whoever accepts. The driver would keep that of a
%% process that has ended, and refuse all others for it.
-spec stop_accept(socket()) -> ok.
stop_accept(Listener) ->
    _ = control(Listener, ?CANCEL, <<?ACCEPT_REQUEST:32>>),
    ok.

-spec connect(inet:ip_address(), inet:port_number(), [term()], timeout()) ->
          {ok, socket()} | {error, term()}.
connect(Ip, Port, Options, Timeout) ->
    case encode_options(Options) of
        {ok, Encoded} ->
            Socket = open(connection),
            Local = case local_ip(Options) of
                        {ok, From} ->
                            FromPort = proplists:get_value(port, Options, 0),
                            encode_option(?OPT_LOCAL_ADDRESS,
                                          encode_endpoint({From, FromPort}));
                        none ->
                            []
                    end,
            Request = [encode_endpoint({Ip, Port}), Encoded, Local],
            case request(Socket, ?CONNECT, Request, Timeout) of
                {ok, <<>>} ->
                    {ok, Socket};
                Error ->
                    close(Socket),
                    Error
            end;
        Error ->
            Error
    end.

%% Makes Pid the owner, to which the port is linked from then on.
-spec controlling_process(socket(), pid()) -> ok | {error, closed}.
controlling_process(Socket, Pid) ->
    try erlang:port_connect(Socket, Pid) of
        true ->
            unlink(Socket),
            ok
    catch
        error:badarg -> {error, closed}
    end.

%% Closes the port. What is queued is still sent, for five seconds at most.
-spec close(socket()) -> ok.
close(Socket) ->
    try port_close(Socket) of
        true -> ok
    catch
        error:badarg -> ok
    end,
    receive
        {'EXIT', Socket, _} -> ok
    after 0 ->
            ok
    end.

%% ---------------------------------------------------------------------
%% The handshake
%% ---------------------------------------------------------------------

%% Sends one handshake packet.
-spec send(socket(), iodata()) -> ok | {error, atom()}.
send(Socket, Packet) ->
    just_ok(control(Socket, ?SEND, Packet)).

%% The next handshake packet.
-spec recv(socket(), timeout()) -> {ok, binary()} | {error, atom()}.
recv(Socket, Timeout) ->
    request(Socket, ?RECV, [], Timeout).

%% From here on packets have headers of 4 bytes, and the VM may send.
-spec enter_data_mode(socket()) -> ok | {error, atom()}.
enter_data_mode(Socket) ->
    just_ok(control(Socket, ?ENTER_DATA_MODE, [])).

%% From here on packets go to the VM.
-spec start_delivery(socket()) -> ok | {error, atom()}.
start_delivery(Socket) ->
    just_ok(control(Socket, ?START_DELIVERY, [])).

%% ---------------------------------------------------------------------
%% Data mode
%% ---------------------------------------------------------------------

%% Sends an empty packet, unless bytes are queued that show as much.
-spec tick(socket()) -> ok | {error, atom()}.
tick(Socket) ->
    just_ok(control(Socket, ?TICK, [])).

%% Packets received, packets sent, and bytes that wait to be sent.
-spec getstat(socket()) ->
          {ok, non_neg_integer(), non_neg_integer(), non_neg_integer()}
              | {error, atom()}.
getstat(Socket) ->
    case control(Socket, ?GETSTAT, []) of
        {ok, <<Received:64, Sent:64, Pending:64>>} ->
            {ok, Received, Sent, Pending};
        {error, _} = Error ->
            Error
    end.

-spec traffic(socket()) -> {ok, traffic()} | {error, atom()}.
traffic(Socket) ->
    case control(Socket, ?TRAFFIC, []) of
        {ok, <<ReceivedPackets:64, SentPackets:64, ReceivedBytes:64,
               SentBytes:64, Queued:64, Busy:64, BusyCount:64, BusyTime:64,
               RoundTrip:64>>} ->
            {ok, #{received_packets => ReceivedPackets,
                   sent_packets => SentPackets,
                   received_bytes => ReceivedBytes,
                   sent_bytes => SentBytes,
                   queued_bytes => Queued,
                   busy => Busy =:= 1,
                   busy_count => BusyCount,
                   busy_microseconds => BusyTime,
                   round_trip_microseconds =>
                       case RoundTrip of
                           0 -> undefined;
                           _ -> RoundTrip
                       end}};
        {error, _} = Error ->
            Error
    end.

-spec setopts(socket(), [term()]) -> ok | {error, term()}.
setopts(Socket, Options) ->
    case encode_options(Options) of
        {ok, Encoded} -> just_ok(control(Socket, ?SETOPTS, Encoded));
        {error, _} -> {error, einval}
    end.

-spec getopts(socket(), [term()]) -> {ok, [term()]} | {error, term()}.
getopts(Socket, Names) ->
    {Fixed, Asked} = lists:partition(
                       fun(Name) ->
                               lists:keymember(Name, 1, fixed_options())
                       end, Names),
    case encode_queries(Asked, []) of
        {ok, Encoded} ->
            case control(Socket, ?GETOPTS, Encoded) of
                {ok, Answer} ->
                    {ok, [lists:keyfind(Name, 1, fixed_options())
                          || Name <- Fixed]
                     ++ decode_options(Answer, [Raw || {raw, _, _, _} = Raw
                                                           <- Asked])};
                Error ->
                    Error
            end;
        Error ->
            Error
    end.

-spec peername(socket()) -> {ok, endpoint()} | {error, atom()}.
peername(Socket) ->
    endpoint(control(Socket, ?PEERNAME, [])).

-spec sockname(socket()) -> {ok, endpoint()} | {error, atom()}.
sockname(Socket) ->
    endpoint(control(Socket, ?SOCKNAME, [])).

%% As it is written in a message.
-spec format(unknown | endpoint()) -> string().
format(unknown) ->
    "an unknown address";
format({Ip, Port}) when tuple_size(Ip) =:= 8 ->
    lists:flatten(["[", inet:ntoa(Ip), "]:", integer_to_list(Port)]);
format({Ip, Port}) ->
    lists:flatten([inet:ntoa(Ip), ":", integer_to_list(Port)]).

%% ---------------------------------------------------------------------
%% Questions to the Docker Remote API
%% ---------------------------------------------------------------------

%% Asks the Docker Remote API at Daemon where ListenPort of Container is
%% published, for who connects to that host at Ip. The answer comes within
%% Deadline milliseconds.
-spec lookup(endpoint(), inet:ip_address(), pos_integer(),
             inet:port_number(), string()) ->
          {ok, inet:port_number()} | {error, {atom(), string()}}.
lookup(Daemon, Ip, Deadline, ListenPort, Container) ->
    case ask(?LOOKUP, Daemon, Ip, Deadline, ListenPort, Container) of
        {ok, Port} -> {ok, published_port(Port)};
        {error, _} = Error -> Error
    end.

%% Asks for the containers that run and have Label (KEY or KEY=VALUE).
-spec list(endpoint(), inet:ip_address(), pos_integer(),
           inet:port_number(), string()) ->
          {ok, [container()]} | {error, {atom(), string()}}.
list(Daemon, Ip, Deadline, ListenPort, Label) ->
    case ask(?LIST, Daemon, Ip, Deadline, ListenPort, Label) of
        {ok, Containers} -> {ok, containers(Containers)};
        {error, _} = Error -> Error
    end.

-spec ask(pos_integer(), endpoint(), inet:ip_address(), pos_integer(),
          inet:port_number(), string()) ->
          {ok, binary()} | {error, {atom(), string()}}.
ask(Opcode, Daemon, Ip, Deadline, ListenPort, Name) ->
    Port = open(lookup),
    Request = [<<Deadline:32>>, question(Daemon, Ip, ListenPort, Name)],
    %% The driver keeps the deadline; the time here is only for a VM that is
    %% so busy that the answer is late.
    Answer = request(Port, Opcode, Request, Deadline + 5000),
    close(Port),
    case Answer of
        {ok, Bytes} -> answer(Bytes);
        {error, Reason} -> question_ended(Reason)
    end.

-spec question(endpoint(), inet:ip_address(), inet:port_number(), string()) ->
          iodata().
question(Daemon, Ip, ListenPort, Name) ->
    [encode_endpoint(Daemon), encode_ip(Ip), <<ListenPort:16>>,
     unicode:characters_to_binary(Name)].

%% Begins a lookup over a connection that the caller has: what is to be sent
%% there. Close/1 ends it.
-spec lookup_over(endpoint(), inet:ip_address(), inet:port_number(),
                  string()) ->
          {ok, socket(), Request :: binary()} | {error, {atom(), string()}}.
lookup_over(Daemon, Ip, ListenPort, Container) ->
    ask_over(?LOOKUP_OVER, Daemon, Ip, ListenPort, Container).

%% The same for a list.
-spec list_over(endpoint(), inet:ip_address(), inet:port_number(),
                string()) ->
          {ok, socket(), Request :: binary()} | {error, {atom(), string()}}.
list_over(Daemon, Ip, ListenPort, Label) ->
    ask_over(?LIST_OVER, Daemon, Ip, ListenPort, Label).

-spec ask_over(pos_integer(), endpoint(), inet:ip_address(),
               inet:port_number(), string()) ->
          {ok, socket(), Request :: binary()} | {error, {atom(), string()}}.
ask_over(Opcode, Daemon, Ip, ListenPort, Name) ->
    Port = open(lookup),
    case control(Port, Opcode, question(Daemon, Ip, ListenPort, Name)) of
        {ok, <<2, Request/binary>>} ->
            {ok, Port, Request};
        {ok, Answer} ->
            close(Port),
            {error, _} = answer(Answer);
        {error, Reason} ->
            close(Port),
            question_ended(Reason)
    end.

%% Takes the next bytes of the answer, 64 KB at most: the result, for
%% published_port/1 or containers/1, or `more'.
-spec feed(socket(), binary()) ->
          more | {ok, binary()} | {error, {atom(), string()}}.
feed(Port, Bytes) ->
    fed(control(Port, ?FEED, Bytes)).

%% The connection has ended: Reason is `closed', an error of a socket, or
%% connect_timeout, answer_timeout or answer_stalled.
-spec feed_end(socket(), atom()) ->
          {ok, binary()} | {error, {atom(), string()}}.
feed_end(Port, Reason) ->
    Name = case Reason of
               closed -> <<>>;
               _ -> atom_to_binary(Reason)
           end,
    case fed(control(Port, ?FEED_END, Name)) of
        more -> question_ended(Reason);
        Result -> Result
    end.

-spec fed({ok, binary()} | {error, atom()}) ->
          more | {ok, binary()} | {error, {atom(), string()}}.
fed({ok, <<>>}) -> more;
fed({ok, Answer}) -> answer(Answer);
fed({error, Reason}) -> question_ended(Reason).

-spec answer(binary()) -> {ok, binary()} | {error, {atom(), string()}}.
answer(<<0, Result/binary>>) ->
    {ok, Result};
answer(<<1, Length, Reason:Length/binary, Sentence/binary>>) ->
    {error, {binary_to_atom(Reason), unicode:characters_to_list(Sentence)}}.

-spec question_ended(atom()) -> {error, {atom(), string()}}.
question_ended(Reason) ->
    {error, {Reason, "the lookup ended: " ++ atom_to_list(Reason)}}.

%% The result of a lookup.
-spec published_port(binary()) -> inet:port_number().
published_port(<<Published:16>>) ->
    Published.

%% The result of a list.
-spec containers(binary()) -> [container()].
containers(<<>>) ->
    [];
containers(Answer) ->
    {Id, Answer1} = field(Answer),
    {Name, Answer2} = field(Answer1),
    {State, Answer3} = field(Answer2),
    {Port, Rest} =
        case split_binary(Answer3, 1) of
            {<<0>>, Answer4} ->
                {Published, Rest1} = number(Answer4),
                {{ok, Published}, Rest1};
            {<<1>>, Answer4} ->
                {Reason, Answer5} = field(Answer4),
                {Sentence, Rest1} = field(Answer5),
                {{error, {binary_to_atom(Reason),
                          unicode:characters_to_list(Sentence)}}, Rest1}
        end,
    %% Copied, since the answer as a whole would be kept by its parts.
    [#{id => binary:copy(Id), name => binary:copy(Name),
       state => binary:copy(State), port => Port} | containers(Rest)].

%% Bytes with their number before them, and what follows. (Patterns would do,
%% but OTP 29 does not load what OTP 25 makes of some of them.)
-spec field(binary()) -> {binary(), binary()}.
field(Bytes) ->
    {Length, Rest} = number(Bytes),
    split_binary(Rest, Length).

-spec number(binary()) -> {0..65535, binary()}.
number(Bytes) ->
    {Number, Rest} = split_binary(Bytes, 2),
    {binary:decode_unsigned(Number), Rest}.

%% The request by which the Docker Remote API at Daemon streams events of
%% containers that have Label, for who sends it himself.
-spec events_request(endpoint(), string()) ->
          {ok, binary()} | {error, atom()}.
events_request(Daemon, Label) ->
    Port = open(lookup),
    Answer = control(Port, ?EVENTS_REQUEST,
                     [encode_endpoint(Daemon),
                      unicode:characters_to_binary(Label)]),
    close(Port),
    Answer.

%% ---------------------------------------------------------------------
%% Requests
%% ---------------------------------------------------------------------

-spec control(socket(), pos_integer(), iodata()) ->
          {ok, binary()} | {error, atom()}.
control(Port, Opcode, Data) ->
    try port_control(Port, Opcode, Data) of
        Reply -> decode(Reply)
    catch
        error:badarg ->
            case erlang:port_info(Port, id) of
                undefined -> {error, closed};
                _ -> {error, einval}
            end
    end.

%% A request whose answer comes as a message.
-spec request(socket(), pos_integer(), iodata(), timeout()) ->
          {ok, binary() | socket()} | {error, atom()}.
request(Port, Opcode, Data, Timeout) ->
    Request = erlang:unique_integer([positive]) band 16#ffffffff,
    request(Port, Opcode, Request, Data, Timeout).

-spec request(socket(), pos_integer(), non_neg_integer(), iodata(),
              timeout()) ->
          {ok, binary() | socket()} | {error, atom()}.
request(Port, Opcode, Request, Data, Timeout) ->
    Monitor = erlang:monitor(port, Port),
    Result =
        case control(Port, Opcode, [<<Request:32>>, Data]) of
            {ok, <<>>} -> wait(Port, Request, Monitor, Timeout);
            {error, _} = Error -> Error
        end,
    erlang:demonitor(Monitor, [flush]),
    Result.

-spec wait(socket(), non_neg_integer(), reference(), timeout()) ->
          {ok, binary() | socket()} | {error, atom()}.
wait(Port, Request, Monitor, Timeout) ->
    receive
        {eid, Port, Request, Accepted} when is_port(Accepted) ->
            {ok, Accepted};
        {eid, Port, Request, Answer} ->
            decode(Answer);
        {'DOWN', Monitor, port, Port, _Reason} ->
            {error, closed}
    after Timeout ->
            _ = control(Port, ?CANCEL, <<Request:32>>),
            receive
                {eid, Port, Request, _Late} -> ok
            after 0 ->
                    ok
            end,
            {error, timeout}
    end.

-spec decode(binary()) -> {ok, binary()} | {error, atom()}.
decode(<<0, Payload/binary>>) ->
    {ok, Payload};
decode(<<1, Reason/binary>>) ->
    {error, binary_to_atom(Reason)}.

-spec just_ok({ok, binary()} | {error, atom()}) -> ok | {error, atom()}.
just_ok({ok, _}) ->
    ok;
just_ok({error, _} = Error) ->
    Error.

%% ---------------------------------------------------------------------
%% Encodings
%% ---------------------------------------------------------------------

-spec encode_endpoint(endpoint()) -> binary().
encode_endpoint({Ip, Port}) ->
    <<(encode_ip(Ip))/binary, Port:16>>.

-spec encode_ip(inet:ip_address()) -> binary().
encode_ip({A, B, C, D}) ->
    <<4, A, B, C, D>>;
encode_ip({A, B, C, D, E, F, G, H}) ->
    <<6, A:16, B:16, C:16, D:16, E:16, F:16, G:16, H:16>>.

-spec endpoint({ok, binary()} | {error, atom()}) ->
          {ok, endpoint()} | {error, atom()}.
endpoint({ok, <<4, A, B, C, D, Port:16>>}) ->
    {ok, {{A, B, C, D}, Port}};
endpoint({ok, <<6, A:16, B:16, C:16, D:16, E:16, F:16, G:16, H:16,
                Port:16>>}) ->
    {ok, {{A, B, C, D, E, F, G, H}, Port}};
endpoint({error, _} = Error) ->
    Error.

%% The address that the options bind to.
-spec local_ip([term()]) -> {ok, inet:ip_address()} | none.
local_ip([{Key, Ip} | _]) when (Key =:= ip orelse Key =:= ifaddr),
                               is_tuple(Ip) ->
    {ok, Ip};
local_ip([inet | Options]) ->
    case local_ip(Options) of
        none -> {ok, {0, 0, 0, 0}};
        Found -> Found
    end;
local_ip([inet6 | Options]) ->
    case local_ip(Options) of
        none -> {ok, {0, 0, 0, 0, 0, 0, 0, 0}};
        Found -> Found
    end;
local_ip([_ | Options]) ->
    local_ip(Options);
local_ip([]) ->
    none.

-spec encode_options([term()]) -> {ok, iodata()} | {error, term()}.
encode_options(Options) ->
    try
        {ok, [encode_one(Option) || Option <- Options]}
    catch
        throw:{refused, Option} ->
            case is_known(Option) of
                true -> {error, {bad_option_value, Option}};
                false -> {error, {unsupported_option, Option}}
            end
    end.

-spec is_known(term()) -> boolean().
is_known(Option) when is_tuple(Option), tuple_size(Option) >= 2 ->
    Name = element(1, Option),
    lists:member(Name, ?OTHER_OPTIONS)
        orelse lists:keymember(Name, 1, ?INTEGER_OPTIONS)
        orelse lists:keymember(Name, 1, ?TUNING_OPTIONS);
is_known(_Option) ->
    false.

-spec encode_one(term()) -> iodata().
encode_one({linger, {On, Seconds}}) when is_boolean(On),
                                         is_integer(Seconds) ->
    encode_option(?OPT_LINGER, <<(integer_of(On)):32, Seconds:32>>);
encode_one({bind_to_device, Device}) when is_binary(Device) ->
    encode_option(?OPT_DEVICE, Device);
encode_one({raw, Level, Name, Value})
  when is_integer(Level), is_integer(Name), is_binary(Value) ->
    encode_option(?OPT_RAW, [<<Level:32, Name:32>>, Value]);
encode_one({raw, {Level, Name, Value}}) ->
    encode_one({raw, Level, Name, Value});
encode_one({Name, Ip} = Option) when Name =:= ip; Name =:= ifaddr ->
    %% local_ip/1 takes it.
    case inet:is_ip_address(Ip) of
        true -> [];
        false -> throw({refused, Option})
    end;
%% listen_on/3 and connect/4 take these two.
encode_one({backlog, Length}) when is_integer(Length), Length >= 0,
                                   Length =< ?MAX_BACKLOG ->
    [];
encode_one({port, Port}) when is_integer(Port), Port >= 0, Port =< 65535 ->
    [];
encode_one({Name, Value} = Option) ->
    case lists:keyfind(Name, 1, ?INTEGER_OPTIONS) of
        {Name, Code} when is_integer(Value); is_boolean(Value) ->
            encode_option(Code, <<(integer_of(Value)):32>>);
        _ ->
            encode_tuning(Option)
    end;
encode_one(Name) when Name =:= inet; Name =:= inet6; Name =:= binary;
                      Name =:= list ->
    [];
encode_one(Option) ->
    throw({refused, Option}).

-spec encode_tuning({term(), term()}) -> iodata().
encode_tuning({Name, Bytes} = Option) ->
    case lists:keyfind(Name, 1, ?TUNING_OPTIONS) of
        {Name, Code} when is_integer(Bytes), Bytes >= 0,
                          Bytes =< 16#ffffffff,
                          Bytes > 0 orelse Name =/= high_watermark ->
            encode_option(Code, <<Bytes:32>>);
        _ ->
            ignored(Name, Option)
    end.

-spec ignored(term(), term()) -> [].
ignored(Name, Option) ->
    case lists:member(Name, ?IGNORED_OPTIONS) of
        true -> [];
        false -> throw({refused, Option})
    end.

-spec encode_option(byte(), iodata()) -> iodata().
encode_option(Code, Value) ->
    [<<Code, (iolist_size(Value)):16>>, Value].

-spec integer_of(boolean() | integer()) -> integer().
integer_of(true) -> 1;
integer_of(false) -> 0;
integer_of(Integer) -> Integer.

%% What the carrier decides itself, as inet would show it.
-spec fixed_options() -> [{atom(), term()}].
fixed_options() ->
    [{active, true}, {deliver, port}, {mode, binary}, {packet, 4}].

-spec encode_queries([term()], iodata()) -> {ok, iodata()} | {error, einval}.
encode_queries([], Encoded) ->
    {ok, Encoded};
encode_queries([linger | Names], Encoded) ->
    encode_queries(Names, [Encoded, ?OPT_LINGER]);
encode_queries([{raw, Level, Name, Size} | Names], Encoded)
  when is_integer(Level), is_integer(Name), is_integer(Size), Size >= 0 ->
    encode_queries(Names, [Encoded,
                           <<?OPT_RAW, Level:32, Name:32, Size:32>>]);
encode_queries([Name | Names], Encoded) ->
    case lists:keyfind(Name, 1, ?INTEGER_OPTIONS ++ ?TUNING_OPTIONS) of
        {Name, Code} -> encode_queries(Names, [Encoded, Code]);
        false -> {error, einval}
    end.

%% Raws are the raw queries, in the order in which they were asked.
-spec decode_options(binary(), [term()]) -> [term()].
decode_options(<<?OPT_LINGER, 8:16, On:32, Seconds:32, Rest/binary>>,
               Raws) ->
    [{linger, {On =/= 0, Seconds}} | decode_options(Rest, Raws)];
decode_options(<<?OPT_RAW, Size:16, Value:Size/binary, Rest/binary>>,
               [{raw, Level, Name, _} | Raws]) ->
    [{raw, Level, Name, Value} | decode_options(Rest, Raws)];
decode_options(<<Code, 4:16, Integer:32/signed, Rest/binary>>, Raws) ->
    {Name, Code} = lists:keyfind(Code, 2,
                                 ?INTEGER_OPTIONS ++ ?TUNING_OPTIONS),
    Value = case lists:member(Name, ?BOOLEAN_OPTIONS) of
                true -> Integer =/= 0;
                false -> Integer
            end,
    [{Name, Value} | decode_options(Rest, Raws)];
decode_options(<<>>, _Raws) ->
    [].
