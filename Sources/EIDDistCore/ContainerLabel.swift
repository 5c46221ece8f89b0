// SPDX-License-Identifier: Apache-2.0

/// A label that containers are found by: `KEY`, or `KEY=VALUE`.
///
/// It goes into the path of a request as JSON, percent-encoded: whatever is in it, it is
/// one label there and nothing else.
public struct ContainerLabel: Equatable, Sendable {
  /// Docker has no limit; a request line has.
  public static let maxBytes = 1024

  private let text: String

  /// Takes the label as the user has written it; throws ``LookupFailure/invalidLabel(_:)``.
  public init(_ bytes: some Sequence<UInt8>) throws(LookupFailure) {
    let bytes = Array(bytes.prefix(Self.maxBytes + 1))
    guard bytes.count <= Self.maxBytes, let first = bytes.first, first != UInt8(ascii: "="),
      let text = String(validating: bytes, as: UTF8.self),
      text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
    else { throw .invalidLabel(String(sanitizing: bytes)) }
    self.text = text
  }

  /// The path of a list of the containers that run and have the label.
  var listPath: String { "/containers/json?filters=\(filters())" }

  /// The request for a stream of events, of those after which such a list may be another
  /// one. (Without them named, each health check of a container would be one.)
  public func eventsRequest(to daemon: Endpoint) -> [UInt8] {
    let events = #""start","die","pause","unpause","rename""#
    let filters = filters(#","type":["container"],"event":[\#(events)]"#)
    let target = LookupTarget(container: nil, listenPort: 0, daemon: daemon)
    return target.request(path: "/events?filters=\(filters)")
  }

  private func filters(_ others: String = "") -> String {
    var json = #"{"label":[""#
    for scalar in text.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { json += "\\" }
      json.unicodeScalars.append(scalar)
    }
    json += "\"]\(others)}"
    return Self.percentEncoded(json.utf8)
  }

  /// All but what RFC 3986 calls unreserved is written as `%XX`.
  private static func percentEncoded(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var encoded: [UInt8] = []
    for byte in bytes {
      if ASCII.isLetter(byte) || ASCII.isDigit(byte) || "-._~".utf8.contains(byte) {
        encoded.append(byte)
      } else {
        encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: encoded, as: UTF8.self)
  }
}
