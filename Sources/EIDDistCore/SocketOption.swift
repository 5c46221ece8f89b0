// SPDX-License-Identifier: Apache-2.0

/// An option of a listener or a connection, named as in Erlang's `inet` module.
///
/// On the wire between Erlang and the driver an option is
/// `<<Code:8, Length:16, Value:Length/binary>>`.
public enum SocketOption: Equatable, Sendable {
  case integer(IntegerOption, Int32)
  case linger(on: Int32, seconds: Int32)
  /// `bind_to_device`: a network interface's name.
  case device([UInt8])
  case raw(level: Int32, name: Int32, value: [UInt8])
  /// The connection's own matter, not the socket's.
  case tuning(Tuning.Option, Int)
  /// `ip`: the address to bind to; with `port`, 0 for any.
  case localAddress(Endpoint)

  /// Options whose value is one `int` for setsockopt(2).
  public enum IntegerOption: UInt8, CaseIterable, Sendable {
    case reuseAddress = 1
    case keepAlive = 2
    case noDelay = 3
    case sendBuffer = 4
    case receiveBuffer = 5
    case priority = 6
    case typeOfService = 7
    case trafficClass = 8
    case timeToLive = 9
    case dontRoute = 10
    case ipv6Only = 11
    case reusePort = 12
  }

  /// The codes of the options that are neither one `int` nor ``Tuning``'s.
  public enum Code {
    public static let linger: UInt8 = 32
    public static let device: UInt8 = 33
    public static let raw: UInt8 = 34
    public static let localAddress: UInt8 = 37
  }

  /// One option to be read by getsockopt(2).
  public enum Query: Equatable, Sendable {
    case integer(IntegerOption)
    case linger
    case raw(level: Int32, name: Int32, bytes: Int)
    case tuning(Tuning.Option)
  }

  /// The most bytes that a raw option's value may have.
  static let maxRawBytes = 4096

  /// The options in `bytes` from `cursor` to the end, or nil where they are malformed.
  static func list(_ bytes: Span<UInt8>, _ cursor: inout ByteCursor) -> [SocketOption]? {
    var options: [SocketOption] = []
    while cursor.remaining(in: bytes) > 0 {
      guard let code = cursor.byte(bytes), let length = cursor.uint16(bytes),
        let value = cursor.bytes(Int(length), of: bytes),
        let option = option(code: code, value: value.span)
      else { return nil }
      options.append(option)
    }
    return options
  }

  private static func option(code: UInt8, value: Span<UInt8>) -> SocketOption? {
    var cursor = ByteCursor()
    let option: SocketOption?
    switch code {
    case Code.linger:
      guard let on = cursor.int32(value), let seconds = cursor.int32(value) else { return nil }
      option = .linger(on: on, seconds: seconds)
    case Code.device:
      option = .device(cursor.rest(of: value))
    case Code.raw:
      guard let level = cursor.int32(value), let name = cursor.int32(value),
        cursor.remaining(in: value) <= maxRawBytes
      else { return nil }
      option = .raw(level: level, name: name, value: cursor.rest(of: value))
    case Code.localAddress:
      option = Endpoint(value, &cursor).map { .localAddress($0) }
    default:
      if let tuning = Tuning.Option(rawValue: code) {
        option = cursor.uint32(value).map { .tuning(tuning, Int($0)) }
      } else if let kind = IntegerOption(rawValue: code) {
        option = cursor.int32(value).map { .integer(kind, $0) }
      } else {
        option = nil
      }
    }
    return cursor.remaining(in: value) == 0 ? option : nil
  }

  /// The queries in `bytes` from `cursor` to the end, or nil where they are malformed.
  static func queries(_ bytes: Span<UInt8>, _ cursor: inout ByteCursor) -> [Query]? {
    var queries: [Query] = []
    while cursor.remaining(in: bytes) > 0 {
      guard let code = cursor.byte(bytes) else { return nil }
      switch code {
      case Code.linger: queries.append(.linger)
      case Code.raw:
        guard let level = cursor.int32(bytes), let name = cursor.int32(bytes),
          let count = cursor.uint32(bytes), count <= maxRawBytes
        else { return nil }
        queries.append(.raw(level: level, name: name, bytes: Int(count)))
      default:
        if let tuning = Tuning.Option(rawValue: code) {
          queries.append(.tuning(tuning))
        } else if let kind = IntegerOption(rawValue: code) {
          queries.append(.integer(kind))
        } else {
          return nil
        }
      }
    }
    return queries
  }
}
