%% SPDX-License-Identifier: Apache-2.0

%% OTP's own carriers with eid_epmd: inet_tls, and inet_tcp, which speaks the
%% same on the wire as eid_tcp; directly and through the Docker lookup. And
%% files of a lookup over TLS that are wrong. (Tests/tls/run has real daemons.)
-module(eid_tls_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1,
         init_per_testcase/2, end_per_testcase/2]).

-export([tls_direct/1, tls_through_docker/1, tls_checks_certificates/1,
         tls_and_another_carrier/1, tls_lookup_with_damaged_files/1,
         tls_lookup_with_another_key/1, tls_handshake_that_is_closed/1,
         inet_tcp_direct/1,
         inet_tcp_through_docker/1, inet_tcp_says_why_a_lookup_failed/1]).

%% id-ce-subjectAltName
-define(SUBJECT_ALT_NAME, {2, 5, 29, 17}).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [tls_direct, tls_through_docker, tls_checks_certificates,
     tls_and_another_carrier, tls_lookup_with_damaged_files,
     tls_lookup_with_another_key, tls_handshake_that_is_closed,
     inet_tcp_direct, inet_tcp_through_docker,
     inet_tcp_says_why_a_lookup_failed].

init_per_suite(Config) ->
    %% All that is done here is done once, whatever the carrier of the run.
    ok = eid_peers:only("eid_tcp"),
    [{has_ssl, has_ssl()} | Config].

end_per_suite(_Config) ->
    ok.

init_per_testcase(Case, Config) ->
    case {atom_to_list(Case), proplists:get_value(has_ssl, Config)} of
        {"tls_" ++ _, false} -> {skip, "there is no ssl (erlang-ssl)"};
        _ -> Config
    end.

end_per_testcase(_Case, _Config) ->
    ok.

%% Here, for the certificates, and in the nodes.
has_ssl() ->
    is_list(code:lib_dir(public_key))
        andalso eid_proc:erl(
                  ["-boot", "no_dot_erlang", "-eval",
                   "io:put_chars([$y || is_list(code:lib_dir(ssl))]), "
                   "halt()."]) =:= {0, <<"y">>}.

%% ---------------------------------------------------------------------
%% TLS
%% ---------------------------------------------------------------------

tls_direct(Config) ->
    [HostA, HostB] = hosts(2),
    Args = ["-ssl_dist_optfile", optfile(Config, [HostA, HostB])],
    [A, B] = eid_peers:start_all(
               [#{name => Name, host => Host, carrier => "inet_tls",
                  args => Args} || {Name, Host} <- [{"a", HostA},
                                                    {"b", HostB}]]),
    [only_listens_at(Peer, eid_peers:port()) || Peer <- [A, B]],
    both_ways(A, B),
    is_tls(A, B, eid_peers:port()),
    [] = eid_peers:logged(A, "eid:"),
    [] = eid_peers:logged(B, "eid:"),
    ok.

%% The listen port of the containers is one, their published ports are others.
tls_through_docker(Config) ->
    [HostA, HostB] = hosts(2),
    Args = ["-ssl_dist_optfile", optfile(Config, [HostA, HostB])],
    [A, B] = in_containers(
               [#{host => Host, carrier => "inet_tls", args => Args}
                || Host <- [HostA, HostB]]),
    both_ways(A, B),
    is_tls(A, B, published_port(B)),
    ok.

%% A node with a certificate of another authority is refused, by both.
tls_checks_certificates(Config) ->
    [HostA, HostB] = Hosts = hosts(2),
    [A, #{node := NodeB} = B] =
        eid_peers:start_all(
          [#{name => "x", host => Host, carrier => "inet_tls",
             args => ["-ssl_dist_optfile", optfile(Config, Hosts)]}
           || Host <- [HostA, HostB]]),
    false = eid_peers:call(A, net_kernel, connect_node, [NodeB]),
    [_] = eid_peers:await_log(A, "Unknown CA"),
    [] = eid_peers:call(A, erlang, nodes, [connected]),
    [] = eid_peers:call(B, erlang, nodes, [connected]),
    ok.

%% Neither waits for the other for ever, and both go on.
tls_and_another_carrier(Config) ->
    [Host] = Hosts = hosts(1),
    [#{node := NodeT} = T, #{node := NodeE} = E] =
        eid_peers:start_all(
          [#{name => "t", host => Host, carrier => "inet_tls",
             kernel => [{net_setuptime, 3}],
             args => ["-ssl_dist_optfile", optfile(Config, Hosts)]},
           #{name => "e", kernel => [{net_setuptime, 3}]}]),
    false = eid_peers:call(E, net_kernel, connect_node, [NodeT]),
    [_] = eid_peers:await_log(E, ["cannot connect to ",
                                  atom_to_list(NodeT), ": "]),
    false = eid_peers:call(T, net_kernel, connect_node, [NodeE]),
    %% What a TLS node sends first is no handshake of this carrier.
    [_] = eid_peers:await_log(E, "closed the connection from .* not those of "
                              "an Erlang node"),
    2 = length(eid_peers:logged(E, ".")),
    [Last] = eid_peers:start_all([#{name => "f"}]),
    both_ways(E, Last).

%% Files in PEM form, of which what is in it is broken.
tls_lookup_with_damaged_files(Config) ->
    #{host := Host} = A = eid_peers:start(#{name => "a", kernel => docker()}),
    _ = eid_daemon:start(Host),
    #{client_config := Client} = test_data([Host], rsa()),
    {KeyType, Key} = proplists:get_value(key, Client),
    Certificate = proplists:get_value(cert, Client),
    [begin
         Directory = directory(Config, Cert, KeyOf, Client),
         {error, {tls_file, Sentence}} = look_up(A, Directory),
         match = re:run(Sentence, Name ++ " is damaged: put the ",
                        [{capture, none}]),
         Node = eid_daemon:container() ++ "@" ++ Host,
         false = eid_peers:call(A, net_kernel, connect_node,
                                [list_to_atom(Node)]),
         [_] = eid_peers:await_log(A, ["cannot connect to ", Node, ": .*",
                                       Name, " is damaged"])
     end || {Name, Cert, KeyOf} <-
                [{"key.pem", Certificate, {KeyType, damaged(Key)}},
                 {"key.pem", Certificate, {'PrivateKeyInfo', <<"key">>}},
                 {"cert.pem", damaged(Certificate), {KeyType, Key}}]],
    [] = eid_peers:logged(A, "crash|CRASH|terminat"),
    ok.

damaged(Der) ->
    binary:part(Der, 0, byte_size(Der) - 1).

%% A daemon does not say what it dislikes: it is found out here.
tls_lookup_with_another_key(Config) ->
    #{host := Host} = A = eid_peers:start(#{name => "a", kernel => docker()}),
    Server = eid_peers:start(#{name => none}),
    [begin
         #{server_config := Daemon, client_config := Client} =
             test_data([Host], Keys),
         #{client_config := Other} = test_data([Host], Keys),
         Listener = tls_daemon(Server, Host, Version, Daemon),
         [begin
              Directory = directory(Config, proplists:get_value(cert, Client),
                                    proplists:get_value(key, Of), Client),
              {error, {Reason, Sentence}} = look_up(A, Directory),
              {Version, Of, IsFile, _, _} =
                  {Version, Of, Reason =:= tls_file, Reason, Sentence},
              _ = [match = re:run(Sentence, "/key.pem is not the private key "
                                  "of .*/cert.pem: ", [{capture, none}])
                   || IsFile]
          end || {Of, IsFile} <- [{Other, true}, {Client, false}]],
         true = eid_peers:call(Server, erlang, exit, [Listener, kill])
     end || Version <- ['tlsv1.2', 'tlsv1.3'],
            Keys <- [rsa() | [curve() || eid_peers:release() < 29]]],
    ok.

%% As where the daemon's alert is lost: what is wrong here is said all the same.
tls_handshake_that_is_closed(Config) ->
    #{host := Host} = A = eid_peers:start(#{name => "a", kernel => docker()}),
    Server = eid_peers:start(#{name => none}),
    Ip = eid_peers:address(Host),
    Port = eid_daemon:port(),
    ok = eid_peers:run(
           Server,
           fun() ->
                   Self = self(),
                   spawn(fun() ->
                                 {ok, Listener} =
                                     gen_tcp:listen(Port,
                                                    [{ip, Ip},
                                                     {reuseaddr, true},
                                                     {active, false}]),
                                 Self ! ready,
                                 closing_loop(Listener)
                         end),
                   receive ready -> ok end
           end),
    #{client_config := Client} = test_data([Host], rsa()),
    #{client_config := Other} = test_data([Host], rsa()),
    [begin
         Directory = directory(Config, proplists:get_value(cert, Client),
                               proplists:get_value(key, Of), Client),
         {error, {Reason, Sentence}} = look_up(A, Directory),
         match = re:run(Sentence, Words, [{capture, none}])
     end || {Of, Reason, Words} <-
                [{Other, tls_file, "/key.pem is not the private key of "},
                 {Client, tls_closed, "closed in the TLS handshake"}]],
    ok.

%% Reads a byte of each connection, and closes it.
closing_loop(Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    _ = gen_tcp:recv(Socket, 1),
    ok = gen_tcp:close(Socket),
    closing_loop(Listener).

%% Wants a certificate, and closes when it has got one.
tls_daemon(Peer, Host, Version, Options) ->
    {ok, _} = eid_peers:call(Peer, application, ensure_all_started, [ssl]),
    Ip = eid_peers:address(Host),
    Port = eid_daemon:port(),
    eid_peers:run(
      Peer,
      fun() ->
              Self = self(),
              Pid = spawn(
                      fun() ->
                              {ok, Listener} =
                                  ssl:listen(Port,
                                             [{ip, Ip}, {reuseaddr, true},
                                              {verify, verify_peer},
                                              {fail_if_no_peer_cert, true},
                                              {log_level, none},
                                              {versions, [Version]}
                                              | Options]),
                              Self ! ready,
                              tls_loop(Listener)
                      end),
              receive ready -> Pid end
      end).

tls_loop(Listener) ->
    {ok, Socket} = ssl:transport_accept(Listener),
    _ = case ssl:handshake(Socket, 5000) of
            {ok, Tls} -> ssl:close(Tls);
            {error, _} -> ok
        end,
    tls_loop(Listener).

look_up(#{host := Host} = A, Directory) ->
    [ok = eid_peers:call(A, application, set_env, [kernel, Key, Value])
     || {Key, Value} <- [{docker_tls, true}, {docker_cert_path, Directory}]],
    eid_peers:call(A, eid_epmd, look_up, ["c0ffeec0ffee", Host]).

%% A new one, with files for docker_cert_path.
directory(Config, Certificate, {KeyType, Key}, Client) ->
    Directory = new_path(Config),
    ok = file:make_dir(Directory),
    Authorities = proplists:get_value(cacerts, Client),
    [ok = file:write_file(filename:join(Directory, Name),
                          public_key:pem_encode(
                            [{Type, Der, not_encrypted}
                             || {Type, Der} <- Entries]))
     || {Name, Entries} <-
            [{"ca.pem", [{'Certificate', Der} || Der <- Authorities]},
             {"cert.pem", [{'Certificate', Certificate}]},
             {"key.pem", [{KeyType, Key}]}]],
    Directory.

%% ---------------------------------------------------------------------
%% inet_tcp
%% ---------------------------------------------------------------------

inet_tcp_direct(_Config) ->
    [Stock1, Stock2, Eid] =
        eid_peers:start_all([#{name => "s1", carrier => "inet_tcp"},
                             #{name => "s2", carrier => "inet_tcp"},
                             #{name => "e"}]),
    [only_listens_at(Peer, eid_peers:port())
     || Peer <- [Stock1, Stock2, Eid]],
    both_ways(Stock1, Stock2),
    both_ways(Stock1, Eid),
    [] = [Line || Peer <- [Stock1, Stock2, Eid],
                  Line <- eid_peers:logged(Peer, "eid:")],
    ok.

inet_tcp_through_docker(_Config) ->
    [Stock1, Stock2, Eid] =
        in_containers([#{carrier => "inet_tcp"}, #{carrier => "inet_tcp"},
                       #{}]),
    both_ways(Stock1, Stock2),
    both_ways(Stock1, Eid),
    ok.

%% The stock carriers drop the reason; eid_epmd has logged it.
inet_tcp_says_why_a_lookup_failed(_Config) ->
    #{host := Host} = A =
        eid_peers:start(#{name => "a", carrier => "inet_tcp",
                          kernel => docker()}),
    Node = "c0ffeec0ffee@" ++ Host,
    Connect = fun() ->
                      eid_peers:call(A, net_kernel, connect_node,
                                     [list_to_atom(Node)])
              end,
    false = Connect(),
    [_] = eid_peers:await_log(A, ["cannot connect to ", Node,
                                  ": .*the connection was refused"]),
    _ = eid_daemon:start(Host),
    false = Connect(),
    [_] = eid_peers:await_log(A, ["cannot connect to ", Node,
                                  ": .*no such container"]),
    2 = length(eid_peers:logged(A, ".")),
    ok.

%% ---------------------------------------------------------------------
%% Helpers
%% ---------------------------------------------------------------------

hosts(Number) ->
    [eid_peers:host() || _ <- lists:seq(1, Number)].

docker() ->
    [{eid_lookup, docker}, {docker_daemon_port, eid_daemon:port()}].

%% Nodes that are in containers, as far as they can tell: each is named after
%% one, and listens on a port that only the daemon of its host knows.
in_containers(All) ->
    Peers = eid_peers:start_all(
              [Options#{name => eid_daemon:container(),
                        kernel => [{erlang_port, 0} | docker()]}
               || Options <- All]),
    lists:foreach(
      fun(#{node := Node, host := Host} = Peer) ->
              %% Whoever takes any free port looks for the others' default.
              ok = eid_peers:call(Peer, application, set_env,
                                  [kernel, erlang_port, eid_peers:port()]),
              [Container, Host] = string:lexemes(atom_to_list(Node), "@"),
              Ports = eid_daemon:published("0.0.0.0", published_port(Peer)),
              ok = eid_daemon:set(eid_daemon:start(Host), Container,
                                  eid_daemon:chunked(
                                    eid_daemon:inspect(Container,
                                                       #{ports => Ports})))
      end, Peers),
    Peers.

published_port(#{os_pid := OsPid}) ->
    [{_, Port}] = eid_proc:listening(OsPid),
    Port.

only_listens_at(#{os_pid := OsPid}, Port) ->
    [{_, Port}] = eid_proc:listening(OsPid),
    ok.

%% Connects one to the other and back, and sends something large each time.
both_ways(A, B) ->
    [begin
         ok = eid_peers:connect(From, To),
         Data = rand:bytes(300000),
         Md5 = erlang:md5(Data),
         Md5 = eid_peers:call(From, erpc, call,
                              [Node, erlang, md5, [Data]]),
         ok = eid_peers:disconnect(From, To)
     end || {From, #{node := Node} = To} <- [{A, B}, {B, A}]],
    ok.

%% That it connects to that port, and by TLS.
is_tls(A, #{node := NodeB, host := HostB} = B, Port) ->
    ok = eid_peers:connect(A, B),
    Ip = eid_peers:address(HostB),
    {ok, Info} = eid_peers:call(A, net_kernel, node_info, [NodeB]),
    {net_address, {Ip, Port}, HostB, tls, inet} =
        proplists:get_value(address, Info),
    ok.

%% The settings of TLS for nodes that trust each other: an authority of their
%% own, and a certificate that names their hosts.
optfile(Config, Hosts) ->
    %% OTP 29 cannot read what OTP 25 signs with a key of a curve.
    #{server_config := Server, client_config := Client} =
        test_data(Hosts, rsa()),
    Options = [{server, [{verify, verify_peer}, {fail_if_no_peer_cert, true}
                         | Server]},
               {client, [{verify, verify_peer} | Client]}],
    File = new_path(Config),
    ok = file:write_file(File, io_lib:format("~w.~n", [Options])),
    File.

new_path(Config) ->
    filename:join(proplists:get_value(priv_dir, Config),
                  lists:concat(["tls", erlang:unique_integer([positive])])).

rsa() ->
    [{key, {rsa, 2048, 65537}}, {digest, sha256}].

curve() ->
    [{key, {namedCurve, secp256r1}}, {digest, sha256}].

%% An authority, and certificates of it that name these hosts.
test_data(Hosts, Keys) ->
    %% OTP 25 takes the host part for a name, later releases for an address.
    Names = [{dNSName, Host} || Host <- Hosts]
        ++ [{iPAddress, list_to_binary(tuple_to_list(Ip))}
            || Host <- Hosts, {ok, Ip} <- [inet:parse_address(Host)]],
    Chain = #{root => Keys, intermediates => [],
              peer => [{extensions, [{'Extension', ?SUBJECT_ALT_NAME,
                                      false, Names}]} | Keys]},
    public_key:pkix_test_data(#{server_chain => Chain,
                                client_chain => Chain}).
