// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

@main
struct EidCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eid",
    abstract: "Nodes in Docker containers: where they are, and why they do not connect.",
    discussion: """
      Starts no Erlang VM but for remsh, rpc, top and the way back of doctor, and needs none \
      installed for the rest. Beside a node, in its container, it takes name, cookie and ports \
      from the node.

      Shell completion: eid --generate-completion-script bash (or zsh, fish).
      """,
    subcommands: [
      DoctorCommand.self, PingCommand.self, NamesCommand.self, HealthCommand.self,
      NodeCommand.self, RemshCommand.self, RPCCommand.self, TopCommand.self,
    ]
  )
}
