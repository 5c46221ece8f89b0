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

  @Option(
    help: ArgumentHelp(
      """
      The node that the way back leads to; default: the one in this container. The peer itself is \
      asked to reach it, which takes an erl here.
      """,
      valueName: "node"
    )
  )
  var from: String?

  @Flag(help: "Prints one JSON object.")
  var json = false

  @OptionGroup var lookup: LookupOptions
  @OptionGroup var cookie: Cookie

  func run() throws {
    try CommandFailure.reporting {
      let own = OwnNode.find()
      // Once: afterwards this may run as the node's user, who does not see all files.
      let cookie = try cookie.find(own)
      var diagnosis = try Diagnosis(node: node, own: own, lookup: lookup, cookie: cookie)
      diagnosis.run()
      if diagnosis.report.isCookieAccepted {
        diagnosis.note(.wayBack, try wayBack(own, cookie))
      }
      let report = diagnosis.report
      if json {
        Output.line(report.json)
      } else {
        Output.text(report.text(colours: Environment.hasColours))
      }
      if report.exitStatus != 0 { throw ExitCode(report.exitStatus) }
    }
  }

  /// Has the peer look up and reach the node that is asked for, as it would to connect.
  private func wayBack(
    _ own: OwnNode?,
    _ cookie: String?
  ) throws(CommandFailure) -> DoctorReport.Finding {
    guard let text = from ?? own?.name else {
      return .notTried("no node runs here: run this in a node's container, or give --from NODE")
    }
    let target: NodeName
    let name: NodeName
    do throws(NodeNameFailure) {
      target = try NodeName(node)
      name = try NodeName(text)
    } catch {
      throw CommandFailure(error.sentence)
    }
    var lines: [String] = []
    do throws(CommandFailure) {
      let erlang = try Erlang(
        for: target,
        own: own,
        lookup: lookup,
        cookie: cookie,
        flags: Erlang.batch + ["-s", "eid_command", "way_back", "-extra"]
          + [target.description, name.left, name.host]
      )
      _ = try erlang.run { line in
        lines.append(line)
        return true
      }
    } catch {
      return .notTried(error.sentence)
    }
    for line in lines {
      if line.hasPrefix("ok ") { return .ok("\(target) reaches \(name) at \(line.dropFirst(3))") }
      if line.hasPrefix("failed ") {
        return .failed("from \(target) to \(name): \(line.dropFirst(7))")
      }
    }
    return .notTried("the VM that was to ask \(target) did not come so far")
  }
}
