// SPDX-License-Identifier: Apache-2.0

/// Collects one handshake packet and never asks for a byte beyond it.
///
/// The byte after the last handshake packet belongs to the data mode, so reading ahead
/// would take from the VM what it has not yet asked for.
public struct HandshakeReader: Equatable, Sendable {
  /// The longest handshake packet that is taken, in bytes.
  ///
  /// The longest that OTP 25 to 29 send is a name message of about 1.1 KB. A limit well
  /// below the 64 KB that the header allows bounds what a stranger can make the node keep,
  /// and shows an HTTP or TLS client on the port at its first two bytes.
  public static let maxPacketBytes = 4096

  public static let headerBytes = 2

  public enum Progress: Equatable, Sendable {
    /// The packet is not complete.
    case more
    case packet([UInt8])
    case tooLong(bytes: Int)
  }

  private var header: [UInt8] = []
  private var body: [UInt8] = []
  private var bodyBytes: Int?

  public init() {}

  /// How many bytes may be read now: never past the packet.
  public var wanted: Int {
    guard let bodyBytes else { return Self.headerBytes - header.count }
    return bodyBytes - body.count
  }

  /// Whether a packet has begun.
  public var isEmpty: Bool { header.isEmpty }

  /// Takes what was read: at most ``wanted`` bytes, the rest is left out.
  public mutating func received(_ bytes: Span<UInt8>) -> Progress {
    let count = min(bytes.count, wanted)
    for index in 0..<count {
      if bodyBytes == nil { header.append(bytes[index]) } else { body.append(bytes[index]) }
    }
    if bodyBytes == nil {
      guard header.count == Self.headerBytes else { return .more }
      let length = Int(header[0]) << 8 | Int(header[1])
      guard length <= Self.maxPacketBytes else { return .tooLong(bytes: length) }
      bodyBytes = length
    }
    guard wanted == 0 else { return .more }
    let packet = body
    self = HandshakeReader()
    return .packet(packet)
  }
}
