// SPDX-License-Identifier: Apache-2.0

import EIDDistCore

/// What keeps a connection to a node, or its handshake, from coming about.
///
/// The sentences are those of eid_tcp_dist.erl: doctor and log say the same.
package enum HandshakeFailure: Error, Equatable {
  case refused
  case connectTimedOut(seconds: Int)
  /// Any other error of connecting; the reason is the system's text.
  case unreachable(reason: String)
  case closed(afterMessages: Int)
  case timedOut(afterMessages: Int)
  case speaksTLS
  case notANode
  case notAllowed
  case status(String)
  case malformed(String)
  /// It does not know the cookie itself.
  case wrongAnswer

  /// One line for people, about the node at `peer`.
  package func sentence(_ peer: Endpoint) -> String {
    let peer = peer.text
    switch self {
    case .refused:
      return "connection refused by \(peer): no node listens there (yet)"
    case .connectTimedOut(let seconds):
      return "\(peer) does not answer: a firewall, or no route (waited for \(seconds) s)"
    case .unreachable(let reason):
      return "\(peer): \(reason)"
    case .closed(0):
      return "\(peer) closed at once. No node listens there (Docker's proxy accepts for a"
        + " container in which nothing does), or it runs another version"
    case .closed(1):
      return "\(peer) closed after the first handshake message"
    case .closed:
      return "\(peer) closed when it had our answer to its challenge: the cookies differ,"
        + " most likely"
    case .timedOut(let messages):
      return "\(peer) accepted the connection but did not "
        + (messages == 0
          ? "answer: what is there is no node, or it hangs" : "finish the handshake in time")
    case .speaksTLS:
      return "\(peer) is not an Erlang node: what it sent is no handshake, but TLS. A node"
        + " with -proto_dist inet_tls is reached only by nodes that have that as well"
    case .notANode:
      return "\(peer) is not an Erlang node: what it sent is no handshake"
    case .notAllowed:
      return "the node at \(peer) does not allow this one (net_kernel:allow/1 there)"
    case .status(let status):
      return "\(peer) refused the connection with status \"\(status)\""
    case .malformed(let what):
      return "\(peer) did not answer as a node would (\(what))"
    case .wrongAnswer:
      return "\(peer) does not know the cookie: its answer to our challenge is wrong"
    }
  }

  /// Whether it is the cookie that was not accepted.
  package var isOfCookie: Bool {
    switch self {
    case .closed(let messages), .timedOut(let messages): messages >= 2
    case .wrongAnswer: true
    case .refused, .connectTimedOut, .unreachable, .speaksTLS, .notANode, .notAllowed, .status,
      .malformed:
      false
    }
  }
}

extension Endpoint {
  /// As `Address:Port`, an IPv6 address in brackets.
  package var text: String { address.isV6 ? "[\(address)]:\(port)" : "\(address):\(port)" }
}
