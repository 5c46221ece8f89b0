// SPDX-License-Identifier: Apache-2.0

/// Asks a daemon for its containers, and where the listen port of each is published.
public struct ContainerListingQuery: DaemonQuery {
  public let target: LookupTarget
  public let request: [UInt8]
  private var answer: DaemonAnswer
  private var listing: ContainerListing
  private var result: Result<[ListedContainer], LookupFailure>?

  /// - Parameters:
  ///   - all: also those that do not run.
  ///   - label: only those that run and have it; `all` is without effect then.
  ///   - listenPort: the port inside the containers, TCP.
  ///   - daemon: the Docker Remote API.
  ///   - host: the address at which published ports are connected to; nil where that is the
  ///     daemon's.
  public init(
    all: Bool = false,
    label: ContainerLabel? = nil,
    listenPort: UInt16,
    daemon: Endpoint,
    host: IPAddress? = nil,
    responseLimitBytes: Int = PublishedPortLookup.defaultResponseLimitBytes
  ) {
    target = LookupTarget(
      container: nil,
      listenPort: listenPort,
      daemon: daemon,
      host: host
    )
    request = target.request(
      path: label?.listPath ?? (all ? "/containers/json?all=1" : "/containers/json")
    )
    answer = DaemonAnswer(target: target, limitBytes: responseLimitBytes)
    listing = ContainerListing(target: target)
  }

  public mutating func receive(_ bytes: Span<UInt8>) -> LookupStep<[ListedContainer]> {
    for index in bytes.indices {
      if let result { return .done(result) }
      take(bytes[index])
    }
    if let result { return .done(result) }
    return .more
  }

  public mutating func connectionClosed() -> Result<[ListedContainer], LookupFailure> {
    if let result { return result }
    let result: Result<[ListedContainer], LookupFailure>
    do throws(LookupFailure) {
      try answer.connectionClosed()
      result = .success(listing.containers)
    } catch {
      result = .failure(error)
    }
    self.result = result
    return result
  }

  private mutating func take(_ byte: UInt8) {
    do throws(LookupFailure) {
      if let event = try answer.take(byte) {
        let scanner = answer.scanner
        try listing.take(event, text: scanner.text, number: scanner.number)
      }
      guard answer.isComplete else { return }
      try answer.check()
      result = .success(listing.containers)
    } catch {
      result = .failure(error)
    }
  }
}
