// SPDX-License-Identifier: Apache-2.0

import EIDDistCore
import Testing

@testable import EIDCommandCore

@Suite struct PeerHandshakeTests {
  private static let challenge: UInt32 = 0x0102_0304
  private static let cookie = Array("secret".utf8)

  private func framed(_ message: [UInt8]) -> [UInt8] {
    [UInt8(message.count >> 8), UInt8(message.count & 0xff)] + message
  }

  private func bytes<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
    (0..<(Value.bitWidth / 8)).reversed().map { UInt8(truncatingIfNeeded: value >> Value(8 * $0)) }
  }

  private func status(_ text: String) -> [UInt8] { framed(Array("s\(text)".utf8)) }

  /// As OTP gives a name to a node that has asked for one.
  private var named: [UInt8] {
    framed(Array("snamed:".utf8) + bytes(UInt16(4)) + Array("x@vm".utf8) + bytes(UInt32(7)))
  }

  private func challenge(of name: String) -> [UInt8] {
    framed(
      [UInt8(ascii: "N")] + bytes(UInt64(0xd07_df7f_bd)) + bytes(UInt32(99)) + bytes(UInt32(5))
        + bytes(UInt16(name.utf8.count)) + Array(name.utf8)
    )
  }

  private var acknowledgement: [UInt8] {
    framed([UInt8(ascii: "a")] + PeerHandshake.digest(Self.cookie, Self.challenge))
  }

  private func handshake(cookie: [UInt8]? = PeerHandshakeTests.cookie) -> PeerHandshake {
    PeerHandshake(host: "vm", cookie: cookie, challenge: Self.challenge)
  }

  /// What comes of `stream`, of which never more is read than is wanted, and no more than to
  /// the next of `cuts`: all that is to be sent, and the last action.
  private func outcome(
    of stream: [UInt8],
    cuts: [Int] = [],
    _ handshake: inout PeerHandshake
  ) -> (sent: [UInt8], last: PeerHandshake.Action) {
    var sent: [UInt8] = []
    var at = 0
    while at < stream.count {
      let limit = cuts.first { $0 > at } ?? stream.count
      let end = min(at + handshake.wanted, limit, stream.count)
      let action = handshake.receive(stream[at..<end].span)
      at = end
      switch action {
      case .read: break
      case .send(let bytes): sent += bytes
      case .identified, .accepted, .failed: return (sent, action)
      }
    }
    return (sent, .read)
  }

  private func failure(_ stream: [UInt8]) -> HandshakeFailure? {
    var handshake = handshake()
    if case .failed(let failure) = outcome(of: stream, &handshake).last { return failure }
    return nil
  }

  @Test func nameMessageAsksForAName() {
    let message = handshake().nameMessage
    #expect(message.prefix(3) == [0, 17, UInt8(ascii: "N")])
    #expect(message.suffix(4) == [0, 2] + Array("vm".utf8))
    // DFLAG_NAME_ME is there; DFLAG_PUBLISHED, which would show the node to all, is not.
    let flags = message[3..<11].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    #expect(flags & 0x2_0000_0000 != 0)
    #expect(flags & 0x1 == 0)
  }

  @Test func cookieIsAcceptedAtEveryCut() {
    let stream = named + challenge(of: "n@h") + acknowledgement
    // The digest that OTP gives: erlang:md5("secret99").
    let reply = framed(
      [UInt8(ascii: "r")] + bytes(Self.challenge) + MD5.digest(Array("secret99".utf8))
    )
    for cut in stream.indices {
      var handshake = handshake()
      let (sent, last) = outcome(of: stream, cuts: [cut], &handshake)
      let isWell = last == .accepted && sent == reply && handshake.peerName == "n@h"
      #expect(isWell, "cut at \(cut)")
    }
    var handshake = handshake()
    #expect(outcome(of: stream, cuts: Array(stream.indices), &handshake).last == .accepted)
  }

  @Test func withoutACookieItEndsWithTheName() {
    var handshake = handshake(cookie: nil)
    #expect(outcome(of: named + challenge(of: "n@h"), &handshake).last == .identified)
    #expect(handshake.peerName == "n@h")
  }

  @Test func statusDecides() {
    for well in ["ok", "ok_simultaneous"] {
      var handshake = handshake(cookie: nil)
      #expect(outcome(of: status(well) + challenge(of: "n@h"), &handshake).last == .identified)
    }
    #expect(failure(status("not_allowed")) == .notAllowed)
    #expect(failure(status("nok")) == .status("nok"))
    #expect(failure(status("")) == .status(""))
  }

  @Test func whatIsNoHandshakeIsTold() {
    #expect(failure([0x15, 3, 3, 0, 2, 2, 0x28]) == .speaksTLS)
    #expect(failure(Array("HTTP/1.1 400 Bad Request\r\n".utf8)) == .notANode)
    #expect(failure([0, 0]) == .notANode)
    #expect(failure(framed(Array("x".utf8))) == .notANode)
  }

  @Test func malformedMessagesAreTold() {
    #expect(failure(named + framed([])) == .malformed("the challenge"))
    #expect(failure(named + challenge(of: "")) == .malformed("the challenge"))
    var cut = Array(challenge(of: "n@h").dropFirst(2).dropLast())
    #expect(failure(named + framed(cut)) == .malformed("the challenge"))
    cut[0] = UInt8(ascii: "x")
    #expect(failure(named + framed(cut)) == .malformed("the challenge"))
    let begun = named + challenge(of: "n@h")
    #expect(failure(begun + framed([UInt8(ascii: "a")])) == .malformed("the acknowledgement"))
  }

  @Test func nodeThatDoesNotKnowTheCookieIsNotAccepted() {
    let wrong = framed([UInt8(ascii: "a")] + [UInt8](repeating: 0, count: 16))
    #expect(failure(named + challenge(of: "n@h") + wrong) == .wrongAnswer)
  }

  @Test func endAndSilenceAreToldByWhatCameBefore() {
    let stages = [[], named, named + challenge(of: "n@h")]
    for (messages, stage) in stages.enumerated() {
      var handshake = handshake()
      _ = outcome(of: stage, &handshake)
      #expect(handshake.closed == .closed(afterMessages: messages))
      #expect(handshake.timedOut == .timedOut(afterMessages: messages))
      #expect(handshake.closed.isOfCookie == (messages == 2))
    }
  }
}
