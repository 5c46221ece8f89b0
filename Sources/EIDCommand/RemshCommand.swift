// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc

struct RemshCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remsh",
    abstract: "A shell on a node; without an argument on the one in this container.",
    discussion: """
      Runs erl -remsh as a hidden node without a listen port. The node in this container is \
      reached in the container itself, whatever Docker does: docker exec -it CONTAINER eid remsh.
      """
  )

  @Argument(
    help: ArgumentHelp("The node; default: the one in this container.", valueName: "node")
  )
  var node: String?

  @OptionGroup var lookup: LookupOptions
  @OptionGroup var cookie: Cookie

  func run() throws {
    try CommandFailure.reporting {
      // Without one, OTP gives a shell on the VM beside the node instead, and does not say so.
      guard isatty(STDIN_FILENO) == 1, let terminal = Environment["TERM"] else {
        throw CommandFailure(
          "a shell wants a terminal: docker exec -it CONTAINER eid remsh (for one call: eid rpc)"
        )
      }
      if !Environment.knows(terminal: terminal) {
        Output.error(
          "warning: there is no terminfo entry for \(terminal) here, without which OTP may give"
            + " a shell on another VM than the node: install ncurses-base"
        )
      }
      let own = OwnNode.find()
      let target = try own.target(node)
      let erlang = try Erlang(
        for: target,
        own: own,
        lookup: lookup,
        cookie: try cookie.find(own),
        flags: ["-remsh", target.description]
      )
      let status = try erlang.run()
      if status != 0 { throw ExitCode(status) }
    }
  }
}
