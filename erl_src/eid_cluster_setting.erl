%% SPDX-License-Identifier: Apache-2.0

%% The kernel setting eid_cluster:
%%
%%   {eid_cluster, [{label, "com.example.cluster=shop"},
%%                  {hosts, ["10.77.0.1", "10.77.0.2"]},
%%                  {interval, 10000},
%%                  {node_name, id}]}
%%
%% label and hosts have to be there; the others stand here as they are without
%% being set. Texts may be binaries, as Elixir writes them. Where the setting is
%% not, the environment variables EID_CLUSTER_LABEL and EID_CLUSTER_HOSTS
%% (separated by commas) are read: an image can be given them by docker run -e.
-module(eid_cluster_setting).

-export([read/0, from_utf8/1]).

-export_type([cluster/0]).

-type cluster() :: #{label := string(),
                     %% Each as it stands in the names of the nodes.
                     hosts := [string()],
                     %% Between two lists without an event, in milliseconds.
                     interval := pos_integer(),
                     %% What nodes are named after: the 12 digits of the
                     %% container's ID, or its name in Docker.
                     node_name := id | name}.

-define(DEFAULTS, #{interval => 10000, node_name => id}).
-define(LABEL_VARIABLE, "EID_CLUSTER_LABEL").
-define(HOSTS_VARIABLE, "EID_CLUSTER_HOSTS").
%% As ContainerLabel.swift has it.
-define(MAX_LABEL_BYTES, 1024).
-define(MAX_HOSTS, 256).
%% Of an atom's 255, 12 digits of an ID and the @ come before it.
-define(MAX_HOST_BYTES, 242).

-spec read() -> off | cluster() | {error, Sentence :: string()}.
read() ->
    case application:get_env(kernel, eid_cluster) of
        {ok, off} -> off;
        {ok, Setting} -> read_setting(Setting);
        undefined -> read_environment(variable(?LABEL_VARIABLE),
                                      variable(?HOSTS_VARIABLE))
    end.

%% One that is empty is as good as none: so they can be switched off in docker
%% run as well. Without a locale, as in containers, OTP gives the bytes.
-spec variable(string()) -> string() | none.
variable(Name) ->
    case {os:getenv(Name, ""), file:native_name_encoding()} of
        {"", _} -> none;
        {Value, utf8} -> Value;
        {Bytes, latin1} -> from_utf8(Bytes)
    end.

%% What is no UTF-8, or no bytes any more, is left as it is.
-spec from_utf8(string()) -> string().
from_utf8(Bytes) ->
    try unicode:characters_to_list(list_to_binary(Bytes)) of
        Text when is_list(Text) -> Text;
        _ -> Bytes
    catch
        error:badarg -> Bytes
    end.

-spec read_setting(term()) -> cluster() | {error, string()}.
read_setting(Setting) ->
    try
        parse(Setting)
    catch
        throw:{wrong, What} ->
            {error, sentence("the kernel setting eid_cluster (~tp) ~ts; it "
                             "must be a list such as [{label, \"KEY=VALUE\"}, "
                             "{hosts, [\"10.77.0.1\", \"10.77.0.2\"]}]",
                             [Setting, What])}
    end.

-spec read_environment(string() | none, string() | none) ->
          off | cluster() | {error, string()}.
read_environment(none, none) ->
    off;
read_environment(Label, none) ->
    {error, sentence("the environment variable ~s is ~tp, but ~s, which says "
                     "on which hosts, is not set: give it addresses with "
                     "commas between them",
                     [?LABEL_VARIABLE, Label, ?HOSTS_VARIABLE])};
read_environment(none, Hosts) ->
    {error, sentence("the environment variable ~s is ~tp, but ~s, which says "
                     "which containers, is not set: give it a label, KEY or "
                     "KEY=VALUE",
                     [?HOSTS_VARIABLE, Hosts, ?LABEL_VARIABLE])};
read_environment(Label, Hosts) ->
    Names = [string:trim(Host) || Host <- string:split(Hosts, ",", all)],
    try
        parse([{label, Label}, {hosts, Names}])
    catch
        throw:{wrong, What} ->
            {error, sentence("of the environment variables ~s (~tp) and ~s "
                             "(~tp), one ~ts",
                             [?LABEL_VARIABLE, Label, ?HOSTS_VARIABLE, Hosts,
                              What])}
    end.

-spec parse(term()) -> cluster().
parse(Setting) when length(Setting) >= 0 ->
    Cluster = lists:foldl(fun entry/2, ?DEFAULTS, Setting),
    case Cluster of
        #{label := _, hosts := _} -> Cluster;
        #{label := _} -> wrong("has no hosts", []);
        #{} -> wrong("has no label", [])
    end;
parse(_Setting) ->
    wrong("is no list", []).

-spec entry(term(), map()) -> map().
entry({label, Label}, Cluster) ->
    Cluster#{label => label(Label, text(Label))};
entry({hosts, [_ | _] = Hosts}, Cluster) when length(Hosts) =< ?MAX_HOSTS ->
    Texts = [host(Host, text(Host)) || Host <- Hosts],
    case Texts -- lists:usort(Texts) of
        [] -> Cluster#{hosts => Texts};
        [Twice | _] -> wrong("has the host ~tp twice", [Twice])
    end;
entry({hosts, Hosts}, _Cluster) ->
    wrong("has ~tp for hosts, not a list of 1 to ~w", [Hosts, ?MAX_HOSTS]);
entry({interval, Interval}, Cluster)
  when is_integer(Interval), Interval >= 1000, Interval =< 3600000 ->
    Cluster#{interval => Interval};
entry({interval, Interval}, _Cluster) ->
    wrong("has the interval ~tp, not milliseconds from 1000 to 3600000",
          [Interval]);
entry({node_name, Kind}, Cluster) when Kind =:= id; Kind =:= name ->
    Cluster#{node_name => Kind};
entry({node_name, Kind}, _Cluster) ->
    wrong("has ~tp for node_name, not id or name", [Kind]);
entry(Entry, _Cluster) ->
    wrong("has ~tp, which is none of label, hosts, interval and node_name",
          [Entry]).

-spec label(term(), string() | error) -> string().
label(Label, Text) ->
    IsLabel = is_list(Text) andalso Text =/= [] andalso hd(Text) =/= $=
        andalso byte_size(unicode:characters_to_binary(Text))
        =< ?MAX_LABEL_BYTES
        andalso not lists:any(fun is_control/1, Text),
    IsLabel orelse wrong("has the label ~tp, not KEY or KEY=VALUE on one line "
                         "of at most ~w bytes", [Label, ?MAX_LABEL_BYTES]),
    Text.

%% What can stand behind the @ of a node's name.
-spec host(term(), string() | error) -> string().
host(Host, Text) ->
    IsHost = is_list(Text) andalso Text =/= []
        andalso length(Text) =< ?MAX_HOST_BYTES
        andalso lists:all(fun is_host_character/1, Text),
    IsHost orelse wrong("has the host ~tp, which is neither an address nor a "
                        "host's name", [Host]),
    Text.

%% Names, IPv4 and IPv6 addresses.
-spec is_host_character(char()) -> boolean().
is_host_character(C) ->
    (C >= $a andalso C =< $z) orelse (C >= $A andalso C =< $Z)
        orelse (C >= $0 andalso C =< $9) orelse lists:member(C, ".-_:").

-spec is_control(char()) -> boolean().
is_control(C) ->
    C < 32 orelse (C >= 127 andalso C < 160).

-spec text(term()) -> string() | error.
text(Text) when is_list(Text); is_binary(Text) ->
    try unicode:characters_to_list(Text) of
        Characters when is_list(Characters) -> Characters;
        _ -> error
    catch
        error:badarg -> error
    end;
text(_Text) ->
    error.

-spec wrong(io:format(), [term()]) -> no_return().
wrong(Format, Arguments) ->
    throw({wrong, sentence(Format, Arguments)}).

-spec sentence(io:format(), [term()]) -> string().
sentence(Format, Arguments) ->
    lists:flatten(io_lib:format(Format, Arguments)).
