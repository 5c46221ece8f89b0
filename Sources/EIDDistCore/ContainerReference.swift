// SPDX-License-Identifier: Apache-2.0

/// The container that a node name's left part asks for.
///
/// Twelve or sixty-four lower-case hexadecimal digits are a container ID, as Docker
/// prints it. Anything else that Docker's grammar for names allows is a name. Both go
/// into the path of a request as they are, so nothing else may be in them.
public struct ContainerReference: Equatable, Sendable, CustomStringConvertible {
  /// A node name, an atom of at most 255 characters, leaves no room for more.
  public static let maxBytes = 255

  private static let shortIDBytes = 12
  private static let fullIDBytes = 64

  public let description: String
  let isID: Bool

  /// Takes the node name's left part; throws ``LookupFailure/invalidContainer(_:)`` or
  /// ``LookupFailure/upperCaseContainerID(_:)``.
  public init(_ bytes: some Sequence<UInt8>) throws(LookupFailure) {
    let bytes = Array(bytes.prefix(Self.maxBytes + 1))
    guard bytes.count <= Self.maxBytes, Self.isName(bytes) else {
      throw .invalidContainer(String(sanitizing: bytes))
    }
    description = String(decoding: bytes, as: UTF8.self)
    isID =
      (bytes.count == Self.shortIDBytes || bytes.count == Self.fullIDBytes)
      && bytes.allSatisfy { ASCII.hexValue($0) != nil }
    // Docker tells the cases of an ID apart. Made lower-case here, it would be found, but
    // the node there has another name, so that the handshake would fail without a reason.
    if isID, bytes.contains(where: { ASCII.lowercased($0) != $0 }) {
      throw .upperCaseContainerID(description)
    }
  }

  /// Docker's `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
  private static func isName(_ bytes: [UInt8]) -> Bool {
    guard let first = bytes.first, ASCII.isLetter(first) || ASCII.isDigit(first) else {
      return false
    }
    return bytes.allSatisfy { byte in
      ASCII.isLetter(byte) || ASCII.isDigit(byte) || "_.-".utf8.contains(byte)
    }
  }

  /// Whether an answer with this `Id` and this `Name` is about the container asked for.
  ///
  /// Docker looks for names, IDs and unique beginnings of IDs alike, so the answer may be
  /// about another one.
  func matches(id: [UInt8], name: [UInt8]) -> Bool {
    isID ? id.starts(with: description.utf8) : name.elementsEqual("/\(description)".utf8)
  }
}
