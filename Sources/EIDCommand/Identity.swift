// SPDX-License-Identifier: Apache-2.0

import EIDCommandCore
import Glibc

/// As whom this process acts. Root alone can change it.
enum Identity {
  /// What `body` gives when it runs with the rights of another user; nil where this process
  /// may not take them: setegid(2), seteuid(2).
  static func reading<Value>(as owner: ProcessOwner, _ body: () -> Value) -> Value? {
    let group = getegid()
    let count = getgroups(0, nil)
    var groups = [gid_t](repeating: 0, count: Int(max(0, count)))
    guard count >= 0, unsafe getgroups(count, &groups) == count else { return nil }
    defer {
      // Back in the other order: only root may change groups.
      _ = seteuid(0)
      _ = setegid(group)
      _ = unsafe setgroups(groups.count, groups)
    }
    guard unsafe setgroups(owner.groups.count, owner.groups) == 0, setegid(owner.group) == 0,
      seteuid(owner.user) == 0
    else { return nil }
    return body()
  }

  /// For good: setgroups(2), setgid(2), setuid(2).
  static func become(_ owner: ProcessOwner) throws(CommandFailure) {
    if geteuid() == owner.user { return }
    guard unsafe setgroups(owner.groups.count, owner.groups) == 0,
      setgid(owner.group) == 0, setuid(owner.user) == 0, getuid() == owner.user
    else {
      throw CommandFailure(
        "the node here is that of user \(owner.user), and this may not run a VM as that user"
          + " (\(unsafe String(cString: strerror(errno)))): run eid as that user"
          + " \(CommandFailure.dockerExec(as: String(owner.user)))",
        status: CommandFailure.unavailable
      )
    }
  }
}
