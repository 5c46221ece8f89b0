// SPDX-License-Identifier: Apache-2.0

/// The body of an answer that reports an error.
struct DaemonError {
  /// In lower case, as all hints. No container's name can contain them, as it has no spaces.
  private static let tlsHints = [
    "http request to an https server",  // Go, and so Docker and Podman
    "http request was sent to https port",  // nginx
  ]
  private static let ambiguityHints = [
    "multiple ids found",  // Docker
    "more than one result",  // Podman
  ]

  /// The daemon's message where there is one, else the body as text; fit for a sentence.
  let message: String
  /// Whether the body has the form that Docker gives its errors.
  let isFromDaemon: Bool
  let wantsTLS: Bool
  let isAmbiguous: Bool

  /// Takes the body, or as much of its beginning as was kept.
  init(body: [UInt8]) {
    let found = Self.message(in: body)
    let text = found ?? body
    let lowercased = text.map(ASCII.lowercased)
    message = String(sanitizing: Self.withoutLineEnd(text))
    isFromDaemon = found != nil
    wantsTLS = Self.tlsHints.contains { Self.contains(lowercased, $0) }
    isAmbiguous = isFromDaemon && Self.ambiguityHints.contains { Self.contains(lowercased, $0) }
  }

  /// The string at `message` of the object that `body` is or begins with.
  private static func message(in body: [UInt8]) -> [UInt8]? {
    var scanner = JSONScanner()
    var depth = 0
    var isMessage = false
    for byte in body {
      let event: JSONEvent?
      do { event = try scanner.take(byte) } catch { return nil }
      switch event {
      case .beginObject, .beginArray: depth &+= 1
      case .endObject, .endArray: depth &-= 1
      case .key: isMessage = depth == 1 && scanner.text.elementsEqual("message".utf8)
      case .string where isMessage: return scanner.text
      case .string, .number, .bool, .null: isMessage = false
      case nil: break
      }
    }
    return nil
  }

  private static func withoutLineEnd(_ text: [UInt8]) -> ArraySlice<UInt8> {
    var text = text[...]
    while let last = text.last, last == ASCII.lineFeed || last == ASCII.carriageReturn {
      text = text.dropLast()
    }
    return text
  }

  private static func contains(_ bytes: [UInt8], _ text: String) -> Bool {
    bytes.indices.contains { bytes[$0...].starts(with: text.utf8) }
  }
}
