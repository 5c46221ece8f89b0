%% SPDX-License-Identifier: Apache-2.0

%% What eid says to whoever reads the log: one event for each thing that went
%% wrong, as a report (with `application => eid') and as one line of text.
%%
%% Their domain is [eid]. The filters of logger's default handler stop what has
%% another domain than OTP's, without a word: ours gives it one more.
-module(eid_report).

-export([connect_failed/4, connect_failed_more/3,
         connect_failed_others/4, connected_again/3, refused/3, refused_more/1,
         log/1, line/1, warning/2, error/2, format/1, reason/1, load_all/0]).
-export([cluster_found/4, cluster_host_fails/4, cluster_host_answers/4,
         cluster_no_events/4, cluster_unreachable/5,
         cluster_unreachable_more/3, cluster_host_atoms/3]).

-include_lib("kernel/include/logger.hrl").

%% An attempt to connect to Node failed. Step says where, Reason is a term to
%% match on, Sentence says what is wrong and what to do.
-spec connect_failed(node() | string(), eid_failures:step(), term(),
                     iodata()) -> ok.
connect_failed(Node, Step, Reason, Sentence) ->
    emit(warning, connect_failed,
         #{node => Node, step => Step, reason => Reason,
           sentence => text(Sentence)},
         ["cannot connect to ", text(Node), ": ", Sentence]).

%% Further ones did, in the last Interval milliseconds: of each step and reason
%% how many, and the last sentence.
-spec connect_failed_more(string(), non_neg_integer(),
                          [{term(), pos_integer(), binary()}]) -> ok.
connect_failed_more(Node, Interval, Failures) ->
    Count = lists:sum([N || {_, N, _} <- Failures]),
    Parts = case Failures of
                [{_, _, Sentence}] ->
                    [Sentence];
                _ ->
                    lists:join("; ", [io_lib:format("~w times ~ts",
                                                    [N, Sentence])
                                      || {_, N, Sentence} <- Failures])
            end,
    emit(warning, connect_failed_more,
         #{node => Node, count => Count,
           reasons => maps:from_list([{Reason, N}
                                      || {Reason, N, _} <- Failures])},
         ["cannot connect to ", Node, ": ", times(Count, "more failure"),
          " in ", seconds(Interval), " s: ", Parts]).

%% Attempts to connect to so many different nodes failed that they are only
%% counted.
-spec connect_failed_others(pos_integer(), non_neg_integer(), string(),
                            binary()) -> ok.
connect_failed_others(Count, Interval, Node, Sentence) ->
    emit(warning, connect_failed_others,
         #{count => Count, last => Node},
         [times(Count, "more failure"), " to connect, to too many different "
          "nodes to tell each, in ", seconds(Interval), " s, the last to ",
          Node, ": ", Sentence]).

%% Node is connected, after Count failures in Time milliseconds.
-spec connected_again(string(), pos_integer(), non_neg_integer()) -> ok.
connected_again(Node, Count, Time) ->
    emit(notice, connected_again,
         #{node => Node, count => Count, milliseconds => Time},
         ["connected to ", Node, " again after ", times(Count, "failure"),
          " in ", seconds(Time), " s"]).

%% A connection from Peer was closed during the handshake.
-spec refused(string(), term(), iodata()) -> ok.
refused(Peer, Reason, Sentence) ->
    emit(warning, connection_refused, #{peer => Peer, reason => Reason},
         ["closed the connection from ", Peer, ": ", Sentence]).

%% Further ones were, in the last second: of each reason how many, the last
%% peer, and the last sentence.
-spec refused_more([{term(), pos_integer(), string(), string()}]) -> ok.
refused_more(Refused) ->
    Count = lists:sum([N || {_, N, _, _} <- Refused]),
    Parts = [io_lib:format("~w times ~ts (the last from ~ts)",
                           [N, Sentence, Peer])
             || {_, N, Peer, Sentence} <- Refused],
    emit(warning, connections_refused,
         #{count => Count,
           reasons => maps:from_list([{Reason, N}
                                      || {Reason, N, _, _} <- Refused])},
         ["closed ", integer_to_list(Count), " more connections: ",
          lists:join("; ", Parts)]).

%% The hosts of the cluster were asked for the first time.
-spec cluster_found(string(), non_neg_integer(), non_neg_integer(),
                    pos_integer()) -> ok.
cluster_found(Label, Containers, Answering, Hosts) ->
    emit(notice, cluster_found,
         #{label => Label, containers => Containers, answering => Answering,
           hosts => Hosts},
         [cluster(Label), times(Containers, "container"), " on ",
          integer_to_list(Answering), " of ", times(Hosts, "host")]).

%% A host's daemon does not list its containers.
-spec cluster_host_fails(string(), string(), term(), iodata()) -> ok.
cluster_host_fails(Label, Host, Reason, Sentence) ->
    emit(warning, cluster_host_fails,
         #{label => Label, host => Host, reason => Reason,
           sentence => text(Sentence)},
         [cluster(Label), "host ", Host, ": ", Sentence]).

%% It does again, after so many milliseconds.
-spec cluster_host_answers(string(), string(), non_neg_integer(),
                           non_neg_integer()) -> ok.
cluster_host_answers(Label, Host, Containers, Time) ->
    emit(notice, cluster_host_answers,
         #{label => Label, host => Host, containers => Containers,
           milliseconds => Time},
         [cluster(Label), "host ", Host, ": its Docker daemon answers again "
          "after ", seconds(Time), " s: ", times(Containers, "container")]).

%% A host's daemon does not tell of changes.
-spec cluster_no_events(string(), string(), iodata(), pos_integer()) -> ok.
cluster_no_events(Label, Host, Sentence, Interval) ->
    emit(notice, cluster_no_events,
         #{label => Label, host => Host, sentence => text(Sentence)},
         [cluster(Label), "host ", Host, ": no stream of Docker's events (",
          Sentence, "), so changes are found only every ", seconds(Interval),
          " s: where a proxy stands before Docker, allow GET /events"]).

%% A container has the label, but cannot be connected to.
-spec cluster_unreachable(string(), string(), eid_socket:container(),
                          atom(), iodata()) -> ok.
cluster_unreachable(Label, Host, #{id := Id, name := Name}, Reason,
                    Sentence) ->
    emit(warning, cluster_unreachable,
         #{label => Label, host => Host, id => Id, name => Name,
           reason => Reason, sentence => text(Sentence)},
         [cluster(Label), "container ", Name, " of host ", Host,
          " has the label, but is left out: ", Sentence]).

%% Further ones of the same list.
-spec cluster_unreachable_more(string(), string(), pos_integer()) -> ok.
cluster_unreachable_more(Label, Host, Count) ->
    emit(warning, cluster_unreachable_more,
         #{label => Label, host => Host, count => Count},
         [cluster(Label), times(Count, "more container"), " of host ", Host,
          " with the label ", case Count of 1 -> "is"; _ -> "are" end,
          " left out: eid_cluster:info() says why"]).

%% A host has had so many nodes that were never met before.
-spec cluster_host_atoms(string(), string(), non_neg_integer()) -> ok.
cluster_host_atoms(Label, Host, Count) ->
    emit(error, cluster_host_atoms,
         #{label => Label, host => Host, count => Count},
         [cluster(Label), "host ", Host, " has listed ",
          times(Count, "container"), " that this node had not met before, so "
          "no further new ones of it are tried: their names are atoms; see "
          "why there are so many, and restart the node"]).

-spec cluster(string()) -> iolist().
cluster(Label) ->
    ["cluster ", Label, ": "].

%% Logs another's event, as it would have been.
-spec log(logger:log_event()) -> ok.
log(#{level := Level, msg := {string, Text}, meta := Metadata}) ->
    logger:log(Level, Text, Metadata);
log(#{level := Level, msg := {report, Report}, meta := Metadata}) ->
    logger:log(Level, Report, Metadata);
log(#{level := Level, msg := {Format, Arguments}, meta := Metadata}) ->
    logger:log(Level, Format, Arguments, Metadata).

%% An event's message, in one line.
-spec line(logger:log_event()) -> string().
line(Event) ->
    lists:flatten(logger_formatter:format(
                    Event, #{template => [msg], single_line => true})).

-spec warning(atom(), iodata()) -> ok.
warning(Event, Sentence) ->
    emit(warning, Event, #{}, Sentence).

-spec error(atom(), iodata()) -> ok.
error(Event, Sentence) ->
    emit(error, Event, #{}, Sentence).

%% The one line of text of a report, for logger's formatters.
-spec format(logger:report()) -> {io:format(), [term()]}.
format(#{text := Text}) ->
    {"eid: ~ts", [Text]}.

%% An error of a socket or of the resolver, in words.
-spec reason(term()) -> string().
reason(timeout) ->
    "no answer in time";
reason(Reason) ->
    case inet:format_error(Reason) of
        "unknown POSIX error" ++ _ ->
            lists:flatten(io_lib:format("~0tp", [Reason]));
        Text ->
            lists:flatten(Text)
    end.

%% Loads what logger needs for an event of ours, by formatting one.
-spec load_all() -> ok.
load_all() ->
    Event = #{level => warning,
              msg => {report, report(none, #{}, "")},
              meta => (metadata())#{pid => self(), gl => group_leader(),
                                    time => logger:timestamp()}},
    %% As the default handler does.
    _ = logger_formatter:format(Event, #{legacy_header => true,
                                         single_line => false}),
    ok.

-spec emit(logger:level(), atom(), map(), iodata()) -> ok.
emit(Level, Event, Details, Sentence) ->
    ?LOG(Level, report(Event, Details, Sentence), with_domain(metadata())).

-spec report(atom(), map(), iodata()) -> logger:report().
report(Event, Details, Sentence) ->
    Details#{application => eid, event => Event,
             text => text(Sentence)}.

-spec times(pos_integer(), string()) -> iolist().
times(1, What) -> ["1 ", What];
times(Count, What) -> [integer_to_list(Count), $\s, What, $s].

-spec seconds(non_neg_integer()) -> string().
seconds(Milliseconds) when Milliseconds rem 1000 =:= 0 ->
    integer_to_list(Milliseconds div 1000);
seconds(Milliseconds) ->
    float_to_list(Milliseconds / 1000, [{decimals, 3}, compact]).

-spec text(node() | iodata()) -> string().
text(Node) when is_atom(Node) ->
    atom_to_list(Node);
text(Sentence) ->
    lists:flatten(io_lib:format("~ts", [Sentence])).

-spec metadata() -> logger:metadata().
metadata() ->
    #{report_cb => fun ?MODULE:format/1}.

%% Logger's own handlers, simple while kernel starts and then default, have
%% filters that stop other domains than OTP's (logger.erl,
%% get_default_handler_filters/0). They get one of ours: another's that stops
%% the event still does. What simple hands on to default when that is added
%% (logger_simple_h.erl, replay_buffer/1) would meet its filters without ours,
%% so it has no domain.
-spec with_domain(logger:metadata()) -> logger:metadata().
with_domain(Metadata) ->
    %% As logger:add_handlers/1 will read it.
    ToCome = [default || {handler, default, _, _} <-
                             application:get_env(kernel, logger, [])],
    case lists:member(simple, logger:get_handler_ids()) of
        true when ToCome =/= [] ->
            Metadata;
        _ ->
            lists:foreach(fun let_through/1, [default, simple]),
            Metadata#{domain => [eid]}
    end.

-spec let_through(logger:handler_id()) -> ok.
let_through(Handler) ->
    case logger:get_handler_config(Handler) of
        {ok, #{filter_default := stop, filters := Filters}} ->
            %% Another process may do the same.
            _ = [logger:add_handler_filter(Handler, eid,
                                           {fun logger_filters:domain/2,
                                            {log, sub, [eid]}})
                 || not lists:keymember(eid, 1, Filters)],
            ok;
        _ ->
            ok
    end.
