// SPDX-License-Identifier: Apache-2.0

/// An answer of the Docker Remote API as it comes in: from bytes to the events of its JSON.
///
/// The answer is not stored: whatever its size, it needs some kilobytes.
struct DaemonAnswer {
  /// Of an error's body, enough for the daemon's message.
  private static let maxErrorBodyBytes = 4 * 1024

  private let target: LookupTarget
  private let limitBytes: Int
  private var receivedBytes = 0
  private var response: HTTPResponseParser
  private var scannedBytes = 0
  private var errorBody: [UInt8] = []
  /// Has the text of the last key, string or number.
  private(set) var scanner = JSONScanner()

  /// - Parameter limitBytes: the longest answer that is taken.
  init(target: LookupTarget, limitBytes: Int) {
    self.target = target
    self.limitBytes = min(max(limitBytes, 0), Int(Int32.max))
    response = HTTPResponseParser(bodyLimitBytes: self.limitBytes)
  }

  /// Whether nothing more has to be read.
  var isComplete: Bool { response.isComplete || errorBody.count == Self.maxErrorBodyBytes }

  /// Takes the next byte; returns what of the JSON has begun or ended with it.
  mutating func take(_ byte: UInt8) throws(LookupFailure) -> JSONEvent? {
    receivedBytes &+= 1
    guard receivedBytes <= limitBytes else {
      throw .answerTooLarge(target, limitBytes: limitBytes)
    }
    let bodyByte: UInt8?
    do throws(HTTPFault) {
      bodyByte = try response.take(byte)
    } catch {
      throw failure(error)
    }
    guard let bodyByte else { return nil }
    guard response.status == 200 else {
      errorBody.append(bodyByte)
      return nil
    }
    let event: JSONEvent?
    do throws(JSONFault) {
      event = try scanner.take(bodyByte)
    } catch {
      switch error {
      case .malformed: throw .malformedJSON(target, atByte: scannedBytes)
      case .tooDeep: throw .tooDeepJSON(target)
      }
    }
    scannedBytes &+= 1
    return event
  }

  /// Takes the news that the daemon has closed the connection.
  mutating func connectionClosed() throws(LookupFailure) {
    do throws(HTTPFault) {
      try response.end()
    } catch {
      throw failure(error)
    }
    try check(endedByClose: true)
  }

  /// Whether what was received is a whole answer with status 200.
  func check(endedByClose: Bool = false) throws(LookupFailure) {
    guard response.status == 200 else { throw errorStatusFailure }
    guard scanner.isComplete else {
      throw endedByClose
        ? .cutShort(target, afterBytes: receivedBytes)
        : .malformedJSON(target, atByte: scannedBytes)
    }
  }

  private func failure(_ fault: HTTPFault) -> LookupFailure {
    switch fault {
    case .notHTTP: .notHTTP(target)
    case .tls: .wantsTLS(target)
    case .malformed(let what): .malformedHTTP(target, what: what)
    case .tooLarge: .answerTooLarge(target, limitBytes: limitBytes)
    case .cutShort: .cutShort(target, afterBytes: receivedBytes)
    }
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
    case 404 where error.isFromDaemon && target.container != nil:
      return .noSuchContainer(target, message: error.message)
    default:
      return .unexpectedStatus(target, status: status, message: error.message)
    }
  }
}
