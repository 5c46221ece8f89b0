// SPDX-License-Identifier: Apache-2.0

/// One lookup of a published port: the container's description is asked for.
public struct PublishedPortLookup: DaemonQuery {
  /// Answers of 12 MB are real.
  public static let defaultResponseLimitBytes = 32 * 1024 * 1024

  public let target: LookupTarget
  public let request: [UInt8]
  private var answer: DaemonAnswer
  private var inspection: ContainerInspection
  private var result: Result<UInt16, LookupFailure>?

  /// Begins a lookup.
  ///
  /// - Parameters:
  ///   - listenPort: the port inside the container, TCP.
  ///   - daemon: the Docker Remote API.
  ///   - host: the address at which the published port is then connected to; nil where that
  ///     is the daemon's.
  public init(
    container: ContainerReference,
    listenPort: UInt16,
    daemon: Endpoint,
    host: IPAddress? = nil,
    responseLimitBytes: Int = defaultResponseLimitBytes
  ) {
    target = LookupTarget(
      container: container,
      listenPort: listenPort,
      daemon: daemon,
      host: host
    )
    request = target.request(path: "/containers/\(container)/json")
    answer = DaemonAnswer(target: target, limitBytes: responseLimitBytes)
    inspection = ContainerInspection(container: container, target: target)
  }

  public mutating func receive(_ bytes: Span<UInt8>) -> LookupStep<UInt16> {
    for index in bytes.indices {
      if let result { return .done(result) }
      take(bytes[index])
    }
    if let result { return .done(result) }
    return .more
  }

  public mutating func connectionClosed() -> Result<UInt16, LookupFailure> {
    if let result { return result }
    let result: Result<UInt16, LookupFailure>
    do throws(LookupFailure) {
      try answer.connectionClosed()
      result = .success(try inspection.publishedPort())
    } catch {
      result = .failure(error)
    }
    self.result = result
    return result
  }

  private mutating func take(_ byte: UInt8) {
    do throws(LookupFailure) {
      if let event = try answer.take(byte) {
        try inspection.take(event, text: answer.scanner.text)
      }
      guard answer.isComplete else { return }
      try answer.check()
      result = .success(try inspection.publishedPort())
    } catch {
      result = .failure(error)
    }
  }
}
