// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

struct NodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "node",
    abstract: "Prints the name of the node in this container."
  )

  func run() throws {
    try CommandFailure.reporting {
      guard let own = OwnNode.find() else { throw CommandFailure.noNode }
      Output.line(own.name)
    }
  }
}

extension CommandFailure {
  static let noNode = CommandFailure(
    "no node runs here: no Erlang VM with -name or -sname is seen in /proc. Name the node, or"
      + " run this in its container (docker exec CONTAINER eid ...)"
  )
}
