// SPDX-License-Identifier: Apache-2.0

import EIDCommandCore
import EIDDistCore
import Glibc

/// The node in the container (or on the machine) in which the command runs.
struct OwnNode {
  static let defaultPort: UInt16 = 12345

  let pid: Int32
  let commandLine: NodeCommandLine
  let name: String
  let standing: Standing

  /// The node of the lowest process number, of this user's if there is one; nil where none
  /// is seen.
  ///
  /// On a Docker host the VMs of all containers stand in /proc. The one that is meant has
  /// the same processes and the same network around it as this command.
  static func find() -> OwnNode? {
    let network = FileSystem.link("/proc/self/ns/net")
    let hostname = Resolver.hostname()
    var others: OwnNode?
    for pid in FileSystem.entries("/proc").compactMap({ Int32($0) }).sorted() {
      let status = FileSystem.text("/proc/\(pid)/status") ?? ""
      guard let bytes = FileSystem.read("/proc/\(pid)/cmdline"),
        let commandLine = NodeCommandLine(
          bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast()
            .map { String(decoding: $0, as: UTF8.self) }
        ),
        commandLine.isNode, let name = commandLine.fullName(hostname: hostname),
        NodeCommandLine.isInOwnContainer(status: status),
        // That of another user's process cannot be read.
        FileSystem.link("/proc/\(pid)/ns/net") ?? network == network
      else { continue }
      let standing = Standing(
        status: status,
        statusAfterwards: FileSystem.text("/proc/\(pid)/status") ?? "",
        program: FileSystem.link("/proc/\(pid)/exe"),
        reader: geteuid()
      )
      let node = OwnNode(pid: pid, commandLine: commandLine, name: name, standing: standing)
      if standing == .own { return node }
      if others == nil { others = node }
    }
    return others
  }

  /// The path of a file that it names, if that may be run or loaded: all that the user's own
  /// node names; of another's only what root alone can write.
  func trusted(_ path: String) -> String? {
    standing == .own ? path : FileSystem.rootsAlone(path)
  }

  /// How Docker is asked over TLS, or at other addresses (eid_settings.erl).
  static let daemonSettings = [
    "docker_tls", "docker_cert_path", "docker_tls_name", "docker_host", "docker_hosts",
  ]

  /// A setting of the kernel application that is a number: from the command line, else from
  /// the configuration files that it names.
  func setting(_ key: String) -> Int? {
    if let value = commandLine.kernel[key] { return Int(value) }
    for config in configs.reversed() {
      if let number = NodeCommandLine.number(key, inConfig: FileSystem.text(config) ?? "") {
        return number
      }
    }
    return nil
  }

  /// The configuration files that say something of them.
  var configsWithDaemons: [String] {
    configs.filter { config in
      let code = FileSystem.text(config) ?? ""
      return Self.daemonSettings.contains { NodeCommandLine.names($0, inConfig: code) }
    }
  }

  /// The configuration files' paths. A relative one is the node's: in its own directory.
  private var configs: [String] {
    commandLine.configs.map { config in
      let path = config.hasSuffix(".config") ? config : config + ".config"
      return path.hasPrefix("/") ? path : "/proc/\(pid)/cwd/\(path)"
    }
  }

  /// The port on which it is set to listen.
  var listenPort: UInt16 {
    setting("erlang_port").flatMap { UInt16(exactly: $0) } ?? Self.defaultPort
  }

  /// Where it listens: the socket on its port; where it has any free one, its only socket.
  func listeningEndpoint() -> Endpoint? {
    let sockets = ["tcp", "tcp6"].flatMap { family in
      ListeningSocket.all(in: FileSystem.text("/proc/\(pid)/net/\(family)") ?? "")
    }
    // OTP's carriers with epmd listen on any free port.
    let line = commandLine
    let isFixed = (line.carrier ?? "") == "eid_tcp" || line.epmdModule == "eid_epmd"
    let own = ownSockets()
    if isFixed, listenPort != 0 {
      return ListeningSocket.first(in: sockets, on: listenPort, own: own)?.reachableEndpoint
    }
    let listening = sockets.filter { own?.contains($0.inode) ?? false }
    return listening.count == 1 ? listening[0].reachableEndpoint : nil
  }

  /// The numbers of its sockets; nil where they cannot be seen, as those of another user's
  /// process.
  private func ownSockets() -> Set<UInt64>? {
    let aims = FileSystem.entries("/proc/\(pid)/fd").compactMap {
      FileSystem.link("/proc/\(pid)/fd/\($0)")
    }
    return aims.isEmpty
      ? nil
      : Set(
        aims.filter { $0.hasPrefix("socket:[") }
          .compactMap { UInt64($0.dropFirst("socket:[".count).dropLast()) }
      )
  }

  /// The cookie of its command line, else of its user's file, as OTP's auth looks for it.
  var cookie: String? {
    if let cookie = commandLine.cookie { return cookie }
    guard let home = commandLine.home else { return nil }
    let file = "\(home)/.erlang.cookie"
    switch standing.withItsCookie(reader: geteuid()) {
    case .reader: return Cookie.read(file)
    // What root alone may read may be named there as well.
    case .owner(let owner): return Identity.reading(as: owner) { Cookie.read(file) } ?? nil
    case .nobody: return nil
    }
  }
}
