%% SPDX-License-Identifier: Apache-2.0

%% The kernel setting eid_allow: the addresses and networks that may connect.
%%
%%   -kernel eid_allow '["10.77.0.0/16", "192.168.1.7", "fd00::/8"]'
%%
%% Without it all may. It is read again when it changes.
-module(eid_allow).

-export([allows/1, is_network/1]).

%% The first bits of an address, and how many bits it has in all.
-type network() :: {32 | 128, bitstring()}.

%% Whether a connection from Ip is to be taken.
-spec allows(inet:ip_address()) -> boolean().
allows(Ip) ->
    case application:get_env(kernel, eid_allow) of
        undefined ->
            true;
        {ok, all} ->
            true;
        {ok, Setting} ->
            Allowed = eid_settings:strings(Setting),
            Bits = bits(Ip),
            lists:any(fun(Network) -> contains(Network, Bits) end,
                      networks(Allowed))
    end.

%% Whether Text is an address, or a network in CIDR notation.
-spec is_network(term()) -> boolean().
is_network(Text) ->
    parse(Text) =/= error.

%% A wrong value lets nobody in: a mistake must not open the door. At the start
%% eid_settings has refused it with a sentence.
-spec networks(term()) -> [network()].
networks(Allowed) ->
    case get(?MODULE) of
        {Allowed, Networks} ->
            Networks;
        _ ->
            Networks = try [Network || Text <- Allowed,
                                       {_, _} = Network <- [parse(Text)]]
                       catch error:_ -> []
                       end,
            put(?MODULE, {Allowed, Networks}),
            Networks
    end.

-spec contains(network(), bitstring()) -> boolean().
contains({Size, Prefix}, Bits) ->
    Length = bit_size(Prefix),
    case Bits of
        <<Prefix:Length/bitstring, _/bitstring>> -> bit_size(Bits) =:= Size;
        _ -> false
    end.

-spec parse(term()) -> network() | error.
parse(Text) ->
    try
        case string:split(Text, "/") of
            [Address] ->
                prefix(inet:parse_strict_address(Address), all);
            [Address, Length] ->
                prefix(inet:parse_strict_address(Address),
                       list_to_integer(Length))
        end
    catch
        error:_ -> error
    end.

-spec prefix({ok, inet:ip_address()} | {error, einval},
             all | integer()) -> network() | error.
prefix({ok, Ip}, Length) ->
    Bits = bits(Ip),
    Size = bit_size(Bits),
    case Length of
        all ->
            {Size, Bits};
        _ when Length >= 0, Length =< Size ->
            <<Prefix:Length/bitstring, _/bitstring>> = Bits,
            {Size, Prefix};
        _ ->
            error
    end;
prefix({error, einval}, _Length) ->
    error.

%% An IPv4 address in IPv6 (::ffff:10.0.0.1) is the IPv4 address.
-spec bits(inet:ip_address()) -> bitstring().
bits({A, B, C, D}) ->
    <<A, B, C, D>>;
bits({0, 0, 0, 0, 0, 16#ffff, G, H}) ->
    <<G:16, H:16>>;
bits({A, B, C, D, E, F, G, H}) ->
    <<A:16, B:16, C:16, D:16, E:16, F:16, G:16, H:16>>.
