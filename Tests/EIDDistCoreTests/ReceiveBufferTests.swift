// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

extension [UInt8] {
  /// What replaceSubrange does; that takes most of the run where it is not optimised.
  fileprivate mutating func write(_ bytes: ArraySlice<UInt8>, at offset: Int) {
    withUnsafeMutableBytes { memory in
      bytes.withUnsafeBytes {
        UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyMemory(from: $0)
      }
    }
  }
}

@Suite struct ReceiveBufferTests {
  /// A receive buffer with a chunk of memory, fed as the port feeds it.
  private struct Receiver {
    var books = ReceiveBuffer()
    var chunk: [UInt8] = []
    var packets: [[UInt8]] = []
    var tooLong: Int?
    var newChunks = 0
    var largestChunk = 0

    /// Takes in all of `input`, at most `limit` bytes at a time.
    mutating func take(_ input: ArraySlice<UInt8>, atMost limit: Int = .max, soleOwner: Bool) {
      var input = input
      while !input.isEmpty, tooLong == nil {
        var newInARow = 0
        room: while true {
          switch books.room(soleOwner: soleOwner) {
          case .newChunk(let capacity, let offset, let count):
            newInARow += 1
            guard newInARow == 1 else {
              Issue.record("a new chunk of \(capacity) bytes instead of a new chunk")
              tooLong = -1
              return
            }
            if count != books.pending { Issue.record("\(count) bytes are to move") }
            var fresh = [UInt8](repeating: 0xee, count: capacity)
            fresh.write(chunk[offset..<offset + count], at: 0)
            chunk = fresh
            newChunks += 1
            largestChunk = max(largestChunk, capacity)
            books.replaced(capacity: capacity)
          case .here(let offset, let count):
            guard count > 0, offset >= 0, offset + count <= chunk.count else {
              Issue.record("a read of \(count) bytes to \(offset) of \(chunk.count)")
              tooLong = -1
              return
            }
            let part = input.prefix(min(count, limit))
            chunk.write(part, at: offset)
            books.received(part.count)
            input = input.dropFirst(part.count)
            break room
          }
        }
        parse()
      }
    }

    private mutating func parse() {
      let chunk = chunk
      while true {
        switch books.next(in: chunk.span) {
        case .packet(let offset, let length):
          packets.append(Array(chunk[offset..<offset + length]))
        case .more: return
        case .tooLong(let bytes):
          tooLong = bytes
          return
        }
      }
    }
  }

  private func expectRest(
    _ receiver: inout Receiver,
    _ isLetGo: Bool,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let rests = receiver.books.rest()
    #expect(rests == isLetGo, sourceLocation: sourceLocation)
  }

  private func header(_ length: Int) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: length >> $0) }
  }

  private func framed(_ packet: [UInt8]) -> [UInt8] { header(packet.count) + packet }

  @Test(arguments: [true, false]) func packetsComeWholeFromEveryCut(soleOwner: Bool) {
    let sent: [[UInt8]] = [[], [1], [2, 3, 4], [], [5, 6, 7, 8], [9]]
    let stream = sent.flatMap(framed)
    for first in 0...stream.count {
      for second in first...stream.count {
        var receiver = Receiver()
        for part in [stream[..<first], stream[first..<second], stream[second...]] {
          receiver.take(part, soleOwner: soleOwner)
        }
        let isWhole = receiver.packets == sent && receiver.books.pending == 0
        #expect(isWhole, "cut at \(first) and \(second)")
      }
    }
  }

  @Test(arguments: 0..<4 as Range<UInt64>) func longStreamsComeWholeFromRandomCuts(seed: UInt64) {
    var random = Seeded(seed)
    let lengths = [0, 1, 3, 4, 5, 100, 4091, 4092, 4093, 4096, 10_000, 262_140, 262_141, 300_000]
    let sent = (0..<30).map { _ in random.bytes(lengths.randomElement(using: &random)!) }
    let stream = joined(sent.map(framed))
    var receiver = Receiver()
    var at = 0
    while at < stream.count {
      let most = [3, 100, 5000, 400_000].randomElement(using: &random)!
      let end = min(at + .random(in: 1...most, using: &random), stream.count)
      receiver.take(stream[at..<end], soleOwner: .random(using: &random))
      at = end
    }
    #expect(receiver.packets.map(\.count) == sent.map(\.count))
    let isWhole = isSame(joined(receiver.packets), joined(sent))
    #expect(isWhole)
    #expect(receiver.books.pending == 0)
    #expect(receiver.largestChunk <= 300_004)
  }

  @Test func firstChunkIsSmallAndGrowsWhereReadsFillIt() {
    var receiver = Receiver()
    receiver.take(framed([1])[...], soleOwner: true)
    #expect(receiver.books.capacity == ReceiveBuffer.firstChunkBytes)
    let packet = framed([UInt8](repeating: 7, count: 1000))
    for _ in 0..<50 { receiver.take(packet[...], soleOwner: true) }
    #expect(receiver.books.capacity == ReceiveBuffer.firstChunkBytes)
    let stream = joined(Array(repeating: packet, count: 1000))
    receiver.take(stream[...], soleOwner: false)
    #expect(receiver.packets.count == 1051)
    #expect(receiver.books.capacity == ReceiveBuffer.defaultMaxChunkBytes)
    #expect(receiver.largestChunk == ReceiveBuffer.defaultMaxChunkBytes)
  }

  @Test func chunkIsUsedAgainOnlyWhereNobodyElseHoldsIt() {
    let packet = framed([UInt8](repeating: 7, count: 1020))
    var shared = Receiver()
    var alone = Receiver()
    for _ in 0..<1000 {
      shared.take(packet[...], soleOwner: false)
      alone.take(packet[...], soleOwner: true)
    }
    #expect(alone.newChunks == 1)
    // Append-only: as many chunks as the packets fill, at the sizes that they grow to.
    #expect(shared.newChunks >= 1000 * packet.count / ReceiveBuffer.defaultMaxChunkBytes)
  }

  @Test func packetThatDoesNotFitGetsAChunkOfItsOwnSize() {
    let packet = [UInt8](repeating: 5, count: 1_000_000)
    var receiver = Receiver()
    receiver.take(framed(packet)[...], atMost: 65_536, soleOwner: false)
    let isWhole = receiver.packets == [packet]
    #expect(isWhole)
    #expect(receiver.newChunks == 2)
    #expect(receiver.books.capacity == 1_000_004)
  }

  /// The VM's fragments of a long message: moved to another chunk they would cost a copy.
  @Test func chunksHoldWholeFragments() {
    let fragment = framed([UInt8](repeating: 5, count: 65_570))
    var receiver = Receiver()
    for _ in 0..<20 { receiver.take(fragment[...], soleOwner: false) }
    let before = receiver.newChunks
    var moved = 0
    let stream = joined(Array(repeating: fragment, count: 40))
    var at = 0
    while at < stream.count {
      // As much as the chunk has room for, as from a socket that is never empty.
      if case .newChunk(_, _, let count) = receiver.books.room(soleOwner: false) { moved += count }
      let end = min(at + 300_000, stream.count)
      receiver.take(stream[at..<end], soleOwner: false)
      at = end
    }
    #expect(receiver.packets.count == 60)
    #expect(receiver.newChunks - before <= 11)
    #expect(moved <= 11 * ReceiveBuffer.slackBytes)
  }

  /// The VM refers to a binary of more than a quarter of its chunk, instead of copying it.
  @Test(arguments: [16_420, 20_000, 33_000, 65_000])
  func chunksOfLongMessagesHoldThree(length: Int) {
    let packet = framed([UInt8](repeating: 6, count: length))
    var receiver = Receiver()
    for _ in 0..<40 { receiver.take(packet[...], soleOwner: false) }
    let before = receiver.newChunks
    let stream = joined(Array(repeating: packet, count: 30))
    var at = 0
    while at < stream.count {
      if case .newChunk(let capacity, _, let moved) = receiver.books.room(soleOwner: false) {
        #expect(capacity < 4 * (length - 200))
        #expect(moved <= ReceiveBuffer.slackBytes)
      }
      let end = min(at + 3 * packet.count + ReceiveBuffer.slackBytes, stream.count)
      receiver.take(stream[at..<end], soleOwner: false)
      at = end
    }
    #expect(receiver.packets.count == 70)
    #expect(receiver.newChunks - before <= 11)
  }

  /// Else the fragments that follow would get a chunk for each.
  @Test func lastFragmentOfAMessageDoesNotMakeChunksSmaller() {
    let fragment = framed([UInt8](repeating: 5, count: 65_570))
    let last = framed([UInt8](repeating: 4, count: 24_000))
    let message = joined([fragment, last])
    var receiver = Receiver()
    for _ in 0..<10 { receiver.take(message[...], soleOwner: false) }
    let before = receiver.newChunks
    receiver.take(joined(Array(repeating: message, count: 20))[...], soleOwner: false)
    #expect(receiver.packets.count == 60)
    // 1.8 MB in chunks of 262 KB.
    #expect(receiver.newChunks - before <= 9)
    // Messages of that length alone do.
    for _ in 0..<12 { receiver.take(last[...], soleOwner: false) }
    #expect(receiver.books.capacity < 4 * 24_000)
  }

  @Test func chunkIsLetGoAtRestButForASmallOne() {
    var receiver = Receiver()
    receiver.take(framed([1])[...], soleOwner: true)
    expectRest(&receiver, false)
    let stream = joined(Array(repeating: framed([UInt8](repeating: 7, count: 1000)), count: 1000))
    receiver.take(stream[...], soleOwner: false)
    receiver.take([0, 0], soleOwner: false)
    // The rest of that packet is still to come.
    expectRest(&receiver, false)
    receiver.take([0, 0], soleOwner: false)
    expectRest(&receiver, true)
    #expect(receiver.books.capacity == 0)
    receiver.chunk = []
    receiver.take(framed([2])[...], soleOwner: false)
    #expect(receiver.packets.last == [2])
  }

  @Test func chunksShrinkWithUse() {
    var receiver = Receiver()
    let stream = joined(Array(repeating: framed([UInt8](repeating: 7, count: 1000)), count: 1000))
    receiver.take(stream[...], soleOwner: false)
    for _ in 0..<10 {
      receiver.take(framed([1])[...], soleOwner: false)
      if receiver.books.rest() { receiver.chunk = [] }
    }
    #expect(receiver.books.capacity == ReceiveBuffer.firstChunkBytes)
  }

  @Test func chunkOfALargePacketIsNotKept() {
    var receiver = Receiver()
    receiver.take(framed([UInt8](repeating: 5, count: 1_000_000))[...], soleOwner: true)
    receiver.take(framed([1])[...], soleOwner: true)
    #expect(receiver.books.capacity <= ReceiveBuffer.defaultMaxChunkBytes)
  }

  /// A header that claims much must not make the node allocate much.
  @Test func claimedLengthAloneTakesNoMoreThanAStep() {
    var receiver = Receiver()
    receiver.take((header(PacketHeader.maxPacketBytes) + [1])[...], soleOwner: false)
    receiver.take([2, 3], soleOwner: false)
    #expect(receiver.largestChunk <= ReceiveBuffer.largePacketStepBytes + 2 * 5)
    #expect(receiver.packets.isEmpty)
    #expect(receiver.books.pending == 7)
  }

  @Test func packetOfManyStepsComesWhole() {
    let step = ReceiveBuffer.largePacketStepBytes
    var packet = [UInt8](repeating: 3, count: 3 * step)
    packet[step] = 1
    packet[2 * step + 100] = 2
    var receiver = Receiver()
    receiver.take(framed(packet)[...], atMost: 1 << 20, soleOwner: false)
    let isWhole = isSame(joined(receiver.packets), packet)
    #expect(isWhole)
    // Each chunk at least doubles what has come, so there are few.
    #expect(receiver.newChunks <= 4)
    #expect(receiver.largestChunk <= packet.count + 4)
  }

  @Test(arguments: [PacketHeader.maxPacketBytes + 1, 0xffff_ffff])
  func packetThatIsTooLongIsRefused(length: Int) {
    var receiver = Receiver()
    receiver.take((framed([1, 2]) + header(length))[...], soleOwner: false)
    #expect(receiver.packets == [[1, 2]])
    #expect(receiver.tooLong == length)
  }

  @Test func countsThatCannotBeAreKeptWithinTheChunk() {
    var books = ReceiveBuffer()
    books.received(5)
    #expect(books.filled == 0)
    let nothing: [UInt8] = []
    #expect(books.next(in: nothing.span) == .more)
    guard case .newChunk(let capacity, 0, 0) = books.room(soleOwner: false) else {
      Issue.record("no chunk is asked for")
      return
    }
    books.replaced(capacity: capacity)
    books.received(-1)
    #expect(books.filled == 0)
    books.received(Int.max / 2)
    #expect(books.filled == capacity)
    // A chunk that is shorter than the books say is not read past its end.
    #expect(books.next(in: [0, 0, 0].span) == .more)
  }
}
