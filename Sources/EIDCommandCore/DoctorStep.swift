// SPDX-License-Identifier: Apache-2.0

import EIDDistCore

/// The steps of a connection, in their order.
package enum DoctorStep: String, CaseIterable {
  case name
  case host
  case docker
  case container
  case publishedPort = "published_port"
  case connection
  case handshake
  case identity
  case cookie
  case wayBack = "way_back"

  package var title: String {
    switch self {
    case .name: "node name"
    case .host: "host"
    case .docker: "Docker API"
    case .container: "container"
    case .publishedPort: "published port"
    case .connection: "TCP connection"
    case .handshake: "handshake"
    case .identity: "name of the node"
    case .cookie: "cookie"
    case .wayBack: "way back"
    }
  }

  /// The exit status of a connection that fails here.
  package var exitStatus: Int32 {
    switch self {
    case .name: 10
    case .host: 11
    case .docker: 12
    case .container: 13
    case .publishedPort: 14
    case .connection: 15
    case .handshake: 16
    case .identity: 17
    case .cookie: 18
    case .wayBack: 19
    }
  }
}

extension DoctorStep {
  /// The step at which a lookup failed whose reason is an atom of this name
  /// (``LookupFailure/name``, or one of eid_tls_lookup).
  package init(lookupReason reason: String) {
    switch reason {
    case "invalid_container", "upper_case_container_id":
      self = .name
    case "no_such_container", "ambiguous_container", "wrong_container", "not_running",
      "restarting", "paused", "dead":
      self = .container
    case "shares_network", "not_published", "loopback_only", "ipv4_only", "ipv6_only",
      "bound_elsewhere", "invalid_published_port":
      self = .publishedPort
    default:
      self = .docker
    }
  }
}

extension LookupFailure {
  /// The step at which a lookup failed.
  package var step: DoctorStep { DoctorStep(lookupReason: name) }
}
