%% SPDX-License-Identifier: Apache-2.0

%% Events in the form of the library `telemetry', for metrics; they are listed
%% in docs/reference/events.md. There is no dependency: where that library does
%% not run, nothing is done.
%%
%% Handlers of events are others' code. They run in the process here, which
%% nobody waits for, so that one that is slow holds up no connection, and one
%% that dies takes none with it; when they cannot keep up, events are dropped.
-module(eid_telemetry).

-behaviour(gen_server).

-export([start_link/0, connect_ended/3, lookup_ended/3]).

-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(LIBRARY, telemetry).

%% How many events may wait.
-define(MAX_WAITING, 1000).

-record(state, {%% Since when nodes are connected, in native time units.
                up = #{} :: #{node() => integer()},
                %% The library, since it has been seen to run.
                library = none :: module()}).

-spec start_link() -> {ok, pid()} | ignore | {error, term()}.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% An attempt to connect that began at Start (in native time units) has ended.
-spec connect_ended(node(), integer(),
                    ok | {error, eid_failures:step(), term()}) -> ok.
connect_ended(Node, Start, Result) ->
    ended(connect, Start, #{node => Node}, Result).

%% A lookup has ended.
-spec lookup_ended(string(), integer(),
                   {ok, inet:port_number()} | {error, lookup, term()}) -> ok.
lookup_ended(Name, Start, {ok, Port}) ->
    ended(lookup, Start, #{name => Name, port => Port}, ok);
lookup_ended(Name, Start, Error) ->
    ended(lookup, Start, #{name => Name}, Error).

-spec ended(connect | lookup, integer(), map(),
            ok | {error, eid_failures:step(), term()}) -> ok.
ended(What, Start, Metadata, Result) ->
    Now = erlang:monotonic_time(),
    Measurements = #{duration => Now - Start, monotonic_time => Now},
    case Result of
        ok ->
            send([eid, What, stop], Measurements, Metadata);
        {error, Step, Reason} ->
            send([eid, What, exception], Measurements,
                 Metadata#{kind => error, step => Step, reason => Reason,
                           stacktrace => []})
    end.

-spec send([atom()], map(), map()) -> ok.
send(Event, Measurements, Metadata) ->
    case is_exported() andalso whereis(?MODULE) of
        Pid when is_pid(Pid) ->
            case process_info(Pid, message_queue_len) of
                {_, Waiting} when Waiting < ?MAX_WAITING ->
                    gen_server:cast(Pid, {event, Event, Measurements,
                                          Metadata});
                _ ->
                    ok
            end;
        _ ->
            ok
    end.

%% Nobody can have asked for events before this module is loaded, so it is not
%% loaded here.
-spec is_exported() -> boolean().
is_exported() ->
    erlang:function_exported(?LIBRARY, execute, 3).

-spec init([]) -> {ok, #state{}}.
init([]) ->
    ok = net_kernel:monitor_nodes(true, [{node_type, all},
                                         nodedown_reason]),
    Now = erlang:monotonic_time(),
    {ok, #state{up = maps:from_list([{Node, Now}
                                     || Node <- nodes(connected)])}}.

-spec handle_call(term(), gen_server:from(), #state{}) ->
          {reply, ok, #state{}}.
handle_call(_Request, _From, State) ->
    {reply, ok, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({event, Event, Measurements, Metadata}, State) ->
    {noreply, execute(Event, Measurements, Metadata, State)};
handle_cast(_Request, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({nodeup, Node, Info}, #state{up = Up} = State)
  when not is_map_key(Node, Up) ->
    Now = erlang:monotonic_time(),
    {noreply, execute([eid, connection, up],
                      #{system_time => erlang:system_time(),
                        monotonic_time => Now},
                      #{node => Node,
                        node_type => proplists:get_value(node_type, Info)},
                      State#state{up = Up#{Node => Now}})};
handle_info({nodedown, Node, Info}, #state{up = Up0} = State) ->
    Now = erlang:monotonic_time(),
    {Since, Up} = case maps:take(Node, Up0) of
                      error -> {Now, Up0};
                      Taken -> Taken
                  end,
    {noreply, execute([eid, connection, down],
                      #{duration => Now - Since, monotonic_time => Now},
                      #{node => Node,
                        node_type => proplists:get_value(node_type, Info),
                        reason => proplists:get_value(nodedown_reason, Info)},
                      State#state{up = Up})};
handle_info(_Message, State) ->
    {noreply, State}.

-spec execute([atom()], map(), map(), #state{}) -> #state{}.
execute(Event, Measurements, Metadata, State0) ->
    case with_library(State0) of
        #state{library = none} = State ->
            State;
        #state{library = Library} = State ->
            %% The library removes a handler that fails; this is for the
            %% library itself, should it be stopped.
            _ = catch Library:execute(Event, Measurements, Metadata),
            State
    end.

%% In a release the library's modules are loaded before it is started, and it
%% complains of events until then.
-spec with_library(#state{}) -> #state{}.
with_library(#state{library = none} = State) ->
    Runs = is_exported()
        andalso lists:keymember(?LIBRARY, 1,
                                application:which_applications()),
    State#state{library = case Runs of
                              true -> ?LIBRARY;
                              false -> none
                          end};
with_library(State) ->
    State.
