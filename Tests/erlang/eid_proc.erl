%% SPDX-License-Identifier: Apache-2.0

%% What the operating system knows of a process.
-module(eid_proc).

-export([descriptors/1, sockets/1, listening/1, listening/2, descendants/1,
         resident_bytes/1, erl/1, erl/2]).

-type os_pid() :: string().

%% How many descriptors are open.
-spec descriptors(os_pid()) -> non_neg_integer().
descriptors(OsPid) ->
    {ok, Names} = file:list_dir("/proc/" ++ OsPid ++ "/fd"),
    length(Names).

%% The inodes of its sockets.
-spec sockets(os_pid()) -> [string()].
sockets(OsPid) ->
    Dir = "/proc/" ++ OsPid ++ "/fd",
    {ok, Names} = file:list_dir(Dir),
    [string:trim(Inode, trailing, "]")
     || Name <- Names,
        {ok, "socket:[" ++ Inode} <-
            [file:read_link(filename:join(Dir, Name))]].

%% On which addresses (as /proc writes them) and ports it listens, for TCP.
-spec listening(os_pid()) -> [{string(), inet:port_number()}].
listening(OsPid) ->
    Own = sockets(OsPid),
    [Address || Table <- ["tcp", "tcp6"],
                {Inode, Address} <- listening(OsPid, Table),
                lists:member(Inode, Own)].

%% All listeners of its network namespace: with their inodes.
-spec listening(os_pid(), string()) ->
          [{string(), {string(), inet:port_number()}}].
listening(OsPid, Table) ->
    case file:read_file(filename:join(["/proc", OsPid, "net", Table])) of
        {ok, Text} ->
            [_ | Lines] = string:lexemes(binary_to_list(Text), "\n"),
            [{lists:nth(10, Fields), address(lists:nth(2, Fields))}
             || Line <- Lines,
                Fields <- [string:lexemes(Line, " ")],
                lists:nth(4, Fields) =:= "0A"];
        {error, enoent} ->
            []
    end.

-spec address(string()) -> {string(), inet:port_number()}.
address(Text) ->
    [Address, Port] = string:lexemes(Text, ":"),
    {Address, list_to_integer(Port, 16)}.

%% Its children, their children, and so on, by name.
-spec descendants(os_pid()) -> [string()].
descendants(OsPid) ->
    descendants(OsPid, os_processes()).

-spec descendants(os_pid(), [{os_pid(), string(), os_pid()}]) ->
          [string()].
descendants(OsPid, All) ->
    lists:append([[Name | descendants(Child, All)]
                  || {Child, Name, Parent} <- All, Parent =:= OsPid]).

%% All processes, with their parents.
-spec os_processes() -> [{os_pid(), string(), os_pid()}].
os_processes() ->
    {ok, Dirs} = file:list_dir("/proc"),
    [{Dir, Name, Parent}
     || Dir <- Dirs,
        {ok, Stat} <- [file:read_file("/proc/" ++ Dir ++ "/stat")],
        {match, [Name, Parent]} <-
            [re:run(Stat, "^[0-9]+ \\((.*)\\) . ([0-9]+) ",
                    [{capture, all_but_first, list}])]].

-spec resident_bytes(os_pid()) -> non_neg_integer().
resident_bytes(OsPid) ->
    {ok, Text} = file:read_file("/proc/" ++ OsPid ++ "/statm"),
    [_, Pages | _] = string:lexemes(binary_to_list(Text), " "),
    4096 * list_to_integer(Pages).

%% Runs erl to its end: its exit status and what it wrote.
-spec erl([string()]) -> {non_neg_integer(), binary()}.
erl(Arguments) ->
    erl(Arguments, []).

-spec erl([string()], [{string(), string()}]) ->
          {non_neg_integer(), binary()}.
erl(Arguments, Environment) ->
    Port = open_port({spawn_executable, os:getenv("EID_TEST_ERL")},
                     [{args, ["-noinput" | Arguments]},
                      {env, Environment}, binary,
                      exit_status, stderr_to_stdout, hide]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    ended(Port, OsPid, erlang:monotonic_time(millisecond) + 30000, <<>>).

-spec ended(port(), integer(), integer(), binary()) ->
          {non_neg_integer(), binary()}.
ended(Port, OsPid, End, Output) ->
    receive
        {Port, {data, Data}} ->
            ended(Port, OsPid, End, <<Output/binary, Data/binary>>);
        {Port, {exit_status, Status}} ->
            {Status, Output}
    after max(0, End - erlang:monotonic_time(millisecond)) ->
            _ = os:cmd("kill -KILL " ++ integer_to_list(OsPid)),
            error({does_not_end, Output})
    end.
