// SPDX-License-Identifier: Apache-2.0

/// One question to the Docker Remote API, and its answer.
///
/// Whoever holds it connects to the daemon, sends ``request``, passes on what comes until
/// there is a result, and keeps the deadline.
public protocol DaemonQuery {
  associatedtype Answer: Equatable, Sendable

  var target: LookupTarget { get }

  /// The request, to be sent once.
  var request: [UInt8] { get }

  /// Takes the next bytes that the daemon sent; after a result there is nothing to be done
  /// with more of them.
  mutating func receive(_ bytes: Span<UInt8>) -> LookupStep<Answer>

  /// Takes the news that the daemon has closed the connection; returns the result, which is
  /// the one that ``receive(_:)`` gave, if it gave one.
  mutating func connectionClosed() -> Result<Answer, LookupFailure>
}

extension LookupTarget {
  /// A GET of `path` (an absolute path of characters that need no escape).
  ///
  /// The path has no API version: newer daemons refuse old versions, older ones new
  /// versions, and all of them take this.
  func request(path: String) -> [UInt8] {
    Array(
      """
      GET \(path) HTTP/1.1\r
      Host: \(daemonText)\r
      User-Agent: eid\r
      Accept: application/json\r
      Connection: close\r
      \r

      """.utf8
    )
  }
}
