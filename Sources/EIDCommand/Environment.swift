// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The environment, and the terminal.
enum Environment {
  /// The value of a variable that is set and not empty: getenv(3).
  static subscript(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    let text = unsafe String(cString: value)
    return text.isEmpty ? nil : text
  }

  /// All of it, as `NAME=VALUE`.
  static var all: [String] {
    var all: [String] = []
    var next = unsafe environ
    while let variable = unsafe next.pointee {
      unsafe all.append(String(cString: variable))
      unsafe next = next.advanced(by: 1)
    }
    return all
  }

  /// Whether there is a terminfo entry for a terminal (terminfo(5)).
  static func knows(terminal: String) -> Bool {
    guard let first = terminal.utf8.first, !terminal.contains("/") else { return false }
    var bases = ["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo"]
    if let own = Self["TERMINFO"] { bases.append(own) }
    if let home = Self["HOME"] { bases.append(home + "/.terminfo") }
    bases += (Self["TERMINFO_DIRS"] ?? "").split(separator: ":").map(String.init)
    // A directory for each first letter, or, on some systems, for its code.
    let letters = [String(terminal.prefix(1)), String(first, radix: 16)]
    return bases.contains { base in
      letters.contains { FileSystem.exists("\(base)/\($0)/\(terminal)") }
    }
  }

  /// Whether what is printed may have colours: a terminal that knows them, and no NO_COLOR
  /// (https://no-color.org).
  static var hasColours: Bool {
    isatty(STDOUT_FILENO) == 1 && Self["NO_COLOR"] == nil && Self["TERM"] != "dumb"
  }
}
