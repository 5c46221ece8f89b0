// SPDX-License-Identifier: Apache-2.0

import EIDDistCore

/// What a ``LookupPort`` asks a daemon, with its answer as Erlang reads it.
struct DaemonQuestion {
  let target: LookupTarget
  let request: [UInt8]
  // One of them. Not a case's payload each: taken out of a case, a query would be copied.
  private var lookup: PublishedPortLookup?
  private var listing: ContainerListingQuery?

  /// `<<Port:16>>` is the answer.
  private init(_ lookup: PublishedPortLookup) {
    target = lookup.target
    request = lookup.request
    self.lookup = lookup
  }

  /// The answer is of each container its ID, name and state, then `<<0, Port:16>>`, or 1,
  /// the failure's name and its sentence; each text has its length in 16 bits before it.
  private init(_ listing: ContainerListingQuery) {
    target = listing.target
    request = listing.request
    self.listing = listing
  }

  init(_ command: ControlCommand.DaemonCommand) throws(LookupFailure) {
    switch command.subject {
    case .container(let name):
      self.init(
        PublishedPortLookup(
          container: try ContainerReference(name),
          listenPort: command.listenPort,
          daemon: command.daemon,
          host: command.host
        )
      )
    case .label(let label):
      self.init(
        ContainerListingQuery(
          label: try ContainerLabel(label),
          listenPort: command.listenPort,
          daemon: command.daemon,
          host: command.host
        )
      )
    }
  }

  /// Takes what the daemon sent; returns the answer once it is there.
  mutating func receive(_ bytes: Span<UInt8>) -> Result<[UInt8], LookupFailure>? {
    if case .done(let result)? = lookup?.receive(bytes) { return result.map(bigEndian) }
    if case .done(let result)? = listing?.receive(bytes) { return result.map(Self.encoded) }
    return nil
  }

  /// Takes the news that the daemon has closed the connection.
  mutating func connectionClosed() -> Result<[UInt8], LookupFailure> {
    if let result = lookup?.connectionClosed() { return result.map(bigEndian) }
    if let result = listing?.connectionClosed() { return result.map(Self.encoded) }
    return .failure(.cutShort(target, afterBytes: 0))
  }

  private static func encoded(_ containers: [ListedContainer]) -> [UInt8] {
    var bytes: [UInt8] = []
    func append(_ text: String) {
      let utf8 = Array(text.utf8.prefix(Int(UInt16.max)))
      bytes += bigEndian(UInt16(truncatingIfNeeded: utf8.count)) + utf8
    }
    for container in containers {
      append(container.id)
      append(container.name)
      append(container.state)
      switch container.publishedPort {
      case .success(let port):
        bytes += [0] + bigEndian(port)
      case .failure(let failure):
        bytes.append(1)
        append(failure.name)
        append(failure.sentence)
      }
    }
    return bytes
  }
}
