%% SPDX-License-Identifier: Apache-2.0

%% A logger handler for nodes that get killed: each event is in the file, as
%% one line, when the call returns.
-module(eid_log_file).

-export([log/2]).

-spec log(logger:log_event(), #{config := file:filename(), _ => _}) -> ok.
log(Event, #{config := File}) ->
    Line = logger_formatter:format(Event, #{single_line => true,
                                            max_size => 4096,
                                            template => [level, " ", msg,
                                                         "\n"]}),
    ok = file:write_file(File, unicode:characters_to_binary(Line),
                         [append, raw]).
