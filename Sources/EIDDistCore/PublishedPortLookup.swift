// SPDX-License-Identifier: Apache-2.0

/// One lookup of a published port: a request to the Docker Remote API, and its answer.
///
/// Whoever holds it connects to the daemon, sends ``request``, passes on what comes until
/// there is a result, and keeps the deadline. The answer is not stored: whatever its size,
/// a lookup needs some kilobytes.
public struct PublishedPortLookup {
  /// Answers of 12 MB are real.
  public static let defaultResponseLimitBytes = 32 * 1024 * 1024

  /// Of an error's body, enough for the daemon's message.
  private static let maxErrorBodyBytes = 4 * 1024

  public let target: LookupTarget
  private let responseLimitBytes: Int
  private var receivedBytes = 0
  private var response: HTTPResponseParser
  private var scanner = JSONScanner()
  private var scannedBytes = 0
  private var inspection: ContainerInspection
  private var errorBody: [UInt8] = []
  private var result: Result<UInt16, LookupFailure>?

  /// Begins a lookup.
  ///
  /// - Parameters:
  ///   - listenPort: the port inside the container, TCP.
  ///   - daemon: the address of the Docker Remote API, at which the published port is then
  ///     connected to.
  public init(
    container: ContainerReference,
    listenPort: UInt16,
    daemon: IPAddress,
    daemonPort: UInt16,
    responseLimitBytes: Int = defaultResponseLimitBytes
  ) {
    target = LookupTarget(
      container: container,
      listenPort: listenPort,
      daemon: Endpoint(address: daemon, port: daemonPort)
    )
    self.responseLimitBytes = min(max(responseLimitBytes, 0), Int(Int32.max))
    response = HTTPResponseParser(bodyLimitBytes: self.responseLimitBytes)
    inspection = ContainerInspection(target: target)
  }

  /// The request, to be sent once.
  ///
  /// The path has no API version: newer daemons refuse old versions, older ones new
  /// versions, and all of them take this.
  public var request: [UInt8] {
    Array(
      """
      GET /containers/\(target.container)/json HTTP/1.1\r
      Host: \(target.daemonText)\r
      User-Agent: eid\r
      Accept: application/json\r
      Connection: close\r
      \r

      """.utf8
    )
  }

  /// Takes the next bytes that the daemon sent; after a result there is nothing to be done
  /// with more of them.
  public mutating func receive(_ bytes: Span<UInt8>) -> LookupStep {
    for index in bytes.indices {
      if let result { return .done(result) }
      take(bytes[index])
    }
    if let result { return .done(result) }
    return .more
  }

  /// Takes the news that the daemon has closed the connection; returns the result, which is
  /// the one that ``receive(_:)`` gave, if it gave one.
  public mutating func connectionClosed() -> Result<UInt16, LookupFailure> {
    if let result { return result }
    let result: Result<UInt16, LookupFailure>
    do throws(HTTPFault) {
      try response.end()
      result = verdict(endedByClose: true)
    } catch {
      result = .failure(failure(error))
    }
    self.result = result
    return result
  }

  private mutating func take(_ byte: UInt8) {
    receivedBytes &+= 1
    guard receivedBytes <= responseLimitBytes else {
      result = .failure(.answerTooLarge(target, limitBytes: responseLimitBytes))
      return
    }
    do throws(LookupFailure) {
      if let bodyByte = try takeResponseByte(byte) { try takeBodyByte(bodyByte) }
      if response.isComplete || errorBody.count == Self.maxErrorBodyBytes {
        result = verdict(endedByClose: false)
      }
    } catch {
      result = .failure(error)
    }
  }

  private mutating func takeResponseByte(_ byte: UInt8) throws(LookupFailure) -> UInt8? {
    do throws(HTTPFault) {
      return try response.take(byte)
    } catch {
      throw failure(error)
    }
  }

  private mutating func takeBodyByte(_ byte: UInt8) throws(LookupFailure) {
    guard response.status == 200 else {
      errorBody.append(byte)
      return
    }
    let event: JSONEvent?
    do throws(JSONFault) {
      event = try scanner.take(byte)
    } catch {
      switch error {
      case .malformed: throw .malformedJSON(target, atByte: scannedBytes)
      case .tooDeep: throw .tooDeepJSON(target)
      }
    }
    scannedBytes &+= 1
    if let event { try inspection.take(event, text: scanner.text) }
  }

  private func failure(_ fault: HTTPFault) -> LookupFailure {
    switch fault {
    case .notHTTP: .notHTTP(target)
    case .tls: .wantsTLS(target)
    case .malformed(let what): .malformedHTTP(target, what: what)
    case .tooLarge: .answerTooLarge(target, limitBytes: responseLimitBytes)
    case .cutShort: .cutShort(target, afterBytes: receivedBytes)
    }
  }

  private func verdict(endedByClose: Bool) -> Result<UInt16, LookupFailure> {
    guard response.status == 200 else { return .failure(errorStatusFailure) }
    guard scanner.isComplete else {
      return .failure(
        endedByClose
          ? .cutShort(target, afterBytes: receivedBytes)
          : .malformedJSON(target, atByte: scannedBytes)
      )
    }
    return Result { () throws(LookupFailure) in try inspection.publishedPort() }
  }

  private var errorStatusFailure: LookupFailure {
    let status = response.status ?? 0
    let error = DaemonError(body: errorBody)
    switch status {
    case 400 where error.wantsTLS:
      return .wantsTLS(target)
    case 300...399:
      return .redirected(target, status: status)
    case 401, 403:
      return .forbidden(target, status: status, message: error.message)
    case 400 where error.isAmbiguous, 404 where error.isAmbiguous, 500 where error.isAmbiguous:
      return .ambiguousContainer(target, message: error.message)
    case 404 where error.isFromDaemon:
      return .noSuchContainer(target, message: error.message)
    default:
      return .unexpectedStatus(target, status: status, message: error.message)
    }
  }
}
