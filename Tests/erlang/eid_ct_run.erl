%% SPDX-License-Identifier: Apache-2.0

%% Runs the suites, as Tests/erlang/run asks for them, and is the hook that
%% says how far it has come. Common Test's own output goes to its log; ours
%% goes to descriptor 3.
-module(eid_ct_run).

-export([main/0]).

-export([init/2, pre_init_per_testcase/4, post_end_per_testcase/5,
         post_init_per_suite/4, post_end_per_suite/4, on_tc_fail/4,
         on_tc_skip/4]).

-spec main() -> no_return().
main() ->
    [Temp, Suites, Cases] = init:get_plain_arguments(),
    true = register(eid_ct_out, open_port({fd, 3, 3}, [out])),
    %% Failures that Common Test does not count: those of an end_per_suite.
    persistent_term:put(?MODULE, counters:new(1, [])),
    ok = eid_peers:start_keeper(),
    Result = ct:run_test([{dir, filename:join(Temp, "beams")},
                          {logdir, filename:join(Temp, "ct")},
                          {suite, lists:usort(atoms(Suites))},
                          {auto_compile, false},
                          {abort_if_missing_suites, true},
                          {ct_hooks, [?MODULE]}]
                         ++ [{testcase, atoms(Cases)} || Cases =/= ""]),
    case Result of
        {Passed, Failed, {Skipped, AutoSkipped}} ->
            Skipped > 0 andalso say("~w skipped~n", [Skipped]),
            ended(Passed, Failed + AutoSkipped
                  + counters:get(persistent_term:get(?MODULE), 1));
        Other ->
            say("Common Test: ~p~n", [Other]),
            ended(0, 1)
    end.

-spec ended(non_neg_integer(), non_neg_integer()) -> no_return().
ended(Passed, Failed) ->
    Counts = io_lib:format("~w passed, ~w failed~n", [Passed, Failed]),
    ok = file:write_file(filename:join(eid_peers:temp(), "counts"), Counts),
    halt(min(1, Failed)).

-spec atoms(string()) -> [atom()].
atoms(Words) ->
    [list_to_atom(Word) || Word <- string:lexemes(Words, " ")].

-spec say(io:format(), [term()]) -> ok.
say(Format, Arguments) ->
    Text = unicode:characters_to_binary(io_lib:format(Format, Arguments)),
    true = port_command(eid_ct_out, Text),
    ok.

%% ---------------------------------------------------------------------
%% The hook
%% ---------------------------------------------------------------------

-spec init(term(), term()) -> {ok, state}.
init(_Id, _Options) ->
    {ok, state}.

pre_init_per_testcase(_Suite, _Case, Config, State) ->
    put(?MODULE, erlang:monotonic_time(millisecond)),
    {Config, State}.

post_end_per_testcase(Suite, Case, _Config, Result, State) ->
    case Result of
        {Bad, _} when Bad =:= 'EXIT'; Bad =:= error; Bad =:= failed;
                      Bad =:= fail; Bad =:= skip; Bad =:= skipped;
                      Bad =:= timetrap_timeout ->
            ok;
        _ ->
            say("ok      ~s ~s~s~n", [short(Suite), Case, took()])
    end,
    {Result, State}.

post_init_per_suite(Suite, _Config, Result, State) ->
    case Result of
        {skip, Reason} ->
            say("skipped ~s: ~ts~n", [short(Suite), text(Reason)]);
        _ ->
            ok
    end,
    {Result, State}.

post_end_per_suite(_Suite, _Config, Result, State) ->
    ok = eid_peers:stop_kept(),
    {Result, State}.

on_tc_fail(Suite, Case, Reason, State) ->
    Case =:= end_per_suite
        andalso counters:add(persistent_term:get(?MODULE), 1, 1),
    say("FAILED  ~s ~s~s~n~ts~n",
        [short(Suite), name(Case), took(),
         [["        | ", Line, "\n"]
          || Line <- string:split(text(Reason), "\n", all)]]),
    State.

on_tc_skip(Suite, Case, {tc_user_skip, Reason}, State) ->
    say("skipped ~s ~s: ~ts~n", [short(Suite), name(Case), text(Reason)]),
    State;
on_tc_skip(Suite, Case, {_, Reason}, State) ->
    say("FAILED  ~s ~s: not run: ~ts~n",
        [short(Suite), name(Case), text(Reason)]),
    State.

-spec short(module()) -> string().
short(Suite) ->
    "eid_" ++ Name = atom_to_list(Suite),
    lists:flatten(string:replace(Name, "_SUITE", ":")).

-spec name(atom() | {atom(), term()}) -> atom().
name({Case, _Group}) -> Case;
name(Case) -> Case.

-spec text(term()) -> string().
text({test_case_failed, Text}) ->
    text(Text);
text(Text) when is_list(Text), is_integer(hd(Text)) ->
    Text;
text(Term) ->
    lists:flatten(io_lib:format("~tP", [Term, 60])).

-spec took() -> string().
took() ->
    case get(?MODULE) of
        undefined ->
            "";
        Start ->
            Ms = erlang:monotonic_time(millisecond) - Start,
            lists:flatten(io_lib:format(" (~.1f s)", [Ms / 1000]))
    end.
