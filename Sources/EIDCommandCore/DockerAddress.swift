// SPDX-License-Identifier: Apache-2.0

import EIDDistCore

/// The address of a Docker daemon, as DOCKER_HOST has it: `tcp://HOST:PORT`, or `http://`.
public struct DockerAddress: Equatable, Sendable {
  /// What Docker's client takes it to be.
  private static let defaultPort: UInt16 = 2375

  /// A name, or an address without brackets.
  public let host: String
  public let port: UInt16

  /// nil where it has no host (`unix:///var/run/docker.sock`), speaks TLS, or is none.
  public init?(_ text: String) {
    guard let scheme = ["tcp://", "http://"].first(where: text.hasPrefix) else { return nil }
    var rest = text.dropFirst(scheme.count)
    if rest.hasSuffix("/") { rest.removeLast() }
    let host: Substring
    if rest.hasPrefix("[") {
      guard let end = rest.firstIndex(of: "]") else { return nil }
      host = rest[rest.index(after: rest.startIndex)..<end]
      rest = rest[rest.index(after: end)...]
    } else {
      host = rest.prefix { $0 != ":" }
      rest = rest[host.endIndex...]
    }
    guard !host.isEmpty, !host.contains("/") else { return nil }
    self.host = String(host)
    if rest.isEmpty {
      port = Self.defaultPort
      return
    }
    let digits = rest.dropFirst()
    guard rest.hasPrefix(":"), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let port = UInt16(digits), port != 0
    else { return nil }
    self.port = port
  }
}
