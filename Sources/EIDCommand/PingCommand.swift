// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import EIDCommandCore

struct PingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ping",
    abstract: "Connects to a node once: pong, or the reason why not.",
    discussion: """
      Exit status: 0 for pong. Without a cookie, pong means that the node answers and has the \
      name asked for.
      """
  )

  @Argument(help: ArgumentHelp("The node, as 85cbfa041dbf@10.77.0.1.", valueName: "node"))
  var node: String

  @OptionGroup var lookup: LookupOptions
  @OptionGroup var cookie: Cookie

  func run() throws {
    try CommandFailure.reporting {
      let own = OwnNode.find()
      let cookie = try cookie.find(own)
      let began = Deadline.now()
      var diagnosis = try Diagnosis(node: node, own: own, lookup: lookup, cookie: cookie)
      diagnosis.run()
      let microseconds = (Deadline.now() - began) / 1000
      if let failure = diagnosis.report.failure {
        throw CommandFailure("cannot connect to \(diagnosis.report.node): \(failure.sentence)")
      }
      let milliseconds = "\(microseconds / 1000).\(microseconds % 1000 / 100)"
      Output.line(
        "pong from \(node) at \(diagnosis.peer?.text ?? "") in \(milliseconds) ms"
          + (cookie == nil ? " (cookie not tried: none is known here)" : "")
      )
    }
  }
}
