// SPDX-License-Identifier: Apache-2.0

import EIDDistCore

/// A TCP socket that listens, as /proc/net/tcp and /proc/net/tcp6 tell of it.
package struct ListeningSocket: Equatable {
  package let endpoint: Endpoint
  /// Its number in the links of /proc/PID/fd.
  package let inode: UInt64

  /// The state of a socket that listens (net/tcp_states.h: TCP_LISTEN).
  private static let listening = "0A"

  /// The listening sockets in the text of one of the two files.
  package static func all(in text: String) -> [ListeningSocket] {
    text.split(separator: "\n").dropFirst().compactMap { line in
      let fields = line.split(separator: " ", omittingEmptySubsequences: true)
      guard fields.count > 9, fields[3] == listening, let inode = UInt64(fields[9]) else {
        return nil
      }
      let local = fields[1].split(separator: ":")
      guard local.count == 2, let port = UInt16(local[1], radix: 16),
        let address = address(local[0])
      else { return nil }
      return ListeningSocket(endpoint: Endpoint(address: address, port: port), inode: inode)
    }
  }

  /// The socket on a port that a process listens on.
  ///
  /// - Parameter own: the numbers of its own sockets; nil where nobody may see them. In the
  ///   network of the host others listen on the same port, each on an address of its own.
  package static func first(
    in sockets: [ListeningSocket],
    on port: UInt16,
    own: Set<UInt64>?
  ) -> ListeningSocket? {
    sockets.first { $0.endpoint.port == port && own?.contains($0.inode) ?? true }
  }

  /// The kernel prints 32-bit words in the machine's byte order: on x86-64, and on all that
  /// is supported, the lowest byte first.
  private static func address(_ digits: Substring) -> IPAddress? {
    guard digits.utf8.count == 8 || digits.utf8.count == 32 else { return nil }
    var bytes: [UInt8] = []
    var rest = digits
    while !rest.isEmpty {
      guard let word = UInt32(rest.prefix(8), radix: 16) else { return nil }
      bytes += (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) }
      rest = rest.dropFirst(8)
    }
    return IPAddress(networkBytes: bytes)
  }

  /// Where a program in the same network reaches it. A socket for any IPv6 address is one
  /// for any IPv4 address as well, and a container has an IPv4 loopback address always.
  package var reachableEndpoint: Endpoint {
    guard endpoint.address.isAny else { return endpoint }
    return Endpoint(address: .v4(0x7f00_0001), port: endpoint.port)
  }
}
