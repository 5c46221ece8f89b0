// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc

/// Ends the command with one line on standard error.
struct CommandFailure: Error {
  /// sysexits.h: EX_UNAVAILABLE.
  static let unavailable: Int32 = 69

  let sentence: String
  var status: Int32 = 1

  init(_ sentence: String, status: Int32 = 1) {
    self.sentence = sentence
    self.status = status
  }

  /// Runs what may fail so; on failure says why and gives the exit status.
  static func reporting(_ body: () throws -> Void) throws {
    do {
      try body()
    } catch let failure as CommandFailure {
      Output.error(failure.sentence)
      throw ExitCode(failure.status)
    }
  }
}

extension CommandFailure {
  static func nodeOfAnother(_ own: OwnNode, _ user: UInt32?, _ consequence: String) -> Self {
    guard let user else {
      return CommandFailure(
        "whose the node \(own.name) is (process \(own.pid)) cannot be told: \(consequence)."
          + " Run eid as the user of the node \(dockerExec(as: "USER"))",
        status: unavailable
      )
    }
    return CommandFailure(
      "the node \(own.name) is that of user \(user): \(consequence). Run eid as that user"
        + " \(dockerExec(as: String(user)))",
      status: unavailable
    )
  }

  /// The cure, in parentheses, of what another user than this one has to run.
  static func dockerExec(as user: String) -> String {
    "(docker exec -u \(user) CONTAINER eid ...)"
  }
}
