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
                monitors = #{} :: #{pid() => reference()},
                %% And by source, oldest first: who opens thousands a second
                %% shall find little work done for each.
                sources = #{} :: #{source() => ages()}}).

-type handshake() :: {Number :: non_neg_integer(), source(),
                      eid_socket:socket(), pid()}.

-type ages() :: gb_sets:set({Number :: non_neg_integer(), reference()}).

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
            #state{handshakes = Handshakes, monitors = Monitors,
                   sources = Sources} = State,
            Ages = gb_sets:add({Number, Monitor}, ages(Source, Sources)),
            State#state{
              next = Number + 1,
              handshakes = Handshakes#{Monitor => {Number, Source, Socket,
                                                   Pid}},
              monitors = Monitors#{Pid => Monitor},
              sources = Sources#{Source => Ages}};
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
forget(Monitor, #state{monitors = Monitors, sources = Sources} = State) ->
    erlang:demonitor(Monitor, [flush]),
    case maps:take(Monitor, State#state.handshakes) of
        {{Number, Source, _, Pid}, Handshakes} ->
            Ages = gb_sets:delete_any({Number, Monitor},
                                      ages(Source, Sources)),
            State#state{handshakes = Handshakes,
                        monitors = maps:remove(Pid, Monitors),
                        sources = case gb_sets:is_empty(Ages) of
                                      true -> maps:remove(Source, Sources);
                                      false -> Sources#{Source => Ages}
                                  end};
        error ->
            State
    end.

-spec ages(source(), #{source() => ages()}) -> ages().
ages(Source, Sources) ->
    maps:get(Source, Sources, gb_sets:new()).

%% Closes the oldest handshake, where one more would be too many: of this
%% source, or of the one that has most.
-spec with_room(source(), #state{}) -> #state{}.
with_room(Source, #state{handshakes = Handshakes, sources = Sources,
                         limit = Limit, source_limit = SourceLimit}
          = State) ->
    Ages = ages(Source, Sources),
    case gb_sets:size(Ages) of
        Size when Size >= SourceLimit ->
            make_room(Ages, source_limit, SourceLimit, State);
        _ when map_size(Handshakes) >= Limit ->
            make_room(most(Sources), limit, Limit, State);
        _ ->
            State
    end.

-spec most(#{source() => ages()}) -> ages().
most(Sources) ->
    {_, Ages} = lists:max([{gb_sets:size(Ages), Ages}
                           || Ages <- maps:values(Sources)]),
    Ages.

-spec make_room(ages(), limit | source_limit, pos_integer(), #state{}) ->
          #state{}.
make_room(Ages, Which, Limit, #state{handshakes = Handshakes} = State) ->
    {_, Monitor} = gb_sets:smallest(Ages),
    #{Monitor := {_, _, Socket, _}} = Handshakes,
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
