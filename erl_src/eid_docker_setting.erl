%% SPDX-License-Identifier: Apache-2.0

%% How the Docker Remote API of each host is reached: what is set for all hosts
%% (see eid_settings), and for single ones
%%
%%   docker_hosts  [{Host, [{address, A}, {port, P}, {tls, B}, {cert_path, D},
%%                 {tls_name, N}]}], Host being as in the names of nodes, or
%%                 its address. Where that is not set, the environment variable
%%                 EID_DOCKER_HOSTS, `Host=Address,...', counts.
%%   docker_host   an address, of which the host is meant that is in it. Where
%%                 that is not set, the environment variable DOCKER_HOST, of
%%                 Docker's own client, counts.
%%
%% An address is as Docker has it: tcp://HOST:PORT, or with https or http in
%% place of tcp, where that says whether it is TLS. Without a port it is 2375,
%% or 2376 by TLS. One without a host (unix:///var/run/docker.sock) is that of a
%% client on the daemon's own machine, and says nothing of hosts.
-module(eid_docker_setting).

-export([daemon/2, read/1]).

-export_type([host/0, daemon/0]).

-define(HOSTS_VARIABLE, "EID_DOCKER_HOSTS").
-define(HOST_VARIABLE, "DOCKER_HOST").

%% What Docker's client takes it to be.
-define(PORT, 2375).
-define(TLS_PORT, 2376).

%% `address' is that of the daemon alone here, its host.
-type host() :: {string(), [{address | tls_name, string()}
                            | {port, inet:port_number()}
                            | {tls, boolean()}
                            | {cert_path, file:filename()}]}.

-type daemon() :: #{%% A name has still to be resolved.
                    address := inet:ip_address() | string(),
                    port := inet:port_number(),
                    tls := boolean(),
                    cert_path := file:filename(),
                    %% What its certificate is checked against.
                    tls_name := string() | inet:ip_address()}.

%% The daemon of a host. Host is as the node's name has it, undefined where that
%% is not known, and Ip its address.
-spec daemon(inet:hostname() | undefined, inet:ip_address()) -> daemon().
daemon(Host, Ip) ->
    Own = case [Options || {Name, Options} <- eid_settings:get(docker_hosts)
                               ++ eid_settings:get(docker_host),
                           Name =:= Host orelse is_address(Name, Ip)] of
              [Options | _] -> Options;
              [] -> []
          end,
    Tls = option(tls, Own, docker_tls),
    Address = proplists:get_value(address, Own),
    #{address => if Address =:= undefined -> Ip;
                    true -> address_or_name(Address)
                 end,
      port => if Address =:= undefined -> option(port, Own, docker_daemon_port);
                 Tls -> proplists:get_value(port, Own, ?TLS_PORT);
                 true -> proplists:get_value(port, Own, ?PORT)
              end,
      tls => Tls,
      cert_path => option(cert_path, Own, docker_cert_path),
      tls_name => case option(tls_name, Own, docker_tls_name) of
                      undefined when Address =/= undefined ->
                          address_or_name(Address);
                      undefined when Host =/= undefined ->
                          case address_or_name(Host) of
                              Name when is_list(Name) -> Name;
                              _ -> Ip
                          end;
                      undefined ->
                          Ip;
                      Name ->
                          Name
                  end}.

-spec option(atom(), [{atom(), term()}], eid_settings:key()) -> term().
option(Key, Own, Setting) ->
    case lists:keyfind(Key, 1, Own) of
        {Key, Value} -> Value;
        false -> eid_settings:get(Setting)
    end.

-spec is_address(string(), inet:ip_address()) -> boolean().
is_address(Name, Ip) ->
    inet:parse_strict_address(Name) =:= {ok, Ip}.

-spec address_or_name(string()) -> inet:ip_address() | string().
address_or_name(Text) ->
    case inet:parse_strict_address(Text) of
        {ok, Ip} -> Ip;
        {error, einval} -> Text
    end.

%% What is set for single hosts. Of two entries for one host the first counts.
-spec read(docker_hosts | docker_host) ->
          [host()] | {error, Sentence :: string()}.
read(Key) ->
    try
        case Key of
            docker_hosts -> hosts();
            docker_host -> host()
        end
    catch
        throw:{wrong, Sentence} -> {error, lists:flatten(Sentence)}
    end.

-spec hosts() -> [host()].
hosts() ->
    case application:get_env(kernel, docker_hosts) of
        {ok, Setting} ->
            Hosts = eid_settings:strings(Setting),
            eid_settings:all(fun is_entry/1, Hosts) orelse
                wrong("the kernel setting docker_hosts is ~tp, but must be a "
                      "list of hosts with their settings (address, port, tls, "
                      "cert_path, tls_name), such as [{\"10.77.0.2\", "
                      "[{address, \"tcp://192.168.5.2:2376\"}, {tls, true}]}]",
                      [Hosts]),
            [{Host, expanded(Options)} || {Host, Options} <- Hosts];
        undefined ->
            Text = os:getenv(?HOSTS_VARIABLE, ""),
            [variable_entry(string:split(Entry, "="), Text)
             || Entry <- string:lexemes(Text, ", ")]
    end.

-spec variable_entry([string()], string()) -> host().
variable_entry([[_ | _] = Host, Address], Text) ->
    case parse(Address) of
        {ok, Options} -> {Host, Options};
        _ -> wrong_variable(Text)
    end;
variable_entry(_Entry, Text) ->
    wrong_variable(Text).

-spec wrong_variable(string()) -> no_return().
wrong_variable(Text) ->
    wrong("the environment variable ~s is ~tp, but must have hosts with the "
          "addresses of their Docker daemons, such as "
          "10.77.0.2=tcp://192.168.5.2:2376,10.77.0.3=https://10.77.0.3:2376",
          [?HOSTS_VARIABLE, Text]).

%% The host that has an address is the one that is meant.
-spec host() -> [host()].
host() ->
    Setting = application:get_env(kernel, docker_host),
    Text = case Setting of
               {ok, Set} -> eid_settings:strings(Set);
               undefined -> os:getenv(?HOST_VARIABLE, "")
           end,
    case {parse(Text), Setting} of
        {{ok, [{address, Host} | _] = Options}, _} ->
            [{Host, Options}];
        {local, undefined} ->
            [];
        {_, undefined} ->
            wrong("the environment variable ~s is ~tp, but must be ~s",
                  [?HOST_VARIABLE, Text, example()]);
        {_, {ok, _}} ->
            wrong("the kernel setting docker_host is ~tp, but must be ~s",
                  [Text, example()])
    end.

-spec example() -> string().
example() ->
    "the address of a host's Docker daemon, such as \"tcp://10.77.0.2:2376\"".

-spec is_entry(term()) -> boolean().
is_entry({Host, Options}) ->
    eid_settings:is_text(Host)
        andalso eid_settings:all(fun is_option/1, Options);
is_entry(_Entry) ->
    false.

-spec is_option(term()) -> boolean().
is_option({address, Address}) -> is_tuple(parse(Address));
is_option({port, Port}) -> eid_settings:is_allowed(docker_daemon_port, Port);
is_option({tls, Tls}) -> is_boolean(Tls);
is_option({cert_path, Path}) -> eid_settings:is_text(Path);
is_option({tls_name, Name}) -> eid_settings:is_text(Name);
is_option(_Option) -> false.

%% With what the address says. What is said beside it goes before.
-spec expanded([{atom(), term()}]) -> [{atom(), term()}].
expanded(Options) ->
    case lists:keytake(address, 1, Options) of
        {value, {address, Text}, Others} ->
            {ok, Parsed} = parse(Text),
            Others ++ Parsed;
        false ->
            Options
    end.

%% `local' is an address without a host.
-spec parse(term()) -> {ok, [{atom(), term()}]} | local | error.
parse("") ->
    local;
parse(Text) ->
    try uri_string:parse(Text) of
        #{scheme := Scheme} = Uri -> parse(Scheme, Uri);
        _ -> error
    catch
        error:_ -> error
    end.

-spec parse(term(), uri_string:uri_map()) ->
          {ok, [{atom(), term()}]} | local | error.
parse(Scheme, _Uri) when Scheme =:= "unix"; Scheme =:= "ssh";
                         Scheme =:= "npipe"; Scheme =:= "fd" ->
    local;
parse(Scheme, #{host := Host, path := Path} = Uri)
  when Scheme =:= "tcp" orelse Scheme =:= "http" orelse Scheme =:= "https",
       Path =:= "" orelse Path =:= "/" ->
    Port = maps:get(port, Uri, undefined),
    IsPort = Port =:= undefined
        orelse eid_settings:is_allowed(docker_daemon_port, Port),
    if not IsPort -> error;
       Host =:= "" -> local;
       true -> {ok, [{address, Host}]
                ++ [{port, Port} || Port =/= undefined]
                ++ [{tls, Scheme =:= "https"} || Scheme =/= "tcp"]}
    end;
parse(_Scheme, _Uri) ->
    error.

-spec wrong(io:format(), [term()]) -> no_return().
wrong(Format, Arguments) ->
    throw({wrong, io_lib:format(Format, Arguments)}).
