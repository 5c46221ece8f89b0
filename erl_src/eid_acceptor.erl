%% SPDX-License-Identifier: Apache-2.0

%% The acceptor: the process that takes the listener's connections, and hands
%% each to net_kernel. It decides who may come in at all (eid_allow), and how
%% many may be in the handshake at once (eid_handshake_limit, in all, and
%% eid_handshake_source_limit, from one address).
%%
%% Beyond a limit the oldest handshake makes room, not the newest: a node's
%% takes milliseconds, so the oldest is the one that most likely will never end.
%% Somebody who opens connections and says nothing keeps others out only by
%% opening the limit's number of them within one real handshake.
-module(eid_acceptor).

-export([start/3, init/5, done/1]).

%% One that ended soon after its start is started again after this time.
-define(RESTART_MS, 1000).

%% The address of a connection, or its network where that is what one machine
%% has (/64 in IPv6).
-type source() :: binary().

-record(state, {kernel :: pid(),
                listener :: eid_socket:socket(),
                family :: atom(),
                protocol :: atom(),
                limit :: pos_integer(),
                source_limit :: pos_integer(),
                %% The numbers tell which is older.
                next = 0 :: non_neg_integer(),
                handshakes = #{} :: #{reference() => handshake()},
                %% The monitors of the same, by process.
                monitors = #{} :: #{pid() => reference()}}).

-type handshake() :: {Number :: non_neg_integer(), source(),
                      eid_socket:socket(), pid()}.

%% Called by net_kernel, also when the one before has ended.
-spec start(eid_socket:socket(), atom(), atom()) -> pid().
start(Listener, Family, Protocol) ->
    spawn_opt(?MODULE, init, [self(), Listener, Family, Protocol,
                              delay(Listener)],
              [link, {priority, max}]).

%% net_kernel starts again at once what has ended: what cannot run would be
%% started thousands of times a second.
-spec delay(eid_socket:socket()) -> non_neg_integer().
delay(Listener) ->
    Now = erlang:monotonic_time(millisecond),
    case put({?MODULE, Listener}, Now) of
        Last when is_integer(Last), Now - Last < 2 * ?RESTART_MS ->
            ?RESTART_MS;
        _ ->
            0
    end.

%% Called by the process of a connection whose handshake is done.
-spec done(pid()) -> ok.
done(Acceptor) ->
    Acceptor ! {handshake_done, self()},
    ok.

-spec init(pid(), eid_socket:socket(), atom(), atom(), non_neg_integer()) ->
          no_return().
init(Kernel, Listener, Family, Protocol, Delay) ->
    %% First of all, for who comes meanwhile to wait in the backlog.
    ok = eid_socket:stop_accept(Listener),
    receive after Delay -> ok end,
    ok = eid_refusals:start_link(),
    loop(#state{kernel = Kernel, listener = Listener, family = Family,
                protocol = Protocol,
                limit = eid_settings:get(eid_handshake_limit),
                source_limit = eid_settings:get(eid_handshake_source_limit)}).

-spec loop(#state{}) -> no_return().
loop(#state{listener = Listener} = State) ->
    case eid_socket:accept(Listener) of
        {ok, Socket} -> loop(accepted(Socket, without_ended(State)));
        Error -> exit(Error)
    end.

-spec accepted(eid_socket:socket(), #state{}) -> #state{}.
accepted(Socket, State) ->
    case eid_socket:peername(Socket) of
        {ok, {Ip, _} = Peer} ->
            case eid_allow:allows(Ip) of
                true ->
                    admit(Socket, source(Ip), State);
                false ->
                    eid_socket:close(Socket),
                    eid_refusals:note(
                      Peer, disallowed,
                      "its address is not in the kernel setting eid_allow"),
                    State
            end;
        {error, _} ->
            %% It is closed already.
            eid_socket:close(Socket),
            State
    end.

-spec admit(eid_socket:socket(), source(), #state{}) -> #state{}.
admit(Socket, Source, State0) ->
    #state{kernel = Kernel, next = Number} = State = with_room(Source, State0),
    Kernel ! {accept, self(), Socket, State#state.family,
              State#state.protocol},
    receive
        {Kernel, controller, Pid} ->
            _ = eid_socket:controlling_process(Socket, Pid),
            Monitor = erlang:monitor(process, Pid),
            Pid ! {self(), controller},
            Handshakes = State#state.handshakes,
            Monitors = State#state.monitors,
            State#state{
              next = Number + 1,
              handshakes = Handshakes#{Monitor => {Number, Source, Socket,
                                                   Pid}},
              monitors = Monitors#{Pid => Monitor}};
        {Kernel, unsupported_protocol} ->
            exit(unsupported_protocol)
    end.

%% Forgets the handshakes that are done or came to nothing.
-spec without_ended(#state{}) -> #state{}.
without_ended(#state{monitors = Monitors} = State) ->
    receive
        {handshake_done, Pid} ->
            case Monitors of
                #{Pid := Monitor} -> without_ended(forget(Monitor, State));
                #{} -> without_ended(State)
            end;
        {'DOWN', Monitor, process, _, _} ->
            without_ended(forget(Monitor, State))
    after 0 ->
            State
    end.

-spec forget(reference(), #state{}) -> #state{}.
forget(Monitor, #state{handshakes = Handshakes0} = State) ->
    erlang:demonitor(Monitor, [flush]),
    case maps:take(Monitor, Handshakes0) of
        {{_, _, _, Pid}, Handshakes} ->
            State#state{handshakes = Handshakes,
                        monitors = maps:remove(Pid, State#state.monitors)};
        error ->
            State
    end.

%% Closes the oldest handshake, where one more would be too many: of this
%% source, or of the one that has most.
-spec with_room(source(), #state{}) -> #state{}.
with_room(Source, #state{handshakes = Handshakes, limit = Limit,
                         source_limit = SourceLimit} = State) ->
    Counts = counts(Handshakes),
    OfSource = maps:get(Source, Counts, 0),
    if
        OfSource >= SourceLimit ->
            make_room(Source, source_limit, SourceLimit, State);
        map_size(Handshakes) >= Limit ->
            make_room(largest(Counts), limit, Limit, State);
        true ->
            State
    end.

-spec counts(#{reference() => handshake()}) -> #{source() => pos_integer()}.
counts(Handshakes) ->
    maps:fold(fun(_, {_, Source, _, _}, Counts) ->
                      maps:update_with(Source, fun(N) -> N + 1 end, 1, Counts)
              end, #{}, Handshakes).

-spec largest(#{source() => pos_integer()}) -> source().
largest(Counts) ->
    {_, Source} = lists:max([{Count, Source}
                             || {Source, Count} <- maps:to_list(Counts)]),
    Source.

-spec make_room(source(), limit | source_limit, pos_integer(), #state{}) ->
          #state{}.
make_room(Source, Which, Limit, #state{handshakes = Handshakes} = State) ->
    {_, Monitor, Socket} =
        lists:min([{Number, Monitor, Socket}
                   || {Monitor, {Number, From, Socket, _}} <-
                          maps:to_list(Handshakes),
                      From =:= Source]),
    case eid_socket:peername(Socket) of
        {ok, Peer} ->
            eid_refusals:note(Peer, Which, sentence(Which, Limit));
        {error, _} ->
            %% Its process has seen that, and will say why.
            ok
    end,
    eid_socket:close(Socket),
    forget(Monitor, State).

-spec sentence(limit | source_limit, pos_integer()) -> iolist().
sentence(limit, Limit) ->
    io_lib:format("it was the oldest of ~w in the handshake at once "
                  "(eid_handshake_limit)", [Limit]);
sentence(source_limit, Limit) ->
    io_lib:format("it was the oldest of ~w from its address in the handshake "
                  "at once (eid_handshake_source_limit)", [Limit]).

-spec source(inet:ip_address()) -> source().
source({A, B, C, D}) ->
    <<A, B, C, D>>;
source({A, B, C, D, _, _, _, _}) ->
    <<A:16, B:16, C:16, D:16>>.
