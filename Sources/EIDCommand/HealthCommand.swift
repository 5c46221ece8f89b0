// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import EIDCommandCore
import EIDDistCore

struct HealthCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "health",
    abstract: "Whether the node in this container listens and answers, for HEALTHCHECK.",
    discussion: """
      It begins a handshake with the node and leaves: a VM that hangs does not answer. Exit \
      status: 0 when it answers, else 1, with a sentence on standard output, which is what Docker \
      keeps.
      """
  )

  @Option(
    help: ArgumentHelp("The most that the answer may take.", valueName: "milliseconds")
  )
  var timeout = 2000

  func validate() throws {
    guard (1...120_000).contains(timeout) else {
      throw ValidationError("--timeout is a number of milliseconds from 1 to 120000")
    }
  }

  func run() throws {
    guard let own = OwnNode.find() else {
      try unhealthy("no node runs here: no Erlang VM with -name or -sname")
    }
    guard let endpoint = own.listeningEndpoint() else {
      try unhealthy("\(own.name) does not listen on port \(own.listenPort)")
    }
    let outcome = NodeClient.connect(
      to: endpoint,
      wanted: nil,
      cookie: nil,
      milliseconds: timeout
    )
    // A node with the TLS carrier answers, too: with an alert.
    if let failure = outcome.failure, failure != .speaksTLS {
      try unhealthy("\(own.name): \(failure.sentence(endpoint))")
    }
    Output.line("\(own.name) answers on \(endpoint.text)")
  }

  private func unhealthy(_ sentence: String) throws -> Never {
    Output.line(sentence)
    throw ExitCode(1)
  }
}
