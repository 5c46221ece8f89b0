// SPDX-License-Identifier: Apache-2.0

import EIDDistCore

/// A node's name, `Left@Host`.
package struct NodeName: Equatable, Sendable, CustomStringConvertible {
  /// OTP's limit on an atom, and so on a node's name, in characters.
  static let maxBytes = 255

  package let description: String
  /// Before the `@`: with the Docker lookup the container.
  package let left: String
  package let host: String

  package init(_ text: String) throws(NodeNameFailure) {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }) else { throw .malformed(text) }
    guard text.utf8.count <= Self.maxBytes else { throw .tooLong }
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { throw .malformed(text) }
    description = text
    left = String(parts[0])
    host = String(parts[1])
  }

  /// Whether OTP takes it for a long name (`-name`): as dist_util, by a dot in the host
  /// part; an IPv6 address is one as well.
  package var isLong: Bool { host.contains(".") || host.contains(":") }
}
