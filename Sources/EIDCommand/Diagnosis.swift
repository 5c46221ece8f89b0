// SPDX-License-Identifier: Apache-2.0

import EIDCommandCore
import EIDDistCore

/// Goes the way of a connection to a node, and notes what each step finds.
struct Diagnosis {
  private(set) var report: DoctorReport
  /// Where the node was reached.
  private(set) var peer: Endpoint?

  private let own: OwnNode?
  private let options: LookupOptions
  private let listenPort: UInt16
  private let defaultDaemonPort: UInt16
  private let isDirect: Bool
  private let timeout: Int
  private let cookie: String?

  /// - Parameters:
  ///   - own: the node in this container, whose settings are taken.
  init(
    node: String,
    own: OwnNode?,
    lookup: LookupOptions,
    cookie: String?
  ) throws(CommandFailure) {
    report = DoctorReport(node: node)
    self.own = own
    options = lookup
    listenPort = lookup.listenPort(own)
    defaultDaemonPort = try lookup.daemonPort(own)
    isDirect = lookup.isDirect(own)
    timeout = lookup.timeout
    self.cookie = cookie
  }

  /// All steps up to the cookie, or up to the one that fails.
  mutating func run() {
    guard let name = checkName(), let address = resolve(name) else { return }
    guard let port = isDirect ? listenPortItself() : lookUp(name, address) else { return }
    let peer = Endpoint(address: address, port: port)
    self.peer = peer
    connect(name, peer)
  }

  mutating func note(_ step: DoctorStep, _ finding: DoctorReport.Finding) {
    report.note(step, finding)
  }

  private mutating func checkName() -> NodeName? {
    let name: NodeName
    do throws(NodeNameFailure) {
      name = try NodeName(report.node)
    } catch {
      note(.name, .failed(error.sentence))
      return nil
    }
    guard !isDirect else {
      note(.name, .ok("\(name.left) on host \(name.host)"))
      return name
    }
    do throws(LookupFailure) {
      let container = try ContainerReference(name.left.utf8)
      note(.name, .ok("container \(container) on host \(name.host)"))
      return name
    } catch {
      note(.name, .failed(error.sentence))
      return nil
    }
  }

  private mutating func resolve(_ name: NodeName) -> IPAddress? {
    do throws(Resolver.Failure) {
      let address = try Resolver.address(of: name.host, milliseconds: timeout)
      note(.host, .ok("\(address)"))
      return address
    } catch {
      note(.host, .failed(error.sentence))
      return nil
    }
  }

  private mutating func listenPortItself() -> UInt16 {
    for step in [DoctorStep.docker, .container, .publishedPort] {
      note(step, .notTried("the lookup is direct: Docker is not asked"))
    }
    return listenPort
  }

  private mutating func lookUp(_ name: NodeName, _ address: IPAddress) -> UInt16? {
    if options.isErlangsToAsk(own) { return lookUpInErlang(name) }
    // It was one a moment ago.
    guard let container = try? ContainerReference(name.left.utf8) else { return nil }
    let lookup = PublishedPortLookup(
      container: container,
      listenPort: listenPort,
      daemon: Endpoint(
        address: address,
        port: options.daemonPort(of: name.host, address) ?? defaultDaemonPort
      )
    )
    let daemon = "\(lookup.target.daemon.text) answers"
    switch DaemonClient.ask(lookup, milliseconds: timeout) {
    case .success(let port):
      return found(port, name, daemon: daemon)
    case .failure(let failure):
      return failed(failure.step, failure.sentence, name, daemon: daemon)
    }
  }

  /// TLS is OTP's to speak, and what is set for single hosts Erlang's to read: a VM looks up
  /// as the nodes do.
  private mutating func lookUpInErlang(_ name: NodeName) -> UInt16? {
    var lines: [String] = []
    do throws(CommandFailure) {
      let erlang = try Erlang(
        for: name,
        own: own,
        lookup: options,
        // It connects to no node.
        cookie: cookie ?? "none",
        flags: Erlang.batch + ["-s", "eid_command", "look_up", "-extra", name.left, name.host]
      )
      _ = try erlang.run { line in
        lines.append(line)
        return true
      }
    } catch {
      return failed(.docker, "to ask Docker as nodes do: \(error.sentence)", name, daemon: "")
    }
    for line in lines {
      let words = line.split(separator: " ", maxSplits: 2).map(String.init)
      if words.count == 2, words[0] == "ok", let port = UInt16(words[1]) {
        return found(port, name, daemon: "it answers")
      }
      if words.count == 3, words[0] == "failed" {
        return failed(DoctorStep(lookupReason: words[1]), words[2], name, daemon: "it answers")
      }
    }
    return failed(.docker, "the VM that was to ask Docker said nothing", name, daemon: "")
  }

  private mutating func found(_ port: UInt16, _ name: NodeName, daemon: String) -> UInt16 {
    note(.docker, .ok(daemon))
    note(.container, .ok("\(name.left) runs"))
    note(.publishedPort, .ok("\(listenPort) of the container is \(port) of the host"))
    return port
  }

  /// What comes before the step that failed was found well.
  private mutating func failed(
    _ step: DoctorStep,
    _ sentence: String,
    _ name: NodeName,
    daemon: String
  ) -> UInt16? {
    if step != .docker { note(.docker, .ok(daemon)) }
    if step == .publishedPort { note(.container, .ok("\(name.left) runs")) }
    note(step, .failed(sentence))
    return nil
  }

  private mutating func connect(_ name: NodeName, _ peer: Endpoint) {
    let outcome = NodeClient.connect(
      to: peer,
      wanted: name.description,
      cookie: cookie.map { Array($0.utf8) },
      milliseconds: timeout
    )
    guard outcome.isConnected else {
      if let failure = outcome.failure { note(.connection, .failed(failure.sentence(peer))) }
      return
    }
    note(.connection, .ok(peer.text))
    guard let peerName = outcome.peerName else {
      if let failure = outcome.failure { note(.handshake, .failed(failure.sentence(peer))) }
      return
    }
    note(.handshake, .ok("a node answers"))
    guard peerName == name.description else {
      note(
        .identity,
        .failed(
          "\(peer.text) did not answer as this node would: it is \(peerName). Connect to it by"
            + " that name, or start it with -name \(name)"
        )
      )
      return
    }
    note(.identity, .ok(peerName))
    if let failure = outcome.failure {
      note(failure.isOfCookie ? .cookie : .handshake, .failed(failure.sentence(peer)))
    } else if outcome.isCookieAccepted {
      note(.cookie, .ok("it is that of the node"))
    } else {
      note(
        .cookie,
        .notTried("no cookie is known here: give it with --cookie-file, or in EID_COOKIE")
      )
    }
  }
}
