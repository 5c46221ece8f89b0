// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import EIDCommandCore
import Glibc

struct TopCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top",
    abstract: "What a node's connections carry: messages, bytes, queues, busy time, round trips.",
    discussion: """
      Shows eid:connections() of the node again and again. The counted messages are packets: \
      a large message is several. Ctrl-C ends it.
      """
  )

  @Argument(
    help: ArgumentHelp("The node; default: the one in this container.", valueName: "node")
  )
  var node: String?

  @Flag(help: "Shows it once: what was carried within one interval.")
  var once = false

  @Flag(help: "Prints the counters as a JSON object, one on a line.")
  var json = false

  @Option(help: ArgumentHelp("The time between two looks.", valueName: "milliseconds"))
  var interval = 1000

  @OptionGroup var lookup: LookupOptions
  @OptionGroup var cookie: Cookie

  func validate() throws {
    guard (50...3_600_000).contains(interval) else {
      throw ValidationError("--interval is a number of milliseconds from 50 to 3600000")
    }
  }

  func run() throws {
    try CommandFailure.reporting {
      let own = OwnNode.find()
      let target = try own.target(node)
      // For one table of rates it takes two samples.
      let count = once ? (json ? 1 : 2) : 0
      let erlang = try Erlang(
        for: target,
        own: own,
        lookup: lookup,
        cookie: try cookie.find(own),
        flags: Erlang.batch
          + ["-s", "eid_command", "top", "-extra", target.description]
          + [String(interval), String(count)]
      )
      var reader = TrafficReader()
      var earlier: TrafficSample?
      let isLive = !once && isatty(STDOUT_FILENO) == 1
      let status = try erlang.run { line in
        guard let sample = reader.take(line) else { return true }
        defer { earlier = sample }
        if json {
          Output.line(sample.json)
        } else if !once || earlier != nil {
          show(sample, since: earlier, target, isLive: isLive)
        }
        return Output.failureNumber == 0
      }
      switch Output.failureNumber {
      case 0: break
      // As if the signal had ended it.
      case EPIPE: throw ExitCode(128 + SIGPIPE)
      case let number:
        throw CommandFailure("cannot write: \(unsafe String(cString: strerror(number)))")
      }
      if status != 0 { throw ExitCode(status) }
    }
  }

  private func show(
    _ sample: TrafficSample,
    since earlier: TrafficSample?,
    _ target: NodeName,
    isLive: Bool
  ) {
    let lines = TrafficTable.lines(sample, since: earlier)
    // Home and clear to the end (ECMA-48), so that nothing flickers.
    let start = isLive ? "\u{1b}[H\u{1b}[J" : ""
    let title = Colour.bold.paint(target.description, isLive && Environment.hasColours)
    Output.text("\(start)\(title)\n\(lines.joined(separator: "\n"))\n\(isLive || once ? "" : "\n")")
  }
}
