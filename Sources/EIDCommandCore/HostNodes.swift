// SPDX-License-Identifier: Apache-2.0

import EIDDistCore

/// What `eid names` says of the containers on a host.
package enum HostNodes {
  private static func nodeName(_ container: ListedContainer, _ host: String) -> String {
    "\(container.shortID)@\(host)"
  }

  private static func isReached(_ container: ListedContainer) -> Bool {
    if case .success = container.publishedPort { true } else { false }
  }

  /// As lines for people: those with a published port as a table, then the others.
  package static func lines(_ containers: [ListedContainer], host: String, listenPort: UInt16)
    -> [String]
  {
    let reached = containers.filter(isReached)
    var table = TextTable([
      ("node", .left), ("container", .left), ("published port", .right), ("state", .left),
    ])
    for container in reached {
      guard case .success(let port) = container.publishedPort else { continue }
      table.add([
        nodeName(container, host), container.name, String(port), container.state,
      ])
    }
    var lines =
      reached.isEmpty ? ["no container on \(host) publishes port \(listenPort)"] : table.lines
    let others = containers.filter { !isReached($0) }
    if !others.isEmpty {
      lines += ["", "not reached on port \(listenPort):"]
      var table = TextTable([
        ("container", .left), ("name", .left), ("state", .left), ("why", .left),
      ])
      for container in others {
        guard case .failure(let failure) = container.publishedPort else { continue }
        table.add([container.shortID, container.name, container.state, why(failure)])
      }
      lines += table.lines
    }
    return lines
  }

  /// The failure without what the table says anyway.
  private static func why(_ failure: LookupFailure) -> String {
    switch failure {
    case .notPublished(_, let instead):
      instead.isEmpty
        ? "not published" : "not published, only \(instead.joined(separator: ", "))"
    case .loopbackOnly: "published on the host's loopback address only"
    case .ipv4Only: "published for IPv4 only"
    case .ipv6Only: "published for IPv6 only"
    case .boundElsewhere(_, let address): "published on \(address) only"
    case .sharesNetwork(_, let other): "has the network of container \(other.prefix(12))"
    default: failure.sentence
    }
  }

  /// As JSON, one object for each container.
  package static func json(_ containers: [ListedContainer], host: String) -> [String] {
    containers.map { container in
      var members = [
        ("node", JSONText.string(nodeName(container, host))),
        ("container", JSONText.string(container.id)),
        ("name", JSONText.string(container.name)),
        ("state", JSONText.string(container.state)),
      ]
      switch container.publishedPort {
      case .success(let port):
        members.append(("published_port", String(port)))
      case .failure(let failure):
        members.append(("published_port", "null"))
        members.append(("reason", JSONText.string(failure.name)))
      }
      return JSONText.object(members)
    }
  }
}
