// SPDX-License-Identifier: Apache-2.0

import EIDCommandCore
import EIDDistCore

/// Goes the way of a connection to a node, and notes what each step finds.
struct Diagnosis {
  private(set) var report: DoctorReport
  /// Where the node was reached.
  private(set) var peer: Endpoint?

  private let listenPort: UInt16
  private let daemonPort: UInt16
  private let isDirect: Bool
  private let timeout: Int
  private let cookie: String?

  /// - Parameters:
  ///   - isDirect: Docker is not asked (`eid_lookup direct`).
  ///   - timeout: milliseconds for a lookup, for connecting, for a handshake.
  init(
    node: String,
    listenPort: UInt16,
    daemonPort: UInt16,
    isDirect: Bool,
    timeout: Int,
    cookie: String?
  ) {
    report = DoctorReport(node: node)
    self.listenPort = listenPort
    self.daemonPort = daemonPort
    self.isDirect = isDirect
    self.timeout = timeout
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
      let address = try Resolver.address(of: name.host)
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
    // It was one a moment ago.
    guard let container = try? ContainerReference(name.left.utf8) else { return nil }
    let lookup = PublishedPortLookup(
      container: container,
      listenPort: listenPort,
      daemon: address,
      daemonPort: daemonPort
    )
    let daemon = lookup.target.daemon.text
    switch DaemonClient.ask(lookup, milliseconds: timeout) {
    case .success(let port):
      note(.docker, .ok("\(daemon) answers"))
      note(.container, .ok("\(container) runs"))
      note(.publishedPort, .ok("\(listenPort) of the container is \(port) of the host"))
      return port
    case .failure(let failure):
      // What comes before the step that failed was found well.
      if failure.step != .docker { note(.docker, .ok("\(daemon) answers")) }
      if failure.step == .publishedPort { note(.container, .ok("\(container) runs")) }
      note(failure.step, .failed(failure.sentence))
      return nil
    }
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
