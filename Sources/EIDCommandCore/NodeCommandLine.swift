// SPDX-License-Identifier: Apache-2.0

import EIDDistCore

/// What the command line of a running VM (beam) says of its node.
///
/// erlexec has put into it what came from files and the environment (`-args_file`,
/// ERL_FLAGS), so it is all there.
package struct NodeCommandLine: Equatable {
  /// Of `-name` or `-sname`, as it stands there.
  package private(set) var name: String?
  package private(set) var isShortName = false
  package private(set) var cookie: String?
  package private(set) var home: String?
  package private(set) var root: String?
  package private(set) var bindir: String?
  package private(set) var boot: String?
  package private(set) var bootVariables: [[String]] = []
  package private(set) var codePaths: [[String]] = []
  package private(set) var carrier: String?
  package private(set) var epmdModule: String?
  package private(set) var configs: [String] = []
  /// Of `-kernel KEY VALUE`, as they stand there.
  package private(set) var kernel: [String: String] = [:]
  package private(set) var isRemoteShell = false
  package private(set) var listens = true
  /// The options of the TLS carrier, which a second VM needs as well.
  package private(set) var tlsOptions: [[String]] = []

  /// Takes /proc/PID/cmdline; nil where that is no Erlang VM.
  package init?(_ arguments: [String]) {
    guard let program = arguments.first?.split(separator: "/").last, program.hasPrefix("beam")
    else { return nil }
    var flag: String?
    var values: [String] = []
    for argument in arguments.dropFirst() {
      if argument == "-extra" { break }
      let isFlag = argument.hasPrefix("-") || argument.hasPrefix("+")
      if isFlag {
        take(flag, values)
        // What follows `--` belongs to no flag.
        (flag, values) = (argument == "--" ? nil : argument, [])
      } else {
        values.append(argument)
      }
    }
    take(flag, values)
  }

  private mutating func take(_ flag: String?, _ values: [String]) {
    switch flag {
    case "-name", "-sname":
      // The first one counts for net_kernel.
      if name == nil, let first = values.first {
        (name, isShortName) = (first, flag == "-sname")
      }
    case "-setcookie":
      // With two values the cookie is for one other node.
      if values.count == 1 { cookie = values[0] }
    case "-home": home = values.first ?? home
    case "-root": root = values.first ?? root
    case "-bindir": bindir = values.first ?? bindir
    case "-boot": boot = values.first ?? boot
    case "-boot_var": bootVariables.append(values)
    case "-pa", "-pz": codePaths.append([flag ?? ""] + values)
    case "-proto_dist": carrier = values.first ?? carrier
    case "-epmd_module": epmdModule = values.first ?? epmdModule
    case "-config": configs += values
    case "-kernel":
      for at in stride(from: 0, to: values.count - 1, by: 2) {
        kernel[values[at]] = values[at + 1]
      }
    case "-ssl_dist_opt", "-ssl_dist_optfile": tlsOptions.append([flag ?? ""] + values)
    case "-remsh": isRemoteShell = true
    case "-dist_listen": listens = values.first != "false"
    default: break
    }
  }

  /// Whether it is a node that others reach: not a shell, or a tool, beside one.
  package var isNode: Bool {
    guard let name else { return false }
    return listens && !isRemoteShell && name != "undefined" && !name.hasPrefix("undefined@")
  }

  /// The node's whole name, where `hostname` is that of its machine.
  package func fullName(hostname: String) -> String? {
    guard let name else { return nil }
    if name.contains("@") { return name }
    let host = isShortName ? String(hostname.prefix { $0 != "." }) : hostname
    return "\(name)@\(host)"
  }

  /// Whether the process of this /proc/PID/status is in the PID namespace of whoever reads
  /// it: one in a container has a number of its own in there besides (proc(5), NSpid).
  package static func isInOwnContainer(status: String) -> Bool {
    for line in status.split(separator: "\n") where line.hasPrefix("NSpid:") {
      return line.dropFirst("NSpid:".count).split { $0 == "\t" || $0 == " " }.count == 1
    }
    return false
  }

  /// Whether `key` stands in the text of a sys.config.
  package static func names(_ key: String, inConfig text: String) -> Bool {
    withoutComments(text)[...].firstRange(ofText: key) != nil
  }

  private static func withoutComments(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { $0.prefix { $0 != "%" } }.joined(separator: "\n")
  }

  /// The number that `key` has in the text of a sys.config; the last one counts.
  package static func number(_ key: String, inConfig text: String) -> Int? {
    let code = withoutComments(text)
    var found: Int?
    var rest = code[...]
    while let range = rest.firstRange(ofText: key) {
      rest = rest[range.upperBound...]
      let value = rest.drop { $0 == " " || $0 == "," || $0 == "'" || $0.isNewline || $0 == "\t" }
      let digits = value.prefix { $0.isASCII && $0.isNumber }
      if rest.first != nil, let number = Int(digits) { found = number }
    }
    return found
  }
}

extension Substring {
  fileprivate func firstRange(ofText text: String) -> Range<Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(text) {
        return start..<index(start, offsetBy: text.count)
      }
      start = index(after: start)
    }
    return nil
  }
}
