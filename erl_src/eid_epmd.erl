%% SPDX-License-Identifier: Apache-2.0

%% The published-port lookup as an epmd module: from a node's name to the
%% address and the port where it is reached. There is no epmd behind it: with
%% `eid_lookup docker' the Docker Remote API of the target's host is asked.
%%
%% eid_tcp_dist uses it by default. With `-epmd_module eid_epmd' OTP's own
%% carriers (inet_tcp, inet_tls) use it as well. The callbacks are those of
%% erl_epmd, see "Alternative node discovery" in OTP's documentation.
-module(eid_epmd).

-export([start_link/0, register_node/2, register_node/3,
         listen_port_please/2, address_please/3, port_please/2,
         port_please/3, names/0, names/1, look_up/2, look_up/4, list/2,
         open_events/3, daemon/3, within/2]).

-export_type([daemon/0]).

%% With the address that it has.
-type daemon() :: #{address := inet:ip_address(),
                    port := inet:port_number(),
                    tls := boolean(),
                    cert_path := file:filename(),
                    tls_name := string() | inet:ip_address()}.

%% The version of the distribution handshake that all of OTP 25 to 29 speak.
-define(DIST_VERSION, 6).

%% There is no process: nothing has to be kept.
-spec start_link() -> ignore.
start_link() ->
    ignore.

-spec register_node(atom() | string(), inet:port_number()) -> {ok, -1}.
register_node(Name, Port) ->
    register_node(Name, Port, inet).

%% Nobody has to be told of the port: Docker knows. Creation -1 makes
%% net_kernel choose one.
-spec register_node(atom() | string(), inet:port_number(), atom()) ->
          {ok, -1}.
register_node(_Name, _Port, _Family) ->
    {ok, -1}.

%% The port on which this node is to listen.
-spec listen_port_please(atom() | string(), inet:hostname()) ->
          {ok, inet:port_number()}.
listen_port_please(_Name, _Host) ->
    {ok, eid_settings:get(erlang_port)}.

%% Only turns the host part into an address. The stock carriers call it inside
%% net_kernel, where a lookup would hold up all connections of the node.
-spec address_please(string(), inet:hostname() | inet:ip_address(),
                     inet | inet6) ->
          {ok, inet:ip_address()} | {error, term()}.
address_please(_Name, Host, Family) ->
    case application:get_env(kernel, eid_lookup) of
        {ok, loopback} -> resolve(loopback_address(), Family);
        _ -> resolve(Host, Family)
    end.

%% The command eid says where the node listens that it stands beside.
-spec loopback_address() -> string().
loopback_address() ->
    case application:get_env(kernel, eid_loopback) of
        {ok, Address} when is_list(Address) -> Address;
        _ -> "127.0.0.1"
    end.

-spec port_please(atom() | string(), inet:hostname() | inet:ip_address()) ->
          {port, inet:port_number(), pos_integer()} | {error, term()}.
port_please(Name, Host) ->
    port_please(Name, Host, setup_time()).

%% The port where the node is reached. A failure is logged here, since the
%% stock carriers drop the reason.
-spec port_please(atom() | string(), inet:hostname() | inet:ip_address(),
                  timeout()) ->
          {port, inet:port_number(), pos_integer()} | {error, term()}.
port_please(Name, Host, Timeout) when is_atom(Name) ->
    port_please(atom_to_list(Name), Host, Timeout);
port_please(Name, Host, Timeout) ->
    case look_up(Name, Host, called(Host), Timeout) of
        {error, {Reason, Sentence}} = Error ->
            HostPart = case is_tuple(Host) of
                           true -> inet:ntoa(Host);
                           false -> Host
                       end,
            eid_failures:note(lists:concat([Name, "@", HostPart]), lookup,
                              Reason, Sentence),
            Error;
        Found ->
            Found
    end.

%% As port_please/2, without a word in the log.
-spec look_up(string(), inet:hostname() | inet:ip_address()) ->
          {port, inet:port_number(), pos_integer()}
              | {error, {atom(), string()}}.
look_up(Name, Host) ->
    look_up(Name, Host, called(Host), setup_time()).

%% As port_please/3, for who knows how the host at Address is called, and tells
%% of a failure himself.
-spec look_up(string(), inet:hostname() | inet:ip_address(),
              inet:hostname() | undefined, timeout()) ->
          {port, inet:port_number(), pos_integer()}
              | {error, {atom(), string()}}.
look_up(Name, Address, Host, Timeout) ->
    Start = erlang:monotonic_time(),
    try lookup(eid_settings:get(eid_lookup), Name, Address, Host, Timeout) of
        {ok, Port} ->
            eid_telemetry:lookup_ended(Name, Start, {ok, Port}),
            {port, Port, ?DIST_VERSION};
        {error, {Reason, _}} = Error ->
            eid_telemetry:lookup_ended(Name, Start, {error, lookup, Reason}),
            Error
    catch
        error:{bad_setting, Sentence} ->
            {error, {bad_setting, Sentence}}
    end.

-spec called(inet:hostname() | inet:ip_address()) ->
          inet:hostname() | undefined.
called(Host) when is_tuple(Host) -> undefined;
called(Host) -> Host.

%% Without an epmd there are no names to ask for.
-spec names() -> {error, address}.
names() ->
    {error, address}.

-spec names(inet:hostname() | inet:ip_address()) -> {error, address}.
names(_Host) ->
    {error, address}.

-spec lookup(docker | direct | loopback, string(),
             inet:hostname() | inet:ip_address(),
             inet:hostname() | undefined, timeout()) ->
          {ok, inet:port_number()} | {error, {atom(), string()}}.
lookup(direct, _Name, _Address, _Host, _Timeout) ->
    {ok, listen_port_of_peers()};
lookup(loopback, _Name, _Address, _Host, _Timeout) ->
    {ok, listen_port_of_peers()};
lookup(docker, Name, Address, Host, Timeout) ->
    Deadline = min(Timeout, eid_settings:get(eid_lookup_timeout)),
    case daemon(Address, Host, Deadline) of
        {ok, Ip, #{tls := false} = Daemon, Left} ->
            eid_socket:lookup(endpoint(Daemon), Ip, Left,
                              listen_port_of_peers(), Name);
        {ok, Ip, Daemon, Left} ->
            eid_tls_lookup:lookup(Daemon, Ip, Left, listen_port_of_peers(),
                                  Name);
        {error, _} = Error ->
            Error
    end.

%% The containers of the host that run and have Label: for eid_cluster, which
%% asks the same daemons.
-spec list(inet:hostname(), string()) ->
          {ok, [eid_socket:container()]} | {error, {atom(), string()}}.
list(Host, Label) ->
    try
        list(Host, Label, eid_settings:get(eid_lookup_timeout))
    catch
        error:{bad_setting, Sentence} ->
            {error, {bad_setting, Sentence}}
    end.

-spec list(inet:hostname(), string(), pos_integer()) ->
          {ok, [eid_socket:container()]} | {error, {atom(), string()}}.
list(Host, Label, Deadline) ->
    case daemon(Host, Host, Deadline) of
        {ok, Ip, #{tls := false} = Daemon, Left} ->
            eid_socket:list(endpoint(Daemon), Ip, Left, listen_port_of_peers(),
                            Label);
        {ok, Ip, Daemon, Left} ->
            eid_tls_lookup:list(Daemon, Ip, Left, listen_port_of_peers(),
                                Label);
        {error, _} = Error ->
            Error
    end.

%% A connection on which the host's daemon was asked for a stream of events of
%% containers that have Label. It is passive.
-spec open_events(inet:hostname(), string(), pos_integer()) ->
          {ok, gen_tcp, gen_tcp:socket()} | {ok, ssl, ssl:sslsocket()}
              | {error, Sentence :: string()}.
open_events(Host, Label, Deadline) ->
    try
        open_stream(Host, Label, Deadline)
    catch
        error:{bad_setting, Sentence} ->
            {error, Sentence}
    end.

-spec open_stream(inet:hostname(), string(), pos_integer()) ->
          {ok, gen_tcp, gen_tcp:socket()} | {ok, ssl, ssl:sslsocket()}
              | {error, Sentence :: string()}.
open_stream(Host, Label, Deadline) ->
    case daemon(Host, Host, Deadline) of
        {ok, _Ip, #{tls := false} = Daemon, Left} ->
            Endpoint = endpoint(Daemon),
            {ok, Request} = eid_socket:events_request(Endpoint, Label),
            open_plain_stream(Endpoint, Request, Left);
        {ok, Ip, Daemon, Left} ->
            case eid_tls_lookup:open_events(Daemon, Ip, Left,
                                            listen_port_of_peers(), Label) of
                {ok, Tls} -> {ok, ssl, Tls};
                {error, {_, Sentence}} -> {error, Sentence}
            end;
        {error, {_, Sentence}} ->
            {error, Sentence}
    end.

%% A host that goes without a word is noticed by keepalive, at last; by the
%% lists much sooner.
-spec open_plain_stream(eid_socket:endpoint(), binary(), pos_integer()) ->
          {ok, gen_tcp, gen_tcp:socket()} | {error, Sentence :: string()}.
open_plain_stream({Ip, Port}, Request, Deadline) ->
    case gen_tcp:connect(Ip, Port, [binary, {active, false},
                                    {keepalive, true},
                                    {send_timeout, Deadline}], Deadline) of
        {ok, Socket} ->
            case gen_tcp:send(Socket, Request) of
                ok ->
                    {ok, gen_tcp, Socket};
                {error, Reason} ->
                    ok = gen_tcp:close(Socket),
                    {error, eid_report:reason(Reason)}
            end;
        {error, Reason} ->
            {error, eid_report:reason(Reason)}
    end.

%% The host's address, and its daemon, and what of the milliseconds is left.
%% Host is how it is called, undefined where that is not known.
-spec daemon(inet:hostname() | inet:ip_address(),
             inet:hostname() | undefined, pos_integer()) ->
          {ok, inet:ip_address(), daemon(), pos_integer()}
              | {error, {inet:posix() | timeout, string()}}.
daemon(Address, Host, Milliseconds) ->
    case ip_address(Address) of
        {ok, Ip} ->
            Daemon = eid_docker_setting:daemon(Host, Ip),
            Begun = erlang:monotonic_time(millisecond),
            case daemon_address(Daemon, Milliseconds) of
                {ok, DaemonIp} ->
                    Ended = erlang:monotonic_time(millisecond),
                    {ok, Ip, Daemon#{address := DaemonIp},
                     max(1, Milliseconds - (Ended - Begun))};
                {error, Reason} ->
                    {error, {Reason, unresolved(daemon_name(Daemon), Reason)}}
            end;
        {error, Reason} ->
            {error, {Reason, unresolved("the host's name", Reason)}}
    end.

%% A daemon may have an address of its own, which may be a name. It is resolved
%% in a process of its own: a resolver waits for as long as it likes.
-spec daemon_address(eid_docker_setting:daemon(), pos_integer()) ->
          {ok, inet:ip_address()} | {error, inet:posix() | timeout}.
daemon_address(#{address := Ip}, _Milliseconds) when is_tuple(Ip) ->
    {ok, Ip};
daemon_address(#{address := Name}, Milliseconds) ->
    within(Milliseconds, fun() -> ip_address(Name) end).

-spec daemon_name(eid_docker_setting:daemon()) -> string().
daemon_name(#{address := Name}) ->
    lists:flatten(io_lib:format("the name ~ts of its Docker daemon "
                                "(docker_hosts)", [Name])).

-spec unresolved(string(), inet:posix() | timeout) -> string().
unresolved(What, Reason) ->
    What ++ " does not resolve (" ++ eid_report:reason(Reason) ++ ")".

-spec endpoint(daemon()) -> eid_socket:endpoint().
endpoint(#{address := Ip, port := Port}) ->
    {Ip, Port}.

%% What Fun returns, or an error where it takes longer. It is run in another
%% process.
-spec within(non_neg_integer(), fun(() -> Result)) ->
          Result | {error, timeout}.
within(Milliseconds, Fun) ->
    %% Neither what comes too late nor the end of that process reaches the
    %% caller, who may be one that lives on.
    Caller = self(),
    Tag = alias([reply]),
    Pid = spawn_opt(fun() ->
                            Result = Fun(),
                            unlink(Caller),
                            Tag ! {Tag, Result}
                    end, [link, {priority, max}]),
    receive
        {Tag, Result} ->
            Result
    after Milliseconds ->
            unlink(Pid),
            exit(Pid, kill),
            _ = unalias(Tag),
            receive
                {Tag, Result} -> Result
            after 0 ->
                    {error, timeout}
            end
    end.

%% Milliseconds that a carrier has for the setup of a connection, less some:
%% at their end its process is killed, and could not say why it failed. As
%% net_kernel:connecttime/0 reads net_setuptime.
-spec setup_time() -> pos_integer().
setup_time() ->
    SetupTime =
        case application:get_env(kernel, net_setuptime) of
            {ok, Seconds} when is_number(Seconds), Seconds > 0 ->
                round(min(Seconds, 120) * 1000);
            _ ->
                7000
        end,
    max(1, SetupTime - min(200, SetupTime div 10)).

%% All nodes of a cluster have the same listen port; a node that itself takes
%% any free one finds the others at the default.
-spec listen_port_of_peers() -> inet:port_number().
listen_port_of_peers() ->
    case eid_settings:get(erlang_port) of
        0 -> 12345;
        Port -> Port
    end.

-spec ip_address(inet:hostname() | inet:ip_address()) ->
          {ok, inet:ip_address()} | {error, inet:posix()}.
ip_address(Host) when is_tuple(Host) ->
    {ok, Host};
ip_address(Host) ->
    case resolve(Host, inet) of
        {ok, Ip} -> {ok, Ip};
        {error, _} -> resolve(Host, inet6)
    end.

%% The resolver would start OTP's helper program inet_gethost even for what is
%% an address already.
-spec resolve(inet:hostname() | inet:ip_address(), inet | inet6) ->
          {ok, inet:ip_address()} | {error, inet:posix()}.
resolve(Host, Family) when is_list(Host) ->
    case {inet:parse_strict_address(Host), Family} of
        {{ok, Ip}, inet} when tuple_size(Ip) =:= 4 -> {ok, Ip};
        {{ok, Ip}, inet6} when tuple_size(Ip) =:= 8 -> {ok, Ip};
        {{ok, Ip}, inet6} -> {ok, inet:ipv4_mapped_ipv6_address(Ip)};
        {{ok, _}, inet} -> {error, eafnosupport};
        {{error, einval}, _} -> inet:getaddr(Host, Family)
    end;
resolve(Host, Family) ->
    inet:getaddr(Host, Family).
