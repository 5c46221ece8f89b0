%% SPDX-License-Identifier: Apache-2.0

%% What a node can say of its eid: for a shell, a health page, a metrics
%% library. Asking costs a call for each connection, and the traffic nothing.
-module(eid).

-export([info/0, info/1, connections/0]).

-export_type([info/0, connection/0]).

%% The node itself.
-type info() :: #{version := string(),
                  node := node(),
                  %% Where it listens; undefined where it does not, or where
                  %% another carrier does.
                  listens := eid_socket:endpoint() | undefined,
                  lookup := docker | direct | loopback,
                  erlang_port := inet:port_number(),
                  docker_daemon_port := inet:port_number(),
                  connections := non_neg_integer()}.

%% A connection to another node, and what it has carried: see
%% eid_socket:traffic().
-type connection() :: #{node := node(),
                        %% Its address and port, as this node sees them: of a
                        %% node that we connected to, the published port.
                        peer := eid_socket:endpoint(),
                        local := eid_socket:endpoint(),
                        received_packets := non_neg_integer(),
                        sent_packets := non_neg_integer(),
                        received_bytes := non_neg_integer(),
                        sent_bytes := non_neg_integer(),
                        queued_bytes := non_neg_integer(),
                        busy := boolean(),
                        busy_count := non_neg_integer(),
                        busy_microseconds := non_neg_integer(),
                        round_trip_microseconds :=
                            pos_integer() | undefined}.

-spec info() -> info().
info() ->
    #{version => version(),
      node => node(),
      listens => eid_socket:listens(),
      lookup => eid_settings:get(eid_lookup),
      erlang_port => eid_settings:get(erlang_port),
      docker_daemon_port => eid_settings:get(docker_daemon_port),
      connections => length(ports())}.

%% The connection to Node; undefined where there is none, or one of another
%% carrier.
-spec info(node()) -> connection() | undefined.
info(Node) ->
    case lists:keyfind(Node, 1, ports()) of
        {Node, Port} -> connection(Node, Port);
        false -> undefined
    end.

%% All connections, hidden ones included, by the names of their nodes.
-spec connections() -> [connection()].
connections() ->
    [Connection || {Node, Port} <- lists:sort(ports()),
                   #{} = Connection <- [connection(Node, Port)]].

-spec connection(node(), port()) -> connection() | undefined.
connection(Node, Port) ->
    case {eid_socket:peername(Port), eid_socket:sockname(Port),
          eid_socket:traffic(Port)} of
        {{ok, Peer}, {ok, Local}, {ok, Traffic}} ->
            Traffic#{node => Node, peer => Peer, local => Local};
        _ ->
            %% It has ended meanwhile.
            undefined
    end.

%% The connections' ports: nobody but net_kernel knows that a port of ours is
%% one, so the VM is asked.
-spec ports() -> [{node(), port()}].
ports() ->
    [{Node, Port} || {Node, Port} <- erlang:system_info(dist_ctrl),
                     is_port(Port),
                     {name, "eid_drv" ++ _} <- [erlang:port_info(Port, name)]].

-spec version() -> string().
version() ->
    _ = application:load(eid),
    {ok, Version} = application:get_key(eid, vsn),
    Version.
