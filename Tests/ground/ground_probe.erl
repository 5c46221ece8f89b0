%% SPDX-License-Identifier: Apache-2.0
%%
%% A node's letter box, so that a shell script can ask a node anything
%% without a second VM, a connection or a port: the node answers the
%% expressions that it finds as files in a directory.
-module(ground_probe).

-export([start/1]).

-define(PAUSE_MS, 10).

%% Loads the other modules that lie in Dir, tells that the node is up (file
%% `up', with the node's name), and answers in the background from then on.
-spec start(file:filename()) -> ok.
start(Dir) ->
    lists:foreach(
        fun(Beam) -> {module, _} = code:load_abs(filename:rootname(Beam)) end,
        filelib:wildcard(filename:join(Dir, "*.beam"))
    ),
    spawn(fun() -> loop(Dir) end),
    write(Dir, "up", atom_to_list(node())).

%% Polls: a FIFO would spare that, but hold a dirty I/O scheduler for good.
-spec loop(file:filename()) -> no_return().
loop(Dir) ->
    lists:foreach(
        fun(Letter) -> spawn(fun() -> answer(Dir, Letter) end) end,
        [take(Dir, File) || File <- filelib:wildcard("*.cmd", Dir)]
    ),
    timer:sleep(?PAUSE_MS),
    loop(Dir).

-spec take(file:filename(), file:filename()) -> {string(), binary()}.
take(Dir, File) ->
    Path = filename:join(Dir, File),
    {ok, Text} = file:read_file(Path),
    ok = file:delete(Path),
    {filename:rootname(File), Text}.

%% One process per expression: one that hangs does not hold up the next.
-spec answer(file:filename(), {string(), binary()}) -> ok.
answer(Dir, {Name, Text}) ->
    Line =
        try
            ["ok ", io_lib:format("~0tp", [evaluate(Text)])]
        catch
            Class:Reason ->
                ["error ", io_lib:format("~0tp", [{Class, Reason}])]
        end,
    write(Dir, Name ++ ".out", Line).

-spec evaluate(binary()) -> term().
evaluate(Text) ->
    Source = unicode:characters_to_list(Text) ++ " .",
    {ok, Tokens, _} = erl_scan:string(Source),
    {ok, Expressions} = erl_parse:parse_exprs(Tokens),
    {value, Value, _} = erl_eval:exprs(Expressions, #{}),
    Value.

%% Whoever waits for the file must never see half of it.
-spec write(file:filename(), string(), iodata()) -> ok.
write(Dir, Name, Text) ->
    Path = filename:join(Dir, Name),
    Bytes = unicode:characters_to_binary([Text, $\n]),
    ok = file:write_file(Path ++ ".new", Bytes),
    ok = file:rename(Path ++ ".new", Path).
