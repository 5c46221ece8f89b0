// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import EIDCommandCore

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Goes the way of a connection to a node, and says where and why it ends.",
    discussion: """
      Exit status: 0 when the node can be connected to; else that of the step that failed: \
      10 node name, 11 host, 12 Docker API, 13 container, 14 published port, 15 TCP connection, \
      16 handshake, 17 name of the node, 18 cookie, 19 way back; 20 when nothing failed, but no \
      cookie is known to try.
      """
  )

  @Argument(help: ArgumentHelp("The node, as 85cbfa041dbf@10.77.0.1.", valueName: "node"))
  var node: String

  @Flag(help: "The node listens on the port of its host itself (eid_lookup direct).")
  var direct = false

  @Flag(help: "Prints one JSON object.")
  var json = false

  @OptionGroup var lookup: LookupOptions
  @OptionGroup var cookie: Cookie

  func run() throws {
    try CommandFailure.reporting {
      let own = OwnNode.find()
      var diagnosis = Diagnosis(
        node: node,
        listenPort: lookup.listenPort(own),
        daemonPort: try lookup.daemonPort(own),
        isDirect: direct,
        timeout: lookup.timeout,
        cookie: try cookie.find(own)
      )
      diagnosis.run()
      let report = diagnosis.report
      if json {
        Output.line(report.json)
      } else {
        Output.text(report.text(colours: Environment.hasColours))
      }
      if report.exitStatus != 0 { throw ExitCode(report.exitStatus) }
    }
  }
}
