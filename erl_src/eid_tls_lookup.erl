%% SPDX-License-Identifier: Apache-2.0

%% The published-port lookup over TLS: the connection is OTP's ssl, what is sent
%% and how the answer is read is the driver's, as without TLS.
%%
%% A lookup is made while kernel starts, too (sync_nodes_mandatory), when no
%% application can be started. So where ssl does not run, this does what
%% inet_tls_dist does: it has the processes that OTP's TLS distribution uses
%% (ssl_dist_sup) started below net_sup, and connections use them by the option
%% erl_dist. They are temporary there, so that nothing else ends with them.
%%
%% Files are read at each lookup, by erl_prim_loader: file_server is not there
%% yet, and certificates are renewed while nodes run.
-module(eid_tls_lookup).

-export([lookup/5, list/5, open_events/5, relay/5]).

%% In one command (ControlCommand.swift).
-define(MAX_FEED_BYTES, (64 * 1024)).

%% Of a list that is never asked for.
-define(ANY_PORT, 12345).
-define(ANY_LABEL, "any").

%% To see whether two keys belong together.
-define(SIGNED, <<"eid">>).

-type failure() :: {atom(), string()}.
-type result() :: {ok, binary()} | {error, failure()}.

%% What all of one lookup needs.
-record(lookup, {port :: eid_socket:socket(),
                 daemon :: eid_epmd:daemon(),
                 %% How the sentences of its failures begin.
                 what :: iodata(),
                 %% In milliseconds, monotonic.
                 ends :: integer()}).

%% As eid_socket:lookup/5.
-spec lookup(eid_epmd:daemon(), inet:ip_address(), pos_integer(),
             inet:port_number(), string()) ->
          {ok, inet:port_number()} | {error, failure()}.
lookup(Daemon, Ip, Deadline, ListenPort, Container) ->
    What = io_lib:format("look up port ~w of container ~ts",
                         [ListenPort, Container]),
    Begun = eid_socket:lookup_over(endpoint(Daemon), Ip, ListenPort,
                                   Container),
    case run(Begun, What, Daemon, Deadline, fun ask/2) of
        {ok, Result} -> {ok, eid_socket:published_port(Result)};
        {error, _} = Error -> Error
    end.

%% As eid_socket:list/5.
-spec list(eid_epmd:daemon(), inet:ip_address(), pos_integer(),
           inet:port_number(), string()) ->
          {ok, [eid_socket:container()]} | {error, failure()}.
list(Daemon, Ip, Deadline, ListenPort, Label) ->
    Begun = eid_socket:list_over(endpoint(Daemon), Ip, ListenPort, Label),
    case run(Begun, "list the containers", Daemon, Deadline, fun ask/2) of
        {ok, Result} -> {ok, eid_socket:containers(Result)};
        {error, _} = Error -> Error
    end.

%% A connection on which events of containers that have Label were asked for.
%% It is the caller's, and passive.
-spec open_events(eid_epmd:daemon(), inet:ip_address(), pos_integer(),
                  inet:port_number(), string()) ->
          {ok, ssl:sslsocket()} | {error, failure()}.
open_events(Daemon, Ip, Deadline, ListenPort, Label) ->
    {ok, Request} = eid_socket:events_request(endpoint(Daemon), Label),
    %% The sentences of a list's failures serve for it as well.
    Begun = eid_socket:list_over(endpoint(Daemon), Ip, ListenPort, Label),
    Open = fun(_Request, Lookup) -> open(Request, Lookup) end,
    run(Begun, "ask for events", Daemon, Deadline, Open).

%% Asks for a list of containers with a request of the caller's own, and has him
%% read the answer: Fun gets it piece by piece, until the daemon closes.
-spec relay(eid_epmd:daemon(), inet:ip_address(), pos_integer(), binary(),
            fun((binary()) -> term())) -> ok | {error, failure()}.
relay(Daemon, Ip, Deadline, Request, Fun) ->
    %% For the sentences of failures.
    Begun = eid_socket:list_over(endpoint(Daemon), Ip, ?ANY_PORT,
                                 ?ANY_LABEL),
    Do = fun(_Request, Lookup) ->
                 case open(Request, Lookup) of
                     {ok, Tls} ->
                         try
                             pass_on(Tls, answer_timeout, Lookup, Fun)
                         after
                             ssl:close(Tls)
                         end;
                     {error, _} = Error ->
                         Error
                 end
         end,
    case run(Begun, "list the containers", Daemon, Deadline, Do) of
        {ok, closed} -> ok;
        {error, _} = Error -> Error
    end.

-spec endpoint(eid_epmd:daemon()) -> eid_socket:endpoint().
endpoint(#{address := Ip, port := Port}) ->
    {Ip, Port}.

-spec pass_on(ssl:sslsocket(), answer_timeout | answer_stalled, #lookup{},
              fun((binary()) -> term())) -> {ok, closed} | {error, failure()}.
pass_on(Tls, Late, Lookup, Fun) ->
    case ssl:recv(Tls, 0, left(Lookup)) of
        {ok, Bytes} ->
            Fun(Bytes),
            pass_on(Tls, answer_stalled, Lookup, Fun);
        {error, closed} when Late =:= answer_stalled ->
            {ok, closed};
        {error, Reason} ->
            {error, _} = ended(Reason, Late, Lookup)
    end.

-spec run({ok, eid_socket:socket(), binary()} | {error, failure()}, iodata(),
          eid_epmd:daemon(), pos_integer(),
          fun((binary(), #lookup{}) -> {ok, Result} | {error, failure()})) ->
          {ok, Result} | {error, failure()}.
run(Begun, What, Daemon, Deadline, Do) ->
    Ends = erlang:monotonic_time(millisecond) + Deadline,
    case Begun of
        {ok, Port, Request} ->
            Lookup = #lookup{port = Port, daemon = Daemon, what = What,
                             ends = Ends},
            try
                Do(Request, Lookup)
            catch
                throw:{failed, Reason, Sentence} ->
                    {error, {Reason, sentence(Sentence, Lookup)}}
            after
                eid_socket:close(Port)
            end;
        Error ->
            Error
    end.

%% ---------------------------------------------------------------------
%% The connection
%% ---------------------------------------------------------------------

-spec ask(binary(), #lookup{}) -> result().
ask(Request, Lookup) ->
    case open(Request, Lookup) of
        {ok, Tls} ->
            try
                receive_answer(Tls, answer_timeout, Lookup)
            after
                ssl:close(Tls)
            end;
        {error, _} = Error ->
            Error
    end.

%% Connects, and sends the request.
-spec open(binary(), #lookup{}) -> {ok, ssl:sslsocket()} | {error, failure()}.
open(Request, #lookup{port = Port, daemon = Daemon} = Lookup) ->
    {Ip, DaemonPort} = endpoint(Daemon),
    Options = options(Lookup) ++ start_ssl(),
    Family = case tuple_size(Ip) of
                 4 -> inet;
                 8 -> inet6
             end,
    case gen_tcp:connect(Ip, DaemonPort, [Family, binary, {active, false}],
                         left(Lookup)) of
        {ok, Socket} ->
            try handshake(Socket, Options, Lookup) of
                Tls -> send(Tls, Request, Lookup)
            catch
                throw:Failed ->
                    %% It has not become that of a TLS connection.
                    gen_tcp:close(Socket),
                    throw(Failed)
            end;
        {error, timeout} ->
            {error, _} = eid_socket:feed_end(Port, connect_timeout);
        {error, Reason} ->
            {error, _} = eid_socket:feed_end(Port, Reason)
    end.

-spec send(ssl:sslsocket(), binary(), #lookup{}) ->
          {ok, ssl:sslsocket()} | {error, failure()}.
send(Tls, Request, Lookup) ->
    case ssl:send(Tls, Request) of
        ok ->
            {ok, Tls};
        {error, Reason} ->
            try
                {error, _} = ended(Reason, answer_timeout, Lookup)
            after
                ssl:close(Tls)
            end
    end.

-spec handshake(gen_tcp:socket(), [term()], #lookup{}) -> ssl:sslsocket().
handshake(Socket, Options, Lookup) ->
    case connect(Socket, Options, left(Lookup)) of
        {ok, Tls} ->
            Tls;
        {error, timeout} ->
            failed(tls_timeout,
                   "the TLS handshake did not end in time: the daemon hangs "
                   "or is stopped, or speaks no TLS");
        {error, closed} ->
            closed(Lookup);
        {error, {tls_alert, Alert}} ->
            alert(Alert, Lookup);
        {error, crashed} ->
            failed(tls_failed,
                   ["OTP's ssl has crashed, see its report in the log: check "
                    "the files in ", directory(Lookup)]);
        {error, Reason} ->
            failed(tls_failed,
                   io_lib:format("TLS is not possible (~0tP)", [Reason, 12]))
    end.

%% The daemon's alert is lost where it closes before it has read all: then say
%% what is certainly wrong here.
-spec closed(#lookup{}) -> no_return().
closed(Lookup) ->
    case judge_client(Lookup) of
        Judged when Judged =:= other_key; Judged =:= expired ->
            refused_by_daemon(certificate_unknown, Lookup);
        _ ->
            failed(tls_closed,
                   "the connection was closed in the TLS handshake: see the "
                   "daemon's log, and check that it speaks TLS")
    end.

%% The connection's process may die of what it is given.
-spec connect(gen_tcp:socket(), [term()], timeout()) ->
          {ok, ssl:sslsocket()} | {error, term()}.
connect(Socket, Options, Timeout) ->
    try
        ssl:connect(Socket, Options, Timeout)
    catch
        exit:_ -> {error, crashed}
    end.

%% Late says what it is called when no more comes in time.
-spec receive_answer(ssl:sslsocket(), answer_timeout | answer_stalled,
                     #lookup{}) -> result().
receive_answer(Tls, Late, #lookup{port = Port} = Lookup) ->
    case ssl:recv(Tls, 0, left(Lookup)) of
        {ok, Bytes} ->
            case feed(Port, Bytes) of
                more -> receive_answer(Tls, answer_stalled, Lookup);
                Result -> Result
            end;
        {error, Reason} ->
            ended(Reason, Late, Lookup)
    end.

-spec feed(eid_socket:socket(), binary()) -> more | result().
feed(Port, Bytes) when byte_size(Bytes) > ?MAX_FEED_BYTES ->
    %% A pattern would do, but OTP 29 does not load what OTP 25 makes of it.
    {First, Rest} = split_binary(Bytes, ?MAX_FEED_BYTES),
    case eid_socket:feed(Port, First) of
        more -> feed(Port, Rest);
        Result -> Result
    end;
feed(Port, Bytes) ->
    eid_socket:feed(Port, Bytes).

-spec ended(term(), answer_timeout | answer_stalled, #lookup{}) -> result().
ended(timeout, Late, #lookup{port = Port}) ->
    eid_socket:feed_end(Port, Late);
ended({tls_alert, Alert}, _Late, Lookup) ->
    %% In TLS 1.3 the client has done with the handshake before the server
    %% says what it thinks of the client's certificate.
    alert(Alert, Lookup);
ended(Reason, answer_timeout, #lookup{port = Port} = Lookup)
  when Reason =:= closed; Reason =:= econnreset; Reason =:= epipe ->
    %% And what it says is lost, where it closes before it is asked for.
    case judge_client(Lookup) of
        good -> eid_socket:feed_end(Port, Reason);
        _ -> refused_by_daemon(certificate_unknown, Lookup)
    end;
ended(Reason, _Late, #lookup{port = Port}) when is_atom(Reason) ->
    eid_socket:feed_end(Port, Reason);
ended(Reason, _Late, _Lookup) ->
    failed(tls_failed, io_lib:format("TLS failed (~0tP)", [Reason, 12])).

-spec left(#lookup{}) -> non_neg_integer().
left(#lookup{ends = Ends}) ->
    max(0, Ends - erlang:monotonic_time(millisecond)).

%% The option that a connection needs where the application does not run.
-spec start_ssl() -> [{erl_dist, true}].
start_ssl() ->
    case code:ensure_loaded(ssl) of
        {module, ssl} ->
            ok;
        {error, _} ->
            failed(no_ssl,
                   "docker_tls is set, but this Erlang has no ssl: add it to "
                   "the image (Debian: erlang-ssl) or to the release")
    end,
    case whereis(ssl_sup) of
        undefined ->
            Child = #{id => ssl_dist_sup,
                      start => {ssl_dist_sup, start_link, []},
                      restart => temporary, shutdown => infinity,
                      type => supervisor},
            try supervisor:start_child(net_sup, Child) of
                {ok, _} ->
                    [{erl_dist, true}];
                {error, {already_started, _}} ->
                    [{erl_dist, true}];
                {error, Reason} ->
                    failed(no_ssl, io_lib:format("ssl cannot be started "
                                                 "(~0tP)", [Reason, 12]))
            catch
                exit:_ ->
                    failed(no_ssl, "ssl does not run, and neither does the "
                           "distribution: application:ensure_all_started(ssl)")
            end;
        _ ->
            []
    end.

%% ---------------------------------------------------------------------
%% Certificates
%% ---------------------------------------------------------------------

-spec options(#lookup{}) -> [term()].
options(#lookup{daemon = #{tls_name := Name}} = Lookup) ->
    Https = public_key:pkix_verify_hostname_match_fun(https),
    [{verify, verify_peer}, {cacerts, authorities(Lookup)},
     {versions, ['tlsv1.3', 'tlsv1.2']},
     {customize_hostname_check, [{match_fun, Https}]},
     %% It would tell at each lookup what is told here.
     {log_level, none}]
        ++ [{server_name_indication, Name} || is_list(Name)]
        ++ client_certificate(Lookup).

-spec authorities(#lookup{}) -> [binary()].
authorities(Lookup) ->
    case certificates("ca.pem", Lookup) of
        {ok, Authorities} ->
            Authorities;
        none ->
            failed(tls_file,
                   [path("ca.pem", Lookup), " cannot be read: put the "
                    "certificate of the authority that signs for the daemons "
                    "there, or set docker_cert_path"])
    end.

%% Without one there may be a daemon that wants none (dockerd --tls).
-spec client_certificate(#lookup{}) -> [term()].
client_certificate(Lookup) ->
    case {certificates("cert.pem", Lookup), pem("key.pem", Lookup)} of
        {none, none} ->
            [];
        {none, {ok, _}} ->
            half("cert.pem", "key.pem", Lookup);
        {{ok, _}, none} ->
            half("key.pem", "cert.pem", Lookup);
        {{ok, Chain}, {ok, Entries}} ->
            is_certificate(hd(Chain))
                orelse damaged("cert.pem", "certificate", Lookup),
            {Type, Der, _} = private_key(Entries, Lookup),
            [{cert, Chain}, {key, {Type, Der}}]
    end.

%% That of key.pem. (What cannot be decoded would crash the process of the TLS
%% connection.)
-spec private_key([public_key:pem_entry()], #lookup{}) ->
          public_key:pem_entry().
private_key(Entries, Lookup) ->
    case [Entry || {Type, _, not_encrypted} = Entry <- Entries,
                   lists:member(Type, ['RSAPrivateKey', 'DSAPrivateKey',
                                       'ECPrivateKey', 'PrivateKeyInfo'])] of
        [Entry | _] ->
            try public_key:pem_entry_decode(Entry) of
                _ -> Entry
            catch
                _:_ -> damaged("key.pem", "private key", Lookup)
            end;
        [] ->
            failed(tls_file, [path("key.pem", Lookup), " has no private key, "
                              "or one with a password: put one without "
                              "there"])
    end.

-spec is_certificate(binary()) -> boolean().
is_certificate(Der) ->
    try public_key:pkix_decode_cert(Der, plain) of
        _ -> true
    catch
        _:_ -> false
    end.

-spec damaged(string(), string(), #lookup{}) -> no_return().
damaged(Name, What, Lookup) ->
    failed(tls_file, [path(Name, Lookup), " is damaged: put the ", What,
                      " there again"]).

-spec half(string(), string(), #lookup{}) -> no_return().
half(Missing, There, Lookup) ->
    failed(tls_file, [path(Missing, Lookup), " cannot be read, but ", There,
                      " beside it is there: put both there, or none"]).

-spec certificates(string(), #lookup{}) -> {ok, [binary()]} | none.
certificates(Name, Lookup) ->
    case pem(Name, Lookup) of
        {ok, Entries} ->
            case [Der || {'Certificate', Der, not_encrypted} <- Entries] of
                [] -> failed(tls_file, [path(Name, Lookup), " has no "
                                        "certificate in PEM form"]);
                Certificates -> {ok, Certificates}
            end;
        none ->
            none
    end.

-spec pem(string(), #lookup{}) -> {ok, [public_key:pem_entry()]} | none.
pem(Name, Lookup) ->
    case erl_prim_loader:get_file(path(Name, Lookup)) of
        {ok, Bytes, _} ->
            try
                {ok, public_key:pem_decode(Bytes)}
            catch
                _:_ -> {ok, []}
            end;
        error ->
            none
    end.

-spec path(string(), #lookup{}) -> string().
path(Name, Lookup) ->
    filename:join(directory(Lookup), Name).

-spec directory(#lookup{}) -> string().
directory(#lookup{daemon = #{cert_path := Directory}}) ->
    Directory.

%% What is wrong with the client's certificate, as far as can be told here.
-spec judge_client(#lookup{}) ->
          none | expired | stranger | other_key | good.
judge_client(Lookup) ->
    case {certificates("cert.pem", Lookup), pem("key.pem", Lookup)} of
        {{ok, Chain}, {ok, Entries}} ->
            case judge(Chain, authorities(Lookup)) of
                {good, PublicKey} ->
                    case is_pair(private_key(Entries, Lookup), PublicKey) of
                        true -> good;
                        false -> other_key
                    end;
                Bad ->
                    Bad
            end;
        _ ->
            none
    end.

%% As public_key:pkix_path_validation/3 gives it.
-type public_key() :: {Algorithm :: term(), Key :: term(),
                       Parameters :: term()}.

-spec judge([binary()], [binary()]) ->
          expired | stranger | {good, public_key()}.
judge(Chain, Authorities) ->
    case [Authority || Authority <- Authorities,
                       {ok, _} <- [validate(Chain, Authority,
                                            fun is_other/1)]] of
        [] ->
            stranger;
        [Authority | _] ->
            case validate(Chain, Authority, fun is_expired/1) of
                {ok, PublicKey} -> {good, PublicKey};
                error -> expired
            end
    end.

-spec is_expired(term()) -> boolean().
is_expired(Reason) ->
    Reason =:= cert_expired.

-spec is_other(term()) -> boolean().
is_other(Reason) ->
    Reason =/= cert_expired.

%% The certificate's key, unless it is bad for such a reason, whatever else it
%% is.
-spec validate([binary()], binary(), fun((term()) -> boolean())) ->
          {ok, public_key()} | error.
validate(Chain, Authority, Matters) ->
    Verify = fun(_, {bad_cert, Reason}, State) ->
                     case Matters(Reason) of
                         true -> {fail, Reason};
                         false -> {valid, State}
                     end;
                (_, {extension, _}, State) ->
                     {unknown, State};
                (_, _, State) ->
                     {valid, State}
             end,
    try public_key:pkix_path_validation(
          Authority, lists:reverse(Chain), [{verify_fun, {Verify, none}}]) of
        {ok, {PublicKey, _}} -> {ok, PublicKey};
        {error, _} -> error
    catch
        %% Certificates that are none.
        error:_ -> error
    end.

%% Whether what the one signs is signed by the other. Of rare kinds of keys it
%% is not found out.
-spec is_pair(public_key:pem_entry(), public_key()) -> boolean().
is_pair(Entry, {_, Key, Parameters}) ->
    try public_key:sign(?SIGNED, sha256, public_key:pem_entry_decode(Entry)) of
        Signature ->
            %% A key of RSA goes without its parameters, others with them.
            not lists:any(fun(Public) -> is_refuted(Signature, Public) end,
                          [Key, {Key, Parameters}])
    catch
        _:_ -> true
    end.

-spec is_refuted(binary(), term()) -> boolean().
is_refuted(Signature, Public) ->
    try
        not public_key:verify(?SIGNED, sha256, Signature, Public)
    catch
        _:_ -> false
    end.

%% ---------------------------------------------------------------------
%% Failures
%% ---------------------------------------------------------------------

%% What the peer has said, or what this side says of the peer.
-spec alert({atom(), string()}, #lookup{}) -> no_return().
alert({Name, Text}, Lookup) ->
    case string:find(Text, "received SERVER ALERT") of
        nomatch -> refused_by_us(Name, Text, Lookup);
        _ -> refused_by_daemon(Name, Lookup)
    end.

-spec refused_by_us(atom(), string(), #lookup{}) -> no_return().
refused_by_us(Name, Text, #lookup{daemon = #{tls_name := Wanted}}
              = Lookup) ->
    Says = fun(Words) -> string:find(Text, Words) =/= nomatch end,
    case {Name, Says("hostname_check_failed"),
          Says("selfsigned_peer")} of
        {_, true, _} ->
            {Kind, NameText} = case is_tuple(Wanted) of
                                   true -> {"IP:", inet:ntoa(Wanted)};
                                   false -> {"DNS:", Wanted}
                               end,
            failed(tls_wrong_name,
                   ["the daemon's certificate is not for ", NameText,
                    ": give it the subjectAltName ", Kind, NameText,
                    ", or set docker_tls_name to a name that it has"]);
        {certificate_expired, _, _} ->
            failed(tls_certificate_expired,
                   "the daemon's certificate has expired, or is not valid "
                   "yet: renew it (dockerd --tlscert), and check the clocks");
        {_, _, SelfSigned} when Name =:= unknown_ca; SelfSigned ->
            failed(tls_unknown_ca,
                   ["the daemon's certificate is not signed by the authority "
                    "in ", path("ca.pem", Lookup), ": put that of the "
                    "daemon's authority there"]);
        _ ->
            %% What is no TLS at all is an unexpected message, or one too long.
            case Says("unsupported_record_type") orelse Says("record_overflow")
                orelse Says("Record Overflow") of
                true ->
                    failed(not_tls,
                           "what answers there speaks no TLS: start dockerd "
                           "with --tlsverify, or set docker_tls to false");
                false ->
                    failed(tls_failed, ["the TLS handshake failed (",
                                        atom_to_list(Name), "): see the "
                                        "daemon's log"])
            end
    end.

-spec refused_by_daemon(atom(), #lookup{}) -> no_return().
refused_by_daemon(Name, Lookup) ->
    Directory = directory(Lookup),
    IsAboutCertificate =
        lists:member(Name, [bad_certificate, certificate_required,
                            certificate_expired, certificate_unknown,
                            unknown_ca, unsupported_certificate,
                            certificate_revoked, access_denied,
                            decrypt_error]),
    case judge_client(Lookup) of
        none when IsAboutCertificate; Name =:= handshake_failure ->
            failed(tls_no_client_certificate,
                   ["the daemon wants a client certificate: put cert.pem and "
                    "key.pem, signed by the authority of its --tlscacert, "
                    "into ", Directory]);
        other_key ->
            failed(tls_file,
                   [path("key.pem", Lookup), " is not the private key of ",
                    path("cert.pem", Lookup), ": put both there, as they "
                    "were made together"]);
        Judged when IsAboutCertificate, Judged =:= expired;
                    Name =:= certificate_expired ->
            failed(tls_client_certificate_expired,
                   ["the client certificate ", path("cert.pem", Lookup),
                    " has expired, or is not valid yet: renew it, and check "
                    "the clocks"]);
        _ when IsAboutCertificate ->
            failed(tls_client_certificate_refused,
                   ["the daemon does not accept the client certificate ",
                    path("cert.pem", Lookup), ": have it signed by the "
                    "authority of the daemon's --tlscacert, for clients "
                    "(extendedKeyUsage clientAuth)"]);
        _ ->
            failed(tls_failed, ["the daemon ended the TLS handshake (",
                                atom_to_list(Name), "): see its log"])
    end.

-spec failed(atom(), iodata()) -> no_return().
failed(Reason, Sentence) ->
    throw({failed, Reason, Sentence}).

%% As LookupFailure+Sentence.swift begins them.
-spec sentence(iodata(), #lookup{}) -> string().
sentence(Sentence, #lookup{daemon = Daemon, what = What}) ->
    lists:flatten(
      io_lib:format("cannot ~ts at Docker daemon ~s: ~ts",
                    [What, eid_socket:format(endpoint(Daemon)), Sentence])).
