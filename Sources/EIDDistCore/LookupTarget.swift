// SPDX-License-Identifier: Apache-2.0

/// What is looked up, and where.
public struct LookupTarget: Equatable, Sendable {
  /// The container; nil where all of a host are listed.
  public let container: ContainerReference?
  /// The port inside the container, TCP.
  public let listenPort: UInt16
  /// The Docker Remote API. The published port is at the same address.
  public let daemon: Endpoint

  public init(container: ContainerReference?, listenPort: UInt16, daemon: Endpoint) {
    self.container = container
    self.listenPort = listenPort
    self.daemon = daemon
  }

  /// The daemon as `Host:Port`, an IPv6 address in brackets.
  public var daemonText: String {
    daemon.address.isV6
      ? "[\(daemon.address)]:\(daemon.port)" : "\(daemon.address):\(daemon.port)"
  }
}
