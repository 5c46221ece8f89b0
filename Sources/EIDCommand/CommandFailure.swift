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
