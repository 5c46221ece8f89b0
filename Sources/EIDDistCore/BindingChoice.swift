// SPDX-License-Identifier: Apache-2.0

/// Chooses among the host's bindings of one listen port the one for the address that we
/// connect to.
///
/// Their order differs between versions of Docker, so it decides nothing, except between
/// two that are equally good.
struct BindingChoice {
  /// How well a binding serves connections to the host's address: the best one first.
  private enum Fit: Int {
    case sameAddress
    case anyAddress
    /// Any address of the other family; Docker gives each family a binding of its own.
    case otherFamily
    case otherAddress
    /// A loopback address, which we are not on the right side of.
    case loopback
  }

  private struct Best {
    let fit: Fit
    let hostIP: [UInt8]
    let hostPort: [UInt8]
  }

  /// What the failures are about.
  var target: LookupTarget
  private let address: IPAddress
  private var best: Best?

  init(target: LookupTarget) {
    self.target = target
    address = target.host.unmapped
  }

  /// Takes one binding: Docker's `HostIp` and `HostPort`.
  mutating func consider(hostIP: [UInt8], hostPort: [UInt8]) {
    let fit = fit(of: hostIP)
    if let best, best.fit.rawValue <= fit.rawValue { return }
    best = Best(fit: fit, hostIP: hostIP, hostPort: hostPort)
  }

  /// The published port; nil where there was no binding at all.
  func publishedPort() throws(LookupFailure) -> UInt16? {
    guard let best else { return nil }
    switch best.fit {
    case .sameAddress, .anyAddress:
      guard let port = ASCII.decimal(best.hostPort) as UInt16?, port != 0 else {
        throw .invalidPublishedPort(target, port: String(sanitizing: best.hostPort))
      }
      return port
    case .otherFamily:
      throw address.isV6 ? .ipv4Only(target) : .ipv6Only(target)
    case .otherAddress:
      throw .boundElsewhere(target, address: String(sanitizing: best.hostIP))
    case .loopback:
      throw .loopbackOnly(target)
    }
  }

  private func fit(of hostIP: [UInt8]) -> Fit {
    // Podman's way to write any address of either family.
    if hostIP.isEmpty { return .anyAddress }
    guard let binding = IPAddress(text: hostIP)?.unmapped else { return .otherAddress }
    if binding == address { return .sameAddress }
    if binding.isAny { return binding.isV6 == address.isV6 ? .anyAddress : .otherFamily }
    return binding.isLoopback && !address.isLoopback ? .loopback : .otherAddress
  }
}
