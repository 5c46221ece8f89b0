# SPDX-License-Identifier: Apache-2.0
import Config

config :kernel, erlang_port: 12345, net_ticktime: 30

if networks = System.get_env("EID_ALLOW") do
  config :kernel, eid_allow: String.split(networks)
end
