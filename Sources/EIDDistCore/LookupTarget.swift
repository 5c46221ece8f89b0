// SPDX-License-Identifier: Apache-2.0

/// What is looked up, and where.
public struct LookupTarget: Equatable, Sendable {
  /// The container; nil where all of a host are listed.
  public let container: ContainerReference?
  /// The port inside the container, TCP.
  public let listenPort: UInt16
  /// The Docker Remote API.
  public let daemon: Endpoint
  /// Where the host is connected to: bindings of other addresses do not serve.
  public let host: IPAddress

  /// - Parameter host: nil where that is the daemon's address.
  public init(
    container: ContainerReference?,
    listenPort: UInt16,
    daemon: Endpoint,
    host: IPAddress? = nil
  ) {
    self.container = container
    self.listenPort = listenPort
    self.daemon = daemon
    self.host = host ?? daemon.address
  }

  /// The daemon as `Host:Port`, an IPv6 address in brackets.
  public var daemonText: String {
    daemon.address.isV6
      ? "[\(daemon.address)]:\(daemon.port)" : "\(daemon.address):\(daemon.port)"
  }
}
