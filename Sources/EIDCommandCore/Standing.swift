// SPDX-License-Identifier: Apache-2.0

/// What a process that calls itself a VM is to whoever reads its command line.
///
/// Anyone can start a program with any command line, so what is named there is run, and
/// loaded, for the same user alone.
package enum Standing: Equatable {
  /// The reader's own: what it names may be run.
  case own
  /// Another's (nil where nobody knows whose): only what root alone can write may be run.
  case other(ProcessOwner?)

  /// Takes the texts of /proc/PID/status before and after its command line was read.
  ///
  /// - Parameters:
  ///   - program: the aim of /proc/PID/exe; nil where it cannot be read.
  ///   - reader: the effective user of who reads.
  package init(status: String, statusAfterwards: String, program: String?, reader: UInt32) {
    guard let owner = ProcessOwner(status: status),
      owner == ProcessOwner(status: statusAfterwards)
    else {
      self = .other(nil)
      return
    }
    guard owner.user == reader else {
      self = .other(owner)
      return
    }
    // Programs as sudo become root wholly, with the command line that anyone gave them.
    let isVM = program.map { $0.split(separator: "/").last?.hasPrefix("beam") ?? false }
    self = isVM ?? (reader != 0) ? .own : .other(nil)
  }

  /// How a VM may run that has the cookie of such a node. Who knows the cookie of a VM can
  /// have it do anything, so it runs as the user of the node, or not at all.
  package func withItsCookie(reader: UInt32) -> Runner {
    switch self {
    case .own: .reader
    // This process has become that user before.
    case .other(let owner?) where reader == owner.user && reader != 0: .reader
    case .other(let owner?) where reader == 0 && owner.user != 0: .owner(owner)
    case .other(let owner): .nobody(owner?.user)
    }
  }

  /// As whom a VM is run.
  package enum Runner: Equatable {
    case reader
    case owner(ProcessOwner)
    /// Only this user could.
    case nobody(UInt32?)
  }
}
