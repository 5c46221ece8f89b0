// SPDX-License-Identifier: Apache-2.0

import EIDCommandCore
import EIDDistCore
import Glibc

/// A VM beside the nodes: a hidden one without a listen port, which the node that it
/// connects to gives a name.
struct Erlang {
  /// What these variables hold is meant for the node, and would name and start this VM as
  /// if it were the node.
  private static let unwanted = ["ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS", "ERL_CRASH_DUMP_SECONDS"]

  private let program: String
  private var arguments: [String]
  private var environment: [String]
  private let cookie: String
  /// As whom it runs; nil for the user of this process.
  private let owner: ProcessOwner?

  /// - Parameters:
  ///   - target: the node that it is to connect to.
  ///   - own: the node in this container, if any. Where that is the target, Docker is not
  ///     asked.
  ///   - flags: of erl, as `-remsh`.
  init(
    for target: NodeName,
    own: OwnNode?,
    lookup: LookupOptions,
    cookie: String?,
    flags: [String]
  ) throws(CommandFailure) {
    guard let cookie else {
      throw CommandFailure("no cookie is known here: give it with --cookie-file, or in EID_COOKIE")
    }
    self.cookie = cookie
    owner = try Self.owner(own, cookie)
    let found = try Self.find(own, isTarget: own?.name == target.description)
    // Beside another Erlang nothing is taken over that was named for that one.
    let words = found.isOfNode || own?.standing == .own ? own : nil
    program = found.program
    environment = Environment.all.filter { variable in
      !Self.unwanted.contains { variable.hasPrefix("\($0)=") }
    }
    environment += found.environment
    // What keeps it from starting is said in a line or two.
    environment += ["ERL_CRASH_DUMP_SECONDS=0"]
    arguments = ["erl"] + found.arguments
    arguments += Self.carrier(words)
    if own?.name == target.description, let endpoint = own?.listeningEndpoint(),
      endpoint.address.isLoopback
    {
      arguments += ["-kernel", "eid_lookup", "loopback"]
      arguments += ["-kernel", "eid_loopback", "\"\(endpoint.address)\""]
      arguments += ["-kernel", "erlang_port", String(endpoint.port)]
    } else {
      arguments += ["-kernel", "erlang_port", String(lookup.listenPort(own))]
      arguments += ["-kernel", "docker_daemon_port", String(try lookup.daemonPort(own))]
      arguments += ["-kernel", "eid_lookup_timeout", String(lookup.timeout)]
      arguments +=
        words?.configsWithDaemons.compactMap { words?.trusted($0) }.flatMap { ["-config", $0] }
        ?? []
      for key in OwnNode.daemonSettings {
        if let value = words?.commandLine.kernel[key] { arguments += ["-kernel", key, value] }
      }
      if lookup.isDirect(own) { arguments += ["-kernel", "eid_lookup", "direct"] }
    }
    arguments += [
      "-hidden", target.isLong ? "-name" : "-sname", "undefined@\(Self.host(own, target))",
    ]
    arguments += flags
  }

  /// The host part of the VM's name: it must be as long or short as that of the target.
  private static func host(_ own: OwnNode?, _ target: NodeName) -> String {
    if let own, let name = try? NodeName(own.name), name.isLong == target.isLong {
      return name.host
    }
    return target.host
  }

  /// The carrier of the node here, which its peers have as well.
  private static func carrier(_ own: OwnNode?) -> [String] {
    let carrier = own?.commandLine.carrier ?? "eid_tcp"
    return ["-proto_dist", carrier, "-start_epmd", "false"]
      + (carrier == "eid_tcp" ? [] : ["-epmd_module", "eid_epmd"])
      + (own.map(tlsOptions) ?? [])
  }

  private static func tlsOptions(_ own: OwnNode) -> [String] {
    own.commandLine.tlsOptions.flatMap { option in
      guard option.first == "-ssl_dist_optfile" else { return option }
      let files = option.dropFirst().compactMap { own.trusted($0) }
      return files.isEmpty ? [] : option.prefix(1) + files
    }
  }

  /// As whom a VM with this cookie runs.
  private static func owner(
    _ own: OwnNode?,
    _ cookie: String
  ) throws(CommandFailure) -> ProcessOwner? {
    guard let own, own.standing != .own, cookie == own.cookie else { return nil }
    switch own.standing.withItsCookie(reader: geteuid()) {
    case .reader: return nil
    case .owner(let owner): return owner
    case .nobody(let user): throw .nodeOfAnother(own, user, "with its cookie no VM is run")
    }
  }

  // MARK: Which Erlang

  private struct Found {
    var program: String
    var arguments: [String] = []
    var environment: [String] = []
    var isOfNode = false
  }

  /// That of the node here; that in which the command lies; the first on PATH.
  private static func find(_ own: OwnNode?, isTarget: Bool) throws(CommandFailure) -> Found {
    if let own {
      if let found = find(of: own) { return found }
      if isTarget, own.standing != .own {
        var user: UInt32?
        if case .other(let owner) = own.standing { user = owner?.user }
        throw .nodeOfAnother(own, user, "its Erlang is not root's alone, and is not run")
      }
    }
    let command = FileSystem.link("/proc/self/exe") ?? ""
    // ROOT/lib/eid-VSN/priv/bin/eid
    let application = parent(of: command, levels: 3)
    let erl = parent(of: application, levels: 2) + "/bin/erl"
    if !codePath(application).isEmpty, FileSystem.isExecutable(erl) { return Found(program: erl) }
    for directory in (Environment["PATH"] ?? "").split(separator: ":") {
      let erl = "\(directory)/erl"
      guard FileSystem.isExecutable(erl) else { continue }
      return Found(program: erl, arguments: codePath(application))
    }
    throw CommandFailure(
      "this needs an Erlang VM, and there is no erl here: not beside this command, not on PATH."
        + " Run it in a node's container (docker exec CONTAINER eid ...)",
      status: CommandFailure.unavailable
    )
  }

  private static func find(of own: OwnNode) -> Found? {
    let line = own.commandLine
    guard let bindir = line.bindir.flatMap(own.trusted), let root = line.root.flatMap(own.trusted),
      let program = own.trusted("\(bindir)/erlexec"), program.hasSuffix("/erlexec"),
      FileSystem.isExecutable(program)
    else { return nil }
    var found = Found(program: program, isOfNode: true)
    found.environment = ["BINDIR=\(bindir)", "ROOTDIR=\(root)", "EMU=beam", "PROGNAME=erl"]
    // That of a release starts its applications: the one beside it starts none.
    let boots = line.boot.map { parent(of: $0, levels: 1) }
    if let boots, let boot = own.trusted("\(boots)/start_clean.boot"), FileSystem.exists(boot) {
      found.arguments = ["-boot", String(boot.dropLast(".boot".count))]
      found.arguments += line.bootVariables.flatMap { variable in
        let places = variable.dropFirst().compactMap(own.trusted)
        return places.count == variable.count - 1 ? ["-boot_var"] + variable.prefix(1) + places : []
      }
    } else if let boot = own.trusted("\(root)/bin/start_clean.boot"), FileSystem.exists(boot) {
      found.arguments = ["-boot", String(boot.dropLast(".boot".count))]
    }
    let directory = FileSystem.link("/proc/\(own.pid)/cwd") ?? ""
    for flag in line.codePaths {
      found.arguments += flag.prefix(1)
      found.arguments += flag.dropFirst().compactMap {
        own.trusted($0.hasPrefix("/") ? $0 : "\(directory)/\($0)")
      }
    }
    // Of a release, start_clean has kernel and stdlib in its path alone.
    let command = parent(of: FileSystem.link("/proc/self/exe") ?? "", levels: 3)
    let versions = FileSystem.entries("\(root)/lib").filter { $0.hasPrefix("eid-") }.sorted()
    let installed = versions.reversed().compactMap { own.trusted("\(root)/lib/\($0)") }
    for application in [command] + installed {
      let path = codePath(application)
      found.arguments += path
      if !path.isEmpty { break }
    }
    return found
  }

  /// The modules of an application directory, if it is eid's.
  private static func codePath(_ application: String) -> [String] {
    FileSystem.exists("\(application)/ebin/eid_tcp_dist.beam")
      ? ["-pa", "\(application)/ebin"] : []
  }

  private static func parent(of path: String, levels: Int) -> String {
    var path = path[...]
    for _ in 0..<levels {
      path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
    }
    return String(path)
  }

  // MARK: Running it

  /// Runs it; `onLine`, where given, gets what it prints, a line at a time, and may end it
  /// by answering false. Returns its exit status. Where a signal has ended it that was for
  /// this program too, this one ends.
  func run(onLine: ((String) -> Bool)? = nil) throws(CommandFailure) -> Int32 {
    let end = try runToEnd(onLine)
    if Subprocess.signal != 0 { exit(128 + Subprocess.signal) }
    switch end {
    case .exit(let status): return status
    case .signal(let signal): exit(128 + signal)
    }
  }

  private func runToEnd(_ onLine: ((String) -> Bool)?) throws(CommandFailure) -> Subprocess.End {
    var environment = environment
    if let owner { try Identity.become(owner) }
    // A cookie on the command line would be seen by all in ps, and erlexec puts there what
    // is in ERL_FLAGS as well: so it stands in a file, where OTP looks for one.
    var directory: String?
    if Environment["HOME"].flatMap({ Cookie.read("\($0)/.erlang.cookie") }) != cookie {
      guard
        let made = FileSystem.makePrivateDirectory(with: ".erlang.cookie", Array(cookie.utf8))
      else { throw CommandFailure("cannot write the cookie to a directory in /dev/shm or /tmp") }
      directory = made
      // With the home directory goes what is looked for in it.
      if Environment["DOCKER_CERT_PATH"] == nil, let home = Environment["HOME"] {
        environment.append("DOCKER_CERT_PATH=\(home)/.docker")
      }
      environment.removeAll { $0.hasPrefix("HOME=") }
      environment.append("HOME=\(made)")
    }
    // A shell gives the terminal back; what has none would stop when its call has ended.
    let ending = arguments.contains("-noinput") ? SIGKILL : SIGTERM
    return try Subprocess.run(program, arguments, environment, ending: ending, onLine: onLine) {
      if let directory {
        unsafe unlink("\(directory)/.erlang.cookie")
        unsafe rmdir(directory)
      }
    }
  }
}
