// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import EIDCommandCore
import EIDDistCore

/// How a node is looked up.
struct LookupOptions: ParsableArguments {
  static let defaultDockerPort: UInt16 = 4243

  @Option(
    help: ArgumentHelp(
      """
      The listen port in the containers (erlang_port); default: that of the node in this \
      container, else 12345.
      """,
      valueName: "port"
    )
  )
  var port: UInt16?

  @Option(
    help: ArgumentHelp(
      """
      The port of the Docker Remote API (docker_daemon_port); default: EID_DOCKER_PORT, that of \
      the node in this container, else 4243.
      """,
      valueName: "port"
    )
  )
  var dockerPort: UInt16?

  @Option(
    help: ArgumentHelp(
      "The most that a lookup, a connection or a handshake may take.",
      valueName: "milliseconds"
    )
  )
  var timeout = 5000

  @Flag(
    help: """
      Nodes listen on the port of their hosts themselves (eid_lookup direct), as the node in this \
      container may say.
      """
  )
  var direct = false

  func validate() throws {
    if port == 0 || dockerPort == 0 { throw ValidationError("a port is a number from 1 to 65535") }
    guard (1...120_000).contains(timeout) else {
      throw ValidationError("--timeout is a number of milliseconds from 1 to 120000")
    }
  }

  func isDirect(_ own: OwnNode?) -> Bool {
    direct || own?.commandLine.kernel["eid_lookup"] == "direct"
  }

  /// Whether some daemon is asked over TLS, or at an address of its own, as the settings of
  /// the node here, or variables, have it.
  func isErlangsToAsk(_ own: OwnNode?) -> Bool {
    if Environment["DOCKER_TLS_VERIFY"] != nil || Environment["EID_DOCKER_HOSTS"] != nil {
      return true
    }
    if Environment["DOCKER_HOST"]?.hasPrefix("https:") ?? false { return true }
    guard let own else { return false }
    return OwnNode.daemonSettings.contains { own.commandLine.kernel[$0] != nil }
      || !own.configsWithDaemons.isEmpty
  }

  /// The port of the host's daemon, where DOCKER_HOST is the address of that host.
  func daemonPort(of host: String, _ address: IPAddress) -> UInt16? {
    guard dockerPort == nil, let text = Environment["DOCKER_HOST"],
      let docker = DockerAddress(text),
      docker.host == host || IPAddress(text: docker.host.utf8) == address
    else { return nil }
    return docker.port
  }

  func listenPort(_ own: OwnNode?) -> UInt16 {
    if let port { return port }
    guard let own, own.listenPort != 0 else { return OwnNode.defaultPort }
    return own.listenPort
  }

  func daemonPort(_ own: OwnNode?) throws(CommandFailure) -> UInt16 {
    if let dockerPort { return dockerPort }
    if let text = Environment["EID_DOCKER_PORT"] {
      guard let port = UInt16(text), port != 0 else {
        throw CommandFailure("EID_DOCKER_PORT is \(text), but must be a port from 1 to 65535")
      }
      return port
    }
    return own?.setting("docker_daemon_port").flatMap { UInt16(exactly: $0) }
      ?? Self.defaultDockerPort
  }
}
