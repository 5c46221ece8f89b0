// SPDX-License-Identifier: Apache-2.0

/// Why a connection is over.
public enum ConnectionEnd: Error, Equatable, Sendable {
  /// The peer closed it.
  case closed
  /// A system call failed, with its errno.
  case failed(Int32)
  /// A header named more bytes than a packet of its kind may have.
  case packetTooLong(bytes: Int)
  /// The VM has no memory for what must be kept.
  case noMemory
}
