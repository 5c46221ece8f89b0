%% SPDX-License-Identifier: Apache-2.0

%% Runs a handshake, for eid_tcp_dist to learn why it failed. dist_util goes on
%% with the connection inside it, so the frame that waits for a failure is there
%% for as long as the connection is; and whoever has a frame in old code is
%% killed when that is purged. It is here, apart from all that may change, for
%% connections to outlive new code of eid.
-module(eid_handshake).

-export([run/4]).

-include_lib("kernel/include/dist_util.hrl").

%% Begins the handshake by dist_util's function. Of its exception eid_tcp_dist
%% is told, by the function Failed with Context, the class, the reason and the
%% stack.
-spec run(handshake_we_started | handshake_other_started, #hs_data{},
          atom(), term()) -> no_return().
run(Begin, HSData, Failed, Context) ->
    try
        dist_util:Begin(HSData)
    catch
        Class:Reason:Stack ->
            eid_tcp_dist:Failed(Context, Class, Reason, Stack)
    end.
