// SPDX-License-Identifier: Apache-2.0

import EIDDistCore

/// OTP's distribution handshake, version 6, from the side that connects, as a hidden node
/// that lets the other one name it.
///
/// A hidden node of a name that lasts as long as the connection: no node's `nodes()`
/// changes, and no name can clash. See "Distribution Handshake" in OTP's documentation, and
/// dist_util.erl. Whoever holds it sends ``nameMessage``, reads at most ``wanted`` bytes at
/// a time and performs what ``receive(_:)`` says.
package struct PeerHandshake {
  package enum Action: Equatable {
    case read
    case send([UInt8])
    /// The other node has named itself, and there is no cookie to go on with.
    case identified
    /// Both have proved that they know the cookie.
    case accepted
    case failed(HandshakeFailure)
  }

  private enum State {
    case status
    case challenge
    case acknowledgement
    case ended
  }

  /// From dist.hrl. Not among them is DFLAG_PUBLISHED: that makes the node a hidden one.
  private enum Flag {
    static let extendedReferences: UInt64 = 0x4
    static let funTags: UInt64 = 0x10
    static let newFunTags: UInt64 = 0x80
    static let extendedPidsPorts: UInt64 = 0x100
    static let exportPtrTag: UInt64 = 0x200
    static let bitBinaries: UInt64 = 0x400
    static let newFloats: UInt64 = 0x800
    static let utf8Atoms: UInt64 = 0x1_0000
    static let mapTag: UInt64 = 0x2_0000
    static let bigCreation: UInt64 = 0x4_0000
    static let handshake23: UInt64 = 0x100_0000
    static let unlinkID: UInt64 = 0x200_0000
    /// Stands for all of those that OTP 25 made mandatory.
    static let mandatory25Digest: UInt64 = 0x400_0000
    static let nameMe: UInt64 = 0x2_0000_0000
    static let v4NC: UInt64 = 0x4_0000_0000

    static let all =
      extendedReferences | funTags | newFunTags | extendedPidsPorts | exportPtrTag | bitBinaries
      | newFloats | utf8Atoms | mapTag | bigCreation | handshake23 | unlinkID
      | mandatory25Digest | nameMe | v4NC
  }

  /// With DFLAG_NAME_ME it is the host part alone that is sent.
  package let nameMessage: [UInt8]
  private let cookie: [UInt8]?
  private let challenge: UInt32
  private var state = State.status
  private var reader = HandshakeReader()
  private var hasAnything = false
  /// Complete handshake messages so far.
  private var received = 0
  /// The other node's name, from its challenge.
  package private(set) var peerName: String?

  /// - Parameters:
  ///   - host: the host part of the name that the other node is to give this one.
  ///   - cookie: nil to end when the other node has named itself.
  ///   - challenge: a random number.
  package init(host: String, cookie: [UInt8]?, challenge: UInt32) {
    let name = Array(host.utf8.prefix(200))
    nameMessage = Self.framed(
      [UInt8(ascii: "N")] + Self.bigEndian(Flag.all) + Self.bigEndian(UInt32(0))
        + Self.bigEndian(UInt16(name.count)) + name
    )
    self.cookie = cookie
    self.challenge = challenge
  }

  /// How many bytes may be read now.
  package var wanted: Int { reader.wanted }

  /// Takes at most ``wanted`` bytes.
  package mutating func receive(_ bytes: Span<UInt8>) -> Action {
    if !hasAnything, bytes.count > 0 {
      hasAnything = true
      // The content types of a TLS alert and of a TLS handshake record.
      if bytes[0] == 0x15 || bytes[0] == 0x16 { return end(.failed(.speaksTLS)) }
    }
    switch reader.received(bytes) {
    case .more: return .read
    case .tooLong: return end(.failed(.notANode))
    case .packet(let packet):
      received += 1
      return take(packet)
    }
  }

  /// What it means that the other side has closed.
  package var closed: HandshakeFailure { .closed(afterMessages: received) }

  /// What it means that nothing came in time.
  package var timedOut: HandshakeFailure { .timedOut(afterMessages: received) }

  private mutating func take(_ packet: [UInt8]) -> Action {
    switch state {
    case .status:
      guard packet.first == UInt8(ascii: "s") else { return end(.failed(.notANode)) }
      return takeStatus(packet.dropFirst())
    case .challenge:
      return takeChallenge(packet)
    case .acknowledgement:
      guard packet.count == 17, packet[0] == UInt8(ascii: "a") else {
        return end(.failed(.malformed("the acknowledgement")))
      }
      let expected = Self.digest(cookie ?? [], challenge)
      return end(packet[1...].elementsEqual(expected) ? .accepted : .failed(.wrongAnswer))
    case .ended:
      return .failed(.malformed("more than a handshake"))
    }
  }

  private mutating func takeStatus(_ status: ArraySlice<UInt8>) -> Action {
    let named = Array("named:".utf8)
    if status.starts(with: named) || status.elementsEqual("ok".utf8)
      || status.elementsEqual("ok_simultaneous".utf8)
    {
      state = .challenge
      return .read
    }
    if status.elementsEqual("not_allowed".utf8) { return end(.failed(.notAllowed)) }
    return end(.failed(.status(String(sanitizing: status))))
  }

  private mutating func takeChallenge(_ packet: [UInt8]) -> Action {
    // 'N', flags (8), challenge (4), creation (4), length of the name (2), the name.
    guard packet.count >= 19, packet[0] == UInt8(ascii: "N") else {
      return end(.failed(.malformed("the challenge")))
    }
    let length = Int(packet[17]) << 8 | Int(packet[18])
    guard length > 0, packet.count >= 19 + length else {
      return end(.failed(.malformed("the challenge")))
    }
    peerName = String(sanitizing: packet[19..<(19 + length)])
    guard let cookie else { return end(.identified) }
    let theirs = packet[9..<13].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    state = .acknowledgement
    return .send(
      Self.framed(
        [UInt8(ascii: "r")] + Self.bigEndian(challenge) + Self.digest(cookie, theirs)
      )
    )
  }

  private mutating func end(_ action: Action) -> Action {
    state = .ended
    return action
  }

  /// As dist_util:gen_digest/2: the cookie's text and the challenge's decimal digits.
  static func digest(_ cookie: [UInt8], _ challenge: UInt32) -> [UInt8] {
    MD5.digest(cookie + Array(String(challenge).utf8))
  }

  private static func framed(_ message: [UInt8]) -> [UInt8] {
    bigEndian(UInt16(message.count)) + message
  }

  private static func bigEndian<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
    (0..<(Value.bitWidth / 8)).reversed().map { UInt8(truncatingIfNeeded: value >> Value(8 * $0)) }
  }
}
