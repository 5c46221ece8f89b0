// SPDX-License-Identifier: Apache-2.0

import EIDCommandCore
import EIDDistCore
import Glibc

/// Connects to a node as far as its handshake goes.
enum NodeClient {
  struct Outcome {
    /// Whether TCP connected.
    var isConnected = false
    /// What the node calls itself, where it came so far.
    var peerName: String?
    var isCookieAccepted = false
    /// Why it went no further; nil where nothing is wrong.
    var failure: HandshakeFailure?
  }

  /// Goes through the handshake.
  ///
  /// - Parameters:
  ///   - wanted: the name that the node must have to be told of the cookie; nil for any.
  ///   - cookie: nil to end when the node has named itself.
  ///   - milliseconds: for connecting, and again for the handshake.
  static func connect(
    to endpoint: Endpoint,
    wanted: String?,
    cookie: [UInt8]?,
    milliseconds: Int
  ) -> Outcome {
    var outcome = Outcome()
    var handshake = PeerHandshake(
      host: Resolver.hostname(),
      cookie: cookie,
      challenge: UInt32.random(in: 0...UInt32.max)
    )
    do throws(Connection.Failure) {
      let connection = try Connection.open(to: endpoint, by: Deadline(milliseconds: milliseconds))
      outcome.isConnected = true
      let deadline = Deadline(milliseconds: milliseconds)
      try connection.send(handshake.nameMessage, by: deadline)
      while true {
        let bytes = try connection.receive(upTo: handshake.wanted, by: deadline)
        guard !bytes.isEmpty else {
          outcome.failure = handshake.closed
          return outcome
        }
        let action = handshake.receive(bytes.span)
        outcome.peerName = handshake.peerName
        switch action {
        case .read:
          break
        case .send(let message):
          if let wanted, handshake.peerName != wanted { return outcome }
          try connection.send(message, by: deadline)
        case .identified:
          return outcome
        case .accepted:
          outcome.isCookieAccepted = true
          return outcome
        case .failed(let failure):
          outcome.failure = failure
          return outcome
        }
      }
    } catch {
      outcome.failure =
        outcome.isConnected
        ? failure(error, handshake) : connectFailure(error, milliseconds)
      return outcome
    }
  }

  private static func failure(
    _ failure: Connection.Failure,
    _ handshake: PeerHandshake
  ) -> HandshakeFailure {
    switch failure.number {
    // A peer that closes with bytes of ours unread resets; Docker's proxy does either.
    case ECONNRESET, EPIPE: handshake.closed
    case ETIMEDOUT: handshake.timedOut
    default: .unreachable(reason: failure.text)
    }
  }

  private static func connectFailure(
    _ failure: Connection.Failure,
    _ milliseconds: Int
  ) -> HandshakeFailure {
    switch failure.number {
    case ECONNREFUSED: .refused
    case ETIMEDOUT: .connectTimedOut(seconds: milliseconds / 1000)
    default: .unreachable(reason: failure.text)
    }
  }
}
