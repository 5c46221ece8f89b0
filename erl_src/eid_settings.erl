%% SPDX-License-Identifier: Apache-2.0

%% eid's settings: kernel environment, read and checked in one place.
%%
%%   erlang_port         the port inside the container on which the node
%%                       listens (default 12345, 0 for any free one)
%%   docker_daemon_port  the port of the Docker Remote API on every host
%%                       (default 4243)
%%   docker_tls          whether the Docker Remote API is asked by TLS (default
%%                       false, or true where the environment variable
%%                       DOCKER_TLS_VERIFY is not empty)
%%   docker_cert_path    the directory with ca.pem, cert.pem and key.pem for
%%                       that (default: the environment variable
%%                       DOCKER_CERT_PATH, else .docker in the home directory)
%%   docker_tls_name     the name that the daemon's certificate must have
%%                       (default: the host part of the node's name)
%%   docker_hosts        the same for single hosts, and the address of a daemon
%%                       that has another one than its host: see
%%                       eid_docker_setting, as for docker_host
%%   eid_lookup          docker: ask the host's Docker API for the published
%%                       port (default); direct: the peer listens on
%%                       erlang_port of its own host part; loopback: the
%%                       peer is the node in the same container, on
%%                       erlang_port of 127.0.0.1
%%   eid_lookup_timeout  milliseconds for one whole lookup (default 5000)
%%   eid_allow           addresses and networks (CIDR) that may connect; all
%%                       without it
%%   eid_handshake_limit how many connections may be in the handshake at once
%%                       (default 512)
%%   eid_handshake_source_limit
%%                       and how many of them from one address (default 256)
%%   eid_log_interval    milliseconds for which failures to connect to one node
%%                       for one reason are told but once (default 60000; 0
%%                       tells each)
%%   eid_cluster         the label of the containers, and the hosts, to whose
%%                       nodes this one connects by itself (default off): see
%%                       eid_cluster_setting
%%
%% and the sizes of a connection, in bytes, whose defaults are the driver's
%% (Tuning.swift): eid_high_watermark, eid_low_watermark, eid_staging_limit,
%% eid_unsent_limit, eid_near_receive_buffer, eid_receive_chunk.
-module(eid_settings).

-export([get/1, check/0, tuning/0, is_allowed/2, all/2, is_text/1,
         strings/1]).

-export_type([key/0, cluster/0]).

-type key() :: erlang_port | docker_daemon_port | docker_tls
             | docker_cert_path | docker_tls_name | docker_hosts | docker_host
             | eid_lookup | eid_lookup_timeout | eid_allow | eid_handshake_limit
             | eid_handshake_source_limit | eid_log_interval | eid_cluster.
-type size() :: eid_high_watermark | eid_low_watermark | eid_staging_limit
              | eid_unsent_limit | eid_near_receive_buffer
              | eid_receive_chunk.
-type cluster() :: eid_cluster_setting:cluster().

%% With what eid_socket calls them. The high watermark stands before the low
%% one, which has to stay below it.
-define(TUNING, [{eid_high_watermark, high_watermark},
                 {eid_low_watermark, low_watermark},
                 {eid_staging_limit, staging_limit},
                 {eid_unsent_limit, unsent_limit},
                 {eid_near_receive_buffer, near_receive_buffer},
                 {eid_receive_chunk, receive_chunk}]).
-define(MAX_TUNING_BYTES, (1 bsl 30)).

%% Of OTP's own settings, those that are used here are checked as well: an
%% address that is none must not mean that the node listens on all of them.
-define(CHECKED, [erlang_port, docker_daemon_port, docker_tls,
                  docker_cert_path, docker_tls_name, docker_hosts, docker_host,
                  eid_lookup,
                  eid_lookup_timeout, eid_allow, eid_handshake_limit,
                  eid_handshake_source_limit, eid_log_interval, eid_cluster,
                  inet_dist_use_interface, inet_dist_listen_options,
                  inet_dist_connect_options]).

%% The 2014 Erlang-In-Docker's README called it so, and so do settings that
%% were written from it.
-define(OLD_DAEMON_PORT, docker_dameon_port).

%% The value of one setting. Fails with `{bad_setting, Sentence}'.
-spec get(erlang_port) -> inet:port_number();
         (docker_daemon_port) -> inet:port_number();
         (docker_tls) -> boolean();
         (docker_cert_path) -> file:filename();
         (docker_tls_name) -> string() | undefined;
         (docker_hosts) -> [eid_docker_setting:host()];
         (docker_host) -> [eid_docker_setting:host()];
         (eid_lookup) -> docker | direct | loopback;
         (eid_lookup_timeout) -> pos_integer();
         (eid_allow) -> all | [string()];
         (eid_handshake_limit) -> pos_integer();
         (eid_handshake_source_limit) -> pos_integer();
         (eid_log_interval) -> non_neg_integer();
         (eid_cluster) -> off | cluster();
         (inet_dist_listen_options) -> [term()];
         (inet_dist_connect_options) -> [term()];
         (size()) -> undefined | non_neg_integer().
get(Key) ->
    Value = value(Key),
    case is_allowed(Key, Value) of
        true -> Value;
        false -> error({bad_setting, sentence(Key, Value)})
    end.

%% Whether all settings have values that are allowed; otherwise a sentence
%% that names the setting, its value and what is allowed.
-spec check() -> ok | {error, string()}.
check() ->
    warn_of_old_name(),
    Bad = [{Key, Value} || Key <- ?CHECKED
                               ++ [Key || {Key, _} <- ?TUNING],
                           Value <- [value(Key)],
                           not is_allowed(Key, Value)],
    case Bad of
        [] -> ok;
        [{Key, Value} | _] -> {error, sentence(Key, Value)}
    end.

%% The sizes that are set, as options of a connection. Fails as get/1 does.
-spec tuning() -> [{atom(), non_neg_integer()}].
tuning() ->
    [{Option, Bytes} || {Key, Option} <- ?TUNING,
                        Bytes <- [?MODULE:get(Key)],
                        Bytes =/= undefined].

-spec value(atom()) -> term().
value(docker_daemon_port) ->
    case application:get_env(kernel, docker_daemon_port) of
        {ok, Port} ->
            Port;
        undefined ->
            application:get_env(kernel, ?OLD_DAEMON_PORT,
                                default(docker_daemon_port))
    end;
value(Key) when Key =:= docker_hosts; Key =:= docker_host ->
    eid_docker_setting:read(Key);
value(eid_cluster) ->
    eid_cluster_setting:read();
value(Key) when Key =:= docker_cert_path; Key =:= docker_tls_name;
                Key =:= eid_allow ->
    strings(application:get_env(kernel, Key, default(Key)));
value(Key) ->
    application:get_env(kernel, Key, default(Key)).

%% Elixir's strings are binaries.
-spec strings(term()) -> term().
strings(Text) when is_binary(Text) ->
    case unicode:characters_to_list(Text) of
        String when is_list(String) -> String;
        _ -> Text
    end;
strings([Head | Tail]) ->
    [strings(Head) | strings(Tail)];
strings({Key, Value}) ->
    {strings(Key), strings(Value)};
strings(Value) ->
    Value.

-spec default(atom()) -> term().
default(erlang_port) -> 12345;
default(docker_daemon_port) -> 4243;
default(docker_tls) -> os:getenv("DOCKER_TLS_VERIFY", "") =/= "";
default(docker_cert_path) ->
    case os:getenv("DOCKER_CERT_PATH", "") of
        "" -> filename:join(os:getenv("HOME", "/"), ".docker");
        Path -> Path
    end;
default(docker_tls_name) -> undefined;
default(eid_lookup) -> docker;
default(eid_lookup_timeout) -> 5000;
default(eid_allow) -> all;
default(eid_handshake_limit) -> 512;
default(eid_handshake_source_limit) -> 256;
default(eid_log_interval) -> 60000;
default(inet_dist_use_interface) -> any;
default(inet_dist_listen_options) -> [];
default(inet_dist_connect_options) -> [];
default(_Size) -> undefined.

-spec is_allowed(atom(), term()) -> boolean().
is_allowed(erlang_port, Port) ->
    is_integer(Port) andalso Port >= 0 andalso Port =< 65535;
is_allowed(docker_daemon_port, Port) ->
    is_integer(Port) andalso Port >= 1 andalso Port =< 65535;
is_allowed(docker_tls, Tls) ->
    is_boolean(Tls);
is_allowed(docker_cert_path, Path) ->
    is_text(Path);
is_allowed(docker_tls_name, Name) ->
    Name =:= undefined orelse is_text(Name);
is_allowed(Key, Hosts) when Key =:= docker_hosts; Key =:= docker_host ->
    is_list(Hosts);
is_allowed(eid_lookup, Lookup) ->
    lists:member(Lookup, [docker, direct, loopback]);
is_allowed(eid_lookup_timeout, Milliseconds) ->
    is_integer(Milliseconds) andalso Milliseconds >= 1
        andalso Milliseconds =< 120000;
is_allowed(eid_allow, Networks) ->
    Networks =:= all orelse all(fun eid_allow:is_network/1, Networks);
is_allowed(Limit, Count) when Limit =:= eid_handshake_limit;
                              Limit =:= eid_handshake_source_limit ->
    is_integer(Count) andalso Count >= 1;
is_allowed(eid_log_interval, Milliseconds) ->
    is_integer(Milliseconds) andalso Milliseconds >= 0
        andalso Milliseconds =< 86400000;
is_allowed(eid_cluster, Cluster) ->
    Cluster =:= off orelse is_map(Cluster);
is_allowed(inet_dist_use_interface, Ip) ->
    Ip =:= any orelse inet:is_ip_address(Ip);
is_allowed(Key, Options) when Key =:= inet_dist_listen_options;
                              Key =:= inet_dist_connect_options ->
    %% eid_socket looks at each.
    all(fun(_) -> true end, Options);
is_allowed(_Size, undefined) ->
    true;
is_allowed(Size, Bytes) ->
    is_integer(Bytes) andalso Bytes >= least(Size)
        andalso Bytes =< ?MAX_TUNING_BYTES.

%% Whether it is a list, with an end, of nothing else.
-spec all(fun((term()) -> boolean()), term()) -> boolean().
all(Is, [Value | Values]) ->
    Is(Value) andalso all(Is, Values);
all(_Is, Rest) ->
    Rest =:= [].

-spec is_text(term()) -> boolean().
is_text(Text) ->
    Text =/= [] andalso io_lib:printable_unicode_list(Text).

%% 0 turns off what is a limit.
-spec least(atom()) -> non_neg_integer().
least(eid_high_watermark) -> 1;
least(eid_receive_chunk) -> 4096;
least(_Size) -> 0.

-spec sentence(atom(), term()) -> string().
sentence(Key, {error, Sentence}) when Key =:= docker_hosts;
                                      Key =:= docker_host;
                                      Key =:= eid_cluster ->
    Sentence;
sentence(Key, Value) ->
    lists:flatten(
      io_lib:format("the kernel setting ~s is ~tp, but must be ~s",
                    [Key, Value, allowed(Key)])).

-spec allowed(atom()) -> iolist().
allowed(erlang_port) ->
    "a port number from 1 to 65535, or 0 for any free port";
allowed(docker_daemon_port) ->
    "a port number from 1 to 65535";
allowed(docker_tls) ->
    "true or false";
allowed(docker_cert_path) ->
    "a directory as a string, such as \"/etc/eid/docker\"";
allowed(docker_tls_name) ->
    "the name in the daemons' certificates, such as \"docker.example\"";
allowed(eid_lookup) ->
    "docker, direct or loopback";
allowed(eid_lookup_timeout) ->
    "a number of milliseconds from 1 to 120000";
allowed(eid_allow) ->
    "a list of addresses and networks, such as "
        "[\"10.77.0.0/16\", \"fd00::1\"]";
allowed(Limit) when Limit =:= eid_handshake_limit;
                    Limit =:= eid_handshake_source_limit ->
    "a number of connections, at least 1";
allowed(eid_log_interval) ->
    "a number of milliseconds from 0 to 86400000 (a day)";
allowed(inet_dist_use_interface) ->
    "an address as a tuple, such as {127,0,0,1}";
allowed(Key) when Key =:= inet_dist_listen_options;
                  Key =:= inet_dist_connect_options ->
    "a list of options, such as [{recbuf,1000000}]";
allowed(Size) ->
    io_lib:format("a number of bytes from ~w to ~w",
                  [least(Size), ?MAX_TUNING_BYTES]).

-spec warn_of_old_name() -> ok.
warn_of_old_name() ->
    case {application:get_env(kernel, ?OLD_DAEMON_PORT),
          application:get_env(kernel, docker_daemon_port)} of
        {undefined, _} ->
            ok;
        {{ok, _}, New} ->
            Use = case New of
                      undefined -> "is used for it";
                      {ok, _} -> "is ignored, for both are set"
                  end,
            eid_report:warning(
              old_setting_name,
              io_lib:format("the kernel setting ~s is an old misspelling of "
                            "docker_daemon_port and ~s; please rename it",
                            [?OLD_DAEMON_PORT, Use]))
    end.
