%% SPDX-License-Identifier: Apache-2.0

%% What is said of connections that were refused: of the first one at once, of
%% those that follow one line a second, with their number. Whoever opens
%% thousands of connections must not fill the log.
%%
%% That holds for what dist_util says as well, of a wrong cookie, for example: a
%% filter of logger takes it from the processes that run a handshake.
-module(eid_refusals).

-export([start_link/0, handshake_begins/1, handshake_ended/0, note/3,
         filter/2, init/0]).

-define(WINDOW_MS, 1000).

%% What is said of a connection: a sentence, or an event that is not formatted
%% yet.
-type said() :: string() | logger:log_event().

%% By reason: how many there were, and the last one.
-type refused() :: #{term() => {pos_integer(), Peer :: string(), said()}}.

%% Called by the acceptor, before it accepts.
-spec start_link() -> ok.
start_link() ->
    %% That of a net_kernel that was stopped may not have ended yet.
    _ = catch unregister(?MODULE),
    %% As the acceptor: of those who come, no more must wait here than can be
    %% counted.
    true = register(?MODULE, spawn_opt(?MODULE, init, [],
                                       [link, {priority, max}])),
    %% There already, where an acceptor was before.
    _ = logger:add_primary_filter(?MODULE, {fun ?MODULE:filter/2, none}),
    ok.

%% From now on, what this process logs is of a connection from Peer.
-spec handshake_begins(unknown | eid_socket:endpoint()) -> ok.
handshake_begins(Peer) ->
    _ = put(?MODULE, Peer),
    ok.

-spec handshake_ended() -> ok.
handshake_ended() ->
    _ = erase(?MODULE),
    ok.

%% Logger calls it in the process that logs, for each of its events.
-spec filter(logger:log_event(), none) -> logger:filter_return().
filter(Event, none) ->
    case get(?MODULE) of
        undefined ->
            ignore;
        Peer ->
            try ?MODULE ! {logged, eid_socket:format(Peer), Event} of
                _ -> stop
            catch
                %% There is no acceptor any more.
                error:badarg -> ignore
            end
    end.

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
            window();
        {logged, _Peer, Event} ->
            eid_report:log(Event),
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
              [{Reason, Count, Peer, sentence(Said)}
               || {Reason, {Count, Peer, Said}} <- maps:to_list(Refused)]),
            window()
    end.

-spec gather(integer(), refused()) -> refused().
gather(End, Refused) ->
    %% `after 0' alone would not end the window while more come.
    case End - erlang:monotonic_time(millisecond) of
        Left when Left > 0 ->
            receive
                {refused, Peer, Reason, Sentence} ->
                    gather(End, count(Reason, Peer, Sentence, Refused));
                {logged, Peer, #{msg := Message} = Event} ->
                    gather(End, count({logged, kind(Message)}, Peer, Event,
                                      Refused))
            after Left ->
                    Refused
            end;
        _ ->
            Refused
    end.

-spec count(term(), string(), said(), refused()) -> refused().
count(Reason, Peer, Said, Refused) ->
    {Count, _, _} = maps:get(Reason, Refused, {0, "", ""}),
    Refused#{Reason => {Count + 1, Peer, Said}}.

-spec sentence(said()) -> string().
sentence(Event) when is_map(Event) -> eid_report:line(Event);
sentence(Sentence) -> Sentence.

%% What messages have in common that differ in the node's name only.
-spec kind({io:format(), [term()]} | {report, logger:report()}
           | {string, unicode:chardata()}) -> term().
kind({report, #{label := Label}}) -> Label;
kind({report, _}) -> report;
kind({string, _}) -> string;
kind({Format, _}) -> Format.
