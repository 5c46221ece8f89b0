// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct SendQueueTests {
  /// A queue whose buffers are numbers, beside a plain list of the bytes that it stands for.
  private struct Modelled {
    var queue = SendQueue<Int>()
    /// Each byte as its buffer and its place there.
    var bytes: [[Int]] = []
    /// For each buffer, the pieces that need a reference and still have it.
    var references: [Int: Int] = [:]

    mutating func append(_ buffer: Int, _ range: Range<Int>) {
      if !queue.append(buffer, offset: range.lowerBound, length: range.count, kind: .short) {
        references[buffer, default: 0] += 1
      }
      bytes += range.map { [buffer, $0] }
    }

    mutating func sent(_ count: Int) {
      var released: [Int] = []
      queue.sent(count) { released.append($0) }
      for buffer in released { references[buffer, default: 0] -= 1 }
      bytes.removeFirst(min(max(count, 0), bytes.count))
    }

    /// Whether both agree, with one reference for each piece that waits and none besides.
    var agrees: Bool {
      let pieces = (0..<queue.pieceCount).map { queue[$0] }
      let queued = pieces.flatMap { piece in
        (piece.offset..<piece.offset + piece.length).map { [piece.buffer, $0] }
      }
      let counts = Dictionary(grouping: pieces, by: \.buffer).mapValues(\.count)
      return queued == bytes && queue.byteCount == bytes.count && queue.isEmpty == bytes.isEmpty
        && references.filter { $0.value != 0 } == counts
    }
  }

  @Test func bytesThatContinueTheLastPieceJoinIt() {
    var queue = SendQueue<Int>()
    #expect(queue.append(1, offset: 0, length: 4, kind: .short) == false)
    #expect(queue.append(1, offset: 4, length: 6, kind: .short) == true)
    #expect(queue.pieceCount == 1)
    #expect(queue.append(1, offset: 11, length: 1, kind: .short) == false)
    #expect(queue.append(2, offset: 12, length: 1, kind: .short) == false)
    #expect(queue.pieceCount == 3)
    #expect(queue.byteCount == 12)
  }

  @Test func sentPieceIsNotContinued() {
    var queue = SendQueue<Int>()
    _ = queue.append(1, offset: 0, length: 4, kind: .short)
    queue.sent(4) { _ in }
    #expect(queue.append(1, offset: 4, length: 4, kind: .short) == false)
  }

  /// A socket that takes as much as comes in, but never ends with a piece.
  @Test func sentPiecesAreForgottenWhereverSendsEnd() {
    var queue = SendQueue<Int>()
    _ = queue.append(0, offset: 0, length: 10, kind: .short)
    queue.sent(5) { _ in }
    for buffer in 1...10_000 {
      _ = queue.append(buffer, offset: 0, length: 10, kind: .short)
      queue.sent(10) { _ in }
    }
    #expect(queue.pieceCount == 1)
    #expect(queue.heldPieceCount < 200)
  }

  @Test func shortMessagesCountByAQuarter() {
    var queue = SendQueue<Int>()
    _ = queue.append(1, offset: 0, length: 10, kind: .short)
    _ = queue.append(2, offset: 0, length: 100, kind: .long)
    // One that would continue a piece of the other kind begins one.
    #expect(queue.append(2, offset: 100, length: 5, kind: .short) == false)
    #expect((queue.byteCount, queue.weightedByteCount) == (115, 100 + 15 / 4))
    queue.sent(9) { _ in }
    #expect(queue.weightedByteCount == 100 + 6 / 4)
    queue.sent(31) { _ in }
    #expect((queue.byteCount, queue.weightedByteCount) == (75, 70 + 5 / 4))
    queue.sent(70) { _ in }
    #expect((queue.byteCount, queue.weightedByteCount) == (5, 5 / 4))
  }

  @Test func partialSendsLeaveTheRestInOrder() {
    let parts = [(1, 0..<4), (1, 4..<7), (2, 0..<5), (1, 7..<8), (3, 2..<3)]
    let total = parts.map(\.1.count).reduce(0, +)
    for first in 0...total {
      for second in 0...(total - first) {
        var modelled = Modelled()
        for (buffer, range) in parts { modelled.append(buffer, range) }
        modelled.sent(first)
        #expect(modelled.agrees)
        modelled.append(4, 0..<2)
        modelled.sent(second)
        #expect(modelled.agrees)
        modelled.sent(Int.max)
        #expect(modelled.agrees)
      }
    }
  }

  @Test(arguments: [-1, 0, Int.min]) func nothingSentReleasesNothing(count: Int) {
    var modelled = Modelled()
    modelled.append(1, 0..<3)
    modelled.sent(count)
    #expect(modelled.agrees)
  }

  @Test func randomSequencesAgreeWithAPlainList() {
    var random = Seeded(2)
    for _ in 0..<50 {
      var modelled = Modelled()
      var ends: [Int: Int] = [:]
      for step in 0..<400 {
        if Bool.random(using: &random) || step % 100 < 60 {
          let buffer = Int.random(in: 0..<5, using: &random)
          let gap = Int.random(in: 0...1, using: &random)
          let start = ends[buffer, default: 0] + gap
          let end = start + Int.random(in: 1...9, using: &random)
          ends[buffer] = end
          modelled.append(buffer, start..<end)
        } else {
          modelled.sent(.random(in: 0...max(1, modelled.bytes.count / 2), using: &random))
        }
      }
      #expect(modelled.agrees)
      modelled.sent(modelled.bytes.count)
      #expect(modelled.agrees)
    }
  }
}
