// SPDX-License-Identifier: Apache-2.0

import EIDDistCore
import Glibc

/// Puts a question to a Docker daemon.
enum DaemonClient {
  private static let readBytes = 64 * 1024

  private enum Phase {
    case connecting
    case asking
    case answering
  }

  /// The answer, or why there is none, within `milliseconds`.
  static func ask<Query: DaemonQuery>(
    _ query: Query,
    milliseconds: Int
  ) -> Result<Query.Answer, LookupFailure> {
    var query = query
    let target = query.target
    let deadline = Deadline(milliseconds: milliseconds)
    var phase = Phase.connecting
    do throws(Connection.Failure) {
      let connection = try Connection.open(to: target.daemon, by: deadline)
      phase = .asking
      try connection.send(query.request, by: deadline)
      while true {
        let bytes = try connection.receive(upTo: readBytes, by: deadline)
        if bytes.isEmpty { return query.connectionClosed() }
        phase = .answering
        if case .done(let result) = query.receive(bytes.span) { return result }
      }
    } catch {
      return .failure(failure(error, phase, target))
    }
  }

  private static func failure(
    _ failure: Connection.Failure,
    _ phase: Phase,
    _ target: LookupTarget
  ) -> LookupFailure {
    switch failure.number {
    case ECONNREFUSED:
      return .connectionRefused(target)
    case ECONNRESET, EPIPE:
      return .connectionReset(target)
    case ETIMEDOUT:
      switch phase {
      case .connecting: return .connectTimedOut(target)
      case .asking: return .answerTimedOut(target)
      case .answering: return .answerStalled(target)
      }
    case EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN, EADDRNOTAVAIL, EACCES, EPERM:
      return .unreachable(target, reason: failure.text)
    default:
      return .systemError(target, reason: failure.text)
    }
  }
}
