// SPDX-License-Identifier: Apache-2.0

/// What a daemon's list says of one container.
public struct ListedContainer: Equatable, Sendable {
  /// All 64 digits.
  public let id: String
  /// Its name in Docker, without the slash; empty where it has none.
  public let name: String
  /// Docker's word: `running`, `paused`, `restarting`, `exited` ...
  public let state: String
  /// Where the listen port is reached, or why it is not.
  public let publishedPort: Result<UInt16, LookupFailure>

  /// What Docker prints, and nodes are named after.
  public var shortID: String { String(id.prefix(12)) }
}
