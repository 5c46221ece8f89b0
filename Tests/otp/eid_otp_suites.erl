%% SPDX-License-Identifier: Apache-2.0

%% Runs one of OTP's suites, as Tests/otp-suites asks for it, and is the hook
%% that writes down what became of each case: a line
%%
%%     SUITE <tab> GROUP/CASE <tab> ok | failed | skipped <tab> REASON
%%
%% of which the last one counts for a case that has several.
-module(eid_otp_suites).

-export([main/0]).

-export([init/2, post_end_per_testcase/5, on_tc_fail/4, on_tc_skip/4]).

-define(REASON_CHARACTERS, 600).

%% Plain arguments: the directory of the suite's modules, the suite, a
%% directory for Common Test's logs, the file to append to, and, for one case
%% alone, GROUP/CASE.
-spec main() -> no_return().
main() ->
    [Dir, Suite, Logs, File | One] = init:get_plain_arguments(),
    persistent_term:put(?MODULE, File),
    Result = ct:run_test([{dir, Dir},
                          {suite, list_to_atom(Suite)},
                          {logdir, Logs},
                          {auto_compile, false},
                          {abort_if_missing_suites, true},
                          %% As OTP's own runs.
                          {scale_timetraps, true},
                          {ct_hooks, [?MODULE]}] ++ only(One)),
    case Result of
        {Ok, Failed, {UserSkipped, AutoSkipped}} ->
            io:format("~w ok, ~w failed, ~w skipped~n",
                      [Ok, Failed, UserSkipped + AutoSkipped]),
            halt(0);
        Other ->
            io:format("Common Test: ~p~n", [Other]),
            halt(1)
    end.

-spec only([string()]) -> [{atom(), term()}].
only([]) ->
    [];
only([One]) ->
    [Group, Case] = string:split(One, "/"),
    [{group, list_to_atom(Group)} || Group =/= ""]
        ++ [{testcase, list_to_atom(Case)}].

-spec note(module(), atom(), atom(), atom(), term()) -> ok.
note(Suite, Group, Case, Status, Reason) ->
    Text = string:slice(io_lib:format("~0tP", [Reason, 60]), 0,
                        ?REASON_CHARACTERS),
    Line = io_lib:format("~s\t~s/~s\t~s\t~ts~n",
                         [short(Suite), Group, Case, Status, Text]),
    ok = file:write_file(persistent_term:get(?MODULE),
                         unicode:characters_to_binary(Line), [append]).

-spec short(module()) -> string().
short(Suite) ->
    string:replace(atom_to_list(Suite), "_SUITE", "").

%% ---------------------------------------------------------------------
%% The hook
%% ---------------------------------------------------------------------

-spec init(term(), term()) -> {ok, state}.
init(_Id, _Options) ->
    {ok, state}.

-spec post_end_per_testcase(module(), atom(), term(), term(), State) ->
          {term(), State}.
post_end_per_testcase(Suite, Case, Config, Result, State) ->
    {Status, Reason} =
        case Result of
            {Skip, Why} when Skip =:= skip; Skip =:= skipped ->
                {skipped, Why};
            {Bad, Why} when Bad =:= 'EXIT'; Bad =:= error; Bad =:= failed;
                            Bad =:= fail; Bad =:= timetrap_timeout ->
                {failed, Why};
            _ ->
                {ok, ''}
        end,
    Properties = proplists:get_value(tc_group_properties, Config, []),
    note(Suite, proplists:get_value(name, Properties, ''), Case, Status,
         Reason),
    {Result, State}.

-spec on_tc_fail(module(), atom() | {atom(), atom()}, term(), State) ->
          State.
on_tc_fail(Suite, Name, Reason, State) ->
    unless(Suite, Name, failed, Reason),
    State.

-spec on_tc_skip(module(), atom() | {atom(), atom()}, {atom(), term()},
                 State) -> State.
on_tc_skip(Suite, Name, {tc_user_skip, Reason}, State) ->
    unless(Suite, Name, skipped, Reason),
    State;
on_tc_skip(Suite, Name, {_, Reason}, State) ->
    unless(Suite, Name, failed, Reason),
    State.

%% What an end_per_... says is of no case.
-spec unless(module(), atom() | {atom(), atom()}, atom(), term()) -> ok.
unless(_Suite, {end_per_group, _Group}, _Status, _Reason) ->
    ok;
unless(_Suite, end_per_suite, _Status, _Reason) ->
    ok;
unless(Suite, {Case, Group}, Status, Reason) ->
    note(Suite, Group, Case, Status, Reason);
unless(Suite, Case, Status, Reason) ->
    note(Suite, '', Case, Status, Reason).
