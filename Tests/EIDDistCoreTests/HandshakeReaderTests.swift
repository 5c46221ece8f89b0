// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

extension HandshakeReader {
  fileprivate mutating func received(_ bytes: [UInt8]) -> Progress { received(bytes.span) }
}

@Suite struct HandshakeReaderTests {
  /// A handshake packet with its header.
  private func framed(_ packet: [UInt8]) -> [UInt8] {
    [UInt8(packet.count >> 8), UInt8(packet.count & 0xff)] + packet
  }

  /// Reads `stream` as the port does: never more than is wanted, and no more than to the
  /// next of `cuts` at a time. Answers the packets.
  private func packets(in stream: [UInt8], cutAt cuts: [Int]) -> [[UInt8]] {
    var reader = HandshakeReader()
    var packets: [[UInt8]] = []
    var at = 0
    while at < stream.count {
      let wanted = reader.wanted
      // An #expect for each byte would take most of the run.
      if wanted <= 0 { Issue.record("a read of \(wanted) bytes at \(at)") }
      let limit = cuts.first { $0 > at } ?? stream.count
      let end = min(at + wanted, limit, stream.count)
      switch reader.received(Array(stream[at..<end])) {
      case .more:
        if reader.isEmpty { Issue.record("nothing is kept at \(at)") }
      case .packet(let packet):
        packets.append(packet)
        if !reader.isEmpty { Issue.record("something is kept at \(at)") }
      case .tooLong(let bytes):
        Issue.record("\(bytes) bytes are too many")
      }
      at = end
    }
    return packets
  }

  @Test func packetsComeWholeFromEveryCut() {
    let sent: [[UInt8]] = [[], [1], [2, 3, 4], [], [5, 6]]
    let stream = sent.flatMap(framed)
    for first in 0...stream.count {
      for second in first...stream.count {
        let isWhole = packets(in: stream, cutAt: [first, second]) == sent
        #expect(isWhole, "cut at \(first) and \(second)")
      }
    }
  }

  @Test(arguments: [255, 256, 1100, HandshakeReader.maxPacketBytes])
  func longPacketsComeWholeFromRandomCuts(length: Int) {
    var random = Seeded(UInt64(length))
    let sent = [random.bytes(length), [], random.bytes(length - 1)]
    let stream = sent.flatMap(framed)
    for _ in 0..<20 {
      let cuts = (0..<5).map { _ in Int.random(in: 0...stream.count, using: &random) }
      let isWhole = packets(in: stream, cutAt: cuts.sorted()) == sent
      #expect(isWhole, "cut at \(cuts)")
    }
    var reader = HandshakeReader()
    let ends = stream.filter { reader.received([$0]) != .more }
    #expect(ends.count == sent.count)
  }

  @Test func neverAsksBeyondThePacket() {
    var reader = HandshakeReader()
    #expect(reader.wanted == 2)
    #expect(reader.received([0]) == .more)
    #expect(reader.wanted == 1)
    #expect(reader.received([3]) == .more)
    #expect(reader.wanted == 3)
    #expect(reader.received([7, 8]) == .more)
    #expect(reader.wanted == 1)
    #expect(reader.received([9]) == .packet([7, 8, 9]))
    #expect(reader.wanted == 2)
  }

  @Test func bytesBeyondWhatWasAskedForAreLeftOut() {
    var reader = HandshakeReader()
    #expect(reader.received([0, 2, 0xff]) == .more)
    #expect(reader.received([7, 8, 9]) == .packet([7, 8]))
    #expect(reader.isEmpty)
  }

  @Test func nothingReceivedChangesNothing() {
    var reader = HandshakeReader()
    #expect(reader.received([]) == .more)
    #expect(reader.isEmpty)
    #expect(reader.received([0]) == .more)
    #expect(reader.received([]) == .more)
    #expect(reader.wanted == 1)
  }

  @Test(arguments: [HandshakeReader.maxPacketBytes + 1, 0x4745, 0xffff])
  func packetThatIsTooLongIsRefusedByItsHeader(length: Int) {
    let header = [UInt8(length >> 8), UInt8(length & 0xff)]
    var reader = HandshakeReader()
    #expect(reader.received(header) == .tooLong(bytes: length))
    reader = HandshakeReader()
    #expect(reader.received([header[0]]) == .more)
    #expect(reader.received([header[1]]) == .tooLong(bytes: length))
  }
}
