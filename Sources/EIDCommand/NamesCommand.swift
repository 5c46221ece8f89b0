// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import EIDCommandCore
import EIDDistCore

struct NamesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "names",
    abstract: "The nodes on Docker hosts, as epmd -names lists those of epmd.",
    discussion: """
      A container is listed as a node where the listen port is published, or the network is that \
      of the host; the others are told apart with the reason. No node is asked: names are those \
      that nodes have which are named after the container's ID. Where Docker wants TLS, or the \
      settings have an address of Docker's, an Erlang VM reads them, and asks as nodes do.
      """
  )

  @Argument(
    help: ArgumentHelp("Docker hosts: addresses, or names that resolve.", valueName: "host")
  )
  var hosts: [String]

  @Flag(help: "Also containers that do not run.")
  var all = false

  @Flag(help: "Prints a JSON object for each container, one on a line.")
  var json = false

  @OptionGroup var lookup: LookupOptions

  func run() throws {
    try CommandFailure.reporting {
      let own = OwnNode.find()
      let listenPort = lookup.listenPort(own)
      let daemonPort = try lookup.daemonPort(own)
      var hasFailed = false
      for (index, host) in hosts.enumerated() {
        if index > 0, !json { Output.line("") }
        do throws(CommandFailure) {
          let containers = try containers(of: host, own, listenPort, daemonPort)
          let lines =
            json
            ? HostNodes.json(containers, host: host)
            : HostNodes.lines(containers, host: host, listenPort: listenPort)
          for line in lines { Output.line(line) }
        } catch {
          // The other hosts may answer.
          Output.error(error.sentence)
          hasFailed = true
        }
      }
      if hasFailed { throw ExitCode(1) }
    }
  }

  private func containers(
    of host: String,
    _ own: OwnNode?,
    _ listenPort: UInt16,
    _ daemonPort: UInt16
  ) throws(CommandFailure) -> [ListedContainer] {
    let address: IPAddress
    do throws(Resolver.Failure) {
      address = try Resolver.address(of: host, milliseconds: lookup.timeout)
    } catch {
      throw CommandFailure(error.sentence)
    }
    func query(_ daemon: Endpoint) -> ContainerListingQuery {
      ContainerListingQuery(all: all, listenPort: listenPort, daemon: daemon, host: address)
    }
    var daemon = Endpoint(
      address: address,
      port: lookup.daemonPort(of: host, address) ?? daemonPort
    )
    if lookup.isErlangsToAsk(own) {
      let client = TLSDaemonClient(own: own, lookup: lookup)
      switch try client.ask(query(daemon), host: host, address: address) {
      case .answer(let result): return try Self.containers(result)
      case .withoutTLS(let plain): daemon = plain
      }
    }
    return try Self.containers(DaemonClient.ask(query(daemon), milliseconds: lookup.timeout))
  }

  private static func containers(
    _ result: Result<[ListedContainer], LookupFailure>
  ) throws(CommandFailure) -> [ListedContainer] {
    switch result {
    case .success(let containers): return containers
    case .failure(let failure): throw CommandFailure(failure.sentence)
    }
  }
}
