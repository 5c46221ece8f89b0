%% SPDX-License-Identifier: Apache-2.0

%% What is said of connections that were refused: of the first one at once, of
%% those that follow one line a second, with their number. Whoever opens
%% thousands of connections must not fill the log.
-module(eid_refusals).

-export([start_link/0, note/3, init/0]).

-define(WINDOW_MS, 1000).

%% By reason: how many there were, and the last one.
-type refused() :: #{term() => {pos_integer(), Peer :: string(),
                                Sentence :: string()}}.

%% Called by the acceptor, before it accepts.
-spec start_link() -> ok.
start_link() ->
    %% That of a net_kernel that was stopped may not have ended yet.
    _ = catch unregister(?MODULE),
    true = register(?MODULE, spawn_link(?MODULE, init, [])),
    ok.

%% A connection from Peer was closed. Reason is a term to match on, Sentence
%% says what is wrong and what to do.
-spec note(unknown | eid_socket:endpoint(), term(), iodata()) -> ok.
note(Peer, Reason, Sentence) ->
    Text = lists:flatten(io_lib:format("~ts", [Sentence])),
    _ = catch ?MODULE ! {refused, eid_socket:format(Peer), Reason, Text},
    ok.

-spec init() -> no_return().
init() ->
    receive
        {refused, Peer, Reason, Sentence} ->
            eid_report:refused(Peer, Reason, Sentence),
            window()
    end.

-spec window() -> no_return().
window() ->
    End = erlang:monotonic_time(millisecond) + ?WINDOW_MS,
    case gather(End, #{}) of
        Refused when map_size(Refused) =:= 0 ->
            init();
        Refused ->
            eid_report:refused_more(
              [{Reason, Count, Peer, Sentence}
               || {Reason, {Count, Peer, Sentence}} <-
                      maps:to_list(Refused)]),
            window()
    end.

-spec gather(integer(), refused()) -> refused().
gather(End, Refused) ->
    receive
        {refused, Peer, Reason, Sentence} ->
            {Count, _, _} = maps:get(Reason, Refused, {0, "", ""}),
            gather(End, Refused#{Reason => {Count + 1, Peer, Sentence}})
    after max(0, End - erlang:monotonic_time(millisecond)) ->
            Refused
    end.
