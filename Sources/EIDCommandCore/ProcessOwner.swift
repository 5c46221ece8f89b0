// SPDX-License-Identifier: Apache-2.0

/// Whose a process is, as its /proc/PID/status tells (proc(5)).
package struct ProcessOwner: Equatable {
  package let user: UInt32
  package let group: UInt32
  package let groups: [UInt32]

  /// nil where it has not one user and one group in all respects: a program that others
  /// start with its owner's rights has the command line that they gave it.
  package init?(status: String) {
    var ids: [Substring: [UInt32]] = [:]
    for line in status.split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let key = line[..<colon]
      guard ["Uid", "Gid", "Groups"].contains(key) else { continue }
      // What else a process calls itself stands in one line, with its line ends escaped.
      ids[key] = line[line.index(after: colon)...].split { $0 == "\t" || $0 == " " }
        .compactMap { UInt32($0) }
    }
    guard let users = ids["Uid"], let groups = ids["Gid"], users.count == 4, groups.count == 4,
      Set(users).count == 1, Set(groups).count == 1
    else { return nil }
    user = users[0]
    group = groups[0]
    self.groups = ids["Groups"] ?? []
  }
}
