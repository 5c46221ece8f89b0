// SPDX-License-Identifier: Apache-2.0

/// The driver queue: all bytes, once, in order; each reference let go once; a busy port that
/// becomes ready; a batch that does not wait for ever.
func run(_ input: [UInt8]) {
  var decisions = Decisions(input)
  var queue = SendQueue<Int>()
  var busy = BusyControl()
  var hold = BatchHold()
  var tuning = Tuning()
  var isBusy = false
  /// What waits.
  var waiting: [Run] = []
  var references: [Int: Int] = [:]
  var ends: [Int: Int] = [:]
  var sent: UInt64 = 0
  var received: UInt64 = 0
  var now: Int64 = 0
  var rounds = 0
  tuning.set(.highWatermark, to: 40)
  tuning.set(.lowWatermark, to: 20)

  while !decisions.isAtEnd {
    switch decisions.below(5) {
    case 0, 1:
      let buffer = decisions.below(4)
      // Often right behind what the buffer had last, as in a staging block.
      let offset = decisions.below(2) == 0 ? ends[buffer, default: 0] : decisions.below(100)
      let length = 1 + decisions.below(30)
      let kind: PieceKind = decisions.below(2) == 0 ? .short : .long
      ends[buffer] = offset + length
      if !queue.append(buffer, offset: offset, length: length, kind: kind) {
        references[buffer, default: 0] += 1
      }
      waiting.append(Run(buffer: buffer, offset: offset, length: length, kind: kind))
      sent += 1
    case 2:
      let count = decisions.below(80)
      queue.sent(count) { buffer in
        references[buffer, default: 0] -= 1
        check(references[buffer]! >= 0, "buffer \(buffer) let go twice")
      }
      drop(count, from: &waiting)
      hold.batchEnded(sent: sent, received: received)
      rounds = 0
    case 3:
      received += UInt64(decisions.below(5))
      _ = hold.isLoneAnswer(sent: sent, received: received)
    default:
      now += Int64(decisions.below(200))
      if hold.waits(sent: sent, received: received, bytes: queue.byteCount, now: now) {
        rounds += 1
        let most = BatchHold.roundsWithoutMore * Int(BatchHold.fullMessages)
        check(rounds < most, "waits for \(rounds) rounds")
        check(!waiting.isEmpty, "waits with nothing to send")
      }
    }
    let bytes = waiting.reduce(0) { $0 + $1.length }
    check(queue.byteCount == bytes, "\(queue.byteCount) of \(bytes) bytes")
    let long = waiting.reduce(0) { $0 + ($1.kind == .long ? $1.length : 0) }
    let weighted = long + (bytes - long) / 4
    check(queue.weightedByteCount == weighted, "\(queue.weightedByteCount) of \(weighted)")
    check(queue.isEmpty == waiting.isEmpty, "empty or not")
    let pieces = (0..<queue.pieceCount).map { index in
      let piece = queue[index]
      check(references[piece.buffer, default: 0] > 0, "buffer \(piece.buffer) is gone")
      return Run(
        buffer: piece.buffer,
        offset: piece.offset,
        length: piece.length,
        kind: piece.kind
      )
    }
    check(joined(pieces) == joined(waiting), "\(pieces) in place of \(waiting)")
    switch busy.queued(weighted, tuning) {
    case .becomeBusy:
      check(!isBusy && weighted >= tuning.highWatermark, "busy at \(weighted)")
      isBusy = true
    case .becomeReady:
      check(isBusy && weighted <= tuning.lowWatermark, "ready at \(weighted)")
      isBusy = false
    case .none:
      check(!(isBusy && queue.isEmpty), "busy with nothing to send")
    }
  }
}

/// Bytes of a buffer that follow each other.
private struct Run: Equatable {
  var buffer: Int
  var offset: Int
  var length: Int
  var kind: PieceKind
}

private func drop(_ count: Int, from runs: inout [Run]) {
  var left = count
  while left > 0, let first = runs.first {
    let dropped = min(left, first.length)
    left -= dropped
    if dropped == first.length {
      runs.removeFirst()
    } else {
      runs[0].offset += dropped
      runs[0].length -= dropped
    }
  }
}

/// The same bytes, with the least number of runs.
private func joined(_ runs: [Run]) -> [Run] {
  var joined: [Run] = []
  for run in runs {
    if let last = joined.last, last.buffer == run.buffer, last.kind == run.kind,
      last.offset + last.length == run.offset
    {
      joined[joined.count - 1].length += run.length
    } else {
      joined.append(run)
    }
  }
  return joined
}
