// SPDX-License-Identifier: Apache-2.0

import EIDCommandCore
import EIDDistCore

/// Puts a question to a Docker daemon over TLS. That is OTP's to speak, with the settings
/// that the nodes have: a VM passes the bytes on.
struct TLSDaemonClient {
  enum Reply<Answer: Sendable> {
    case answer(Result<Answer, LookupFailure>)
    /// The settings have it that this host's daemon is asked without TLS, and where.
    case withoutTLS(Endpoint)
  }

  let own: OwnNode?
  let lookup: LookupOptions

  /// - Parameters:
  ///   - host: as it is called, for settings and certificates of that name.
  func ask<Query: DaemonQuery>(
    _ query: Query,
    host: String,
    address: IPAddress
  ) throws(CommandFailure) -> Reply<Query.Answer> {
    var query = query
    var reply: Reply<Query.Answer>?
    var sentence = "the VM that was to ask Docker at \(host) said nothing"
    do throws(CommandFailure) {
      let erlang = try Erlang(
        for: try Self.node(on: host, address),
        own: own,
        lookup: lookup,
        // It connects to no node.
        cookie: "none",
        flags: Erlang.batch + [
          "-s", "eid_command", "list", "-extra", host, "\(address)", HexText.text(query.request),
        ]
      )
      _ = try erlang.run { line in
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        switch (words.first, words.dropFirst().first) {
        case ("plain", let text?):
          reply = Self.endpoint(text).map { .withoutTLS($0) }
        case ("failed", let said?):
          sentence = said
        case ("bytes", let digits?):
          if case .done(let result) = query.receive(HexText.bytes(digits).span) {
            reply = .answer(result)
          }
        case ("end", nil):
          reply = .answer(query.connectionClosed())
        default:
          // What a VM says that does not start.
          return true
        }
        return reply == nil
      }
    } catch {
      throw CommandFailure("to ask Docker at \(host) as nodes do: \(error.sentence)")
    }
    guard let reply else { throw CommandFailure(sentence) }
    return reply
  }

  /// Of an address and a port, with a space between them.
  private static func endpoint(_ text: String) -> Endpoint? {
    let words = text.split(separator: " ")
    guard words.count == 2, let address = IPAddress(text: words[0].utf8),
      let port = UInt16(words[1])
    else { return nil }
    return Endpoint(address: address, port: port)
  }

  /// Any node there: the VM's own name is to be as long or as short.
  private static func node(
    on host: String,
    _ address: IPAddress
  ) throws(CommandFailure) -> NodeName {
    do throws(NodeNameFailure) {
      return try NodeName("any@\(host)")
    } catch {
      throw CommandFailure("\(host) at \(address): \(error.sentence)")
    }
  }
}
