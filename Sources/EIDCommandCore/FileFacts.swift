// SPDX-License-Identifier: Apache-2.0

/// What lstat(2) says of who may write a file or a directory.
package struct FileFacts: Equatable {
  package let owner: UInt32
  package let mode: UInt32

  package init(owner: UInt32, mode: UInt32) {
    (self.owner, self.mode) = (owner, mode)
  }

  /// Whether only root can write it. In a directory with the sticky bit anyone makes files.
  package var isRootsAlone: Bool { owner == 0 && mode & 0o022 == 0 }

  /// An absolute path without links and dots, and all directories above it.
  package static func chain(_ path: String) -> [String] {
    var chain = ["/"]
    for part in path.split(separator: "/") {
      chain.append((chain.last == "/" ? "" : chain[chain.count - 1]) + "/" + part)
    }
    return chain
  }
}
