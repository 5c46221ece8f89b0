// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import EIDCommandCore

struct RPCCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rpc",
    abstract: "Calls a function on a node and prints what it returns.",
    usage: """
      eid rpc [options] <module> <function> [<term> ...]
      eid rpc [options] <node> <module> <function> [<term> ...]
      """,
    discussion: """
      The first argument is the node where it has an @; without it, the node in this container is \
      meant. A single term that is a list has all the arguments; else each term is one: \
      eid rpc erlang system_info otp_release, eid rpc lists max '[[1,2]]'.

      Exit status: 0 when the call returned, 1 when it failed (the reason is on standard error), \
      69 when there was no connection, or no erl to make one.
      """
  )

  @Argument(
    // A term may be -1.
    parsing: .allUnrecognized,
    help: ArgumentHelp("[node] module function [term ...]", valueName: "call")
  )
  var call: [String]

  @OptionGroup var lookup: LookupOptions
  @OptionGroup var cookie: Cookie

  func run() throws {
    try CommandFailure.reporting {
      let own = OwnNode.find()
      let isNamed = call.first?.contains("@") ?? false
      let call = isNamed ? Array(self.call.dropFirst()) : self.call
      guard call.count >= 2 else {
        throw CommandFailure("rpc wants a module and a function; see eid rpc --help", status: 64)
      }
      let target = try own.target(isNamed ? self.call.first : nil)
      let erlang = try Erlang(
        for: target,
        own: own,
        lookup: lookup,
        cookie: try cookie.find(own),
        flags: Erlang.batch + ["-s", "eid_command", "rpc", "-extra", target.description] + call
      )
      let status = try erlang.run()
      if status != 0 { throw ExitCode(status) }
    }
  }
}

extension Erlang {
  /// For a VM that runs one thing: no shell, nothing but results on standard output, and
  /// Ctrl-C ends it.
  static let batch = [
    "-noinput", "+Bd", "-kernel", "logger",
    "[{handler,default,logger_std_h,#{config=>#{type=>standard_error}}}]",
  ]
}
