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

  /// Whether what is printed may have colours: a terminal that knows them, and no NO_COLOR
  /// (https://no-color.org).
  static var hasColours: Bool {
    isatty(STDOUT_FILENO) == 1 && Self["NO_COLOR"] == nil && Self["TERM"] != "dumb"
  }
}
