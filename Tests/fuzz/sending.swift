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
  /// Buffer and offset of each byte that waits.
  var waiting: [(buffer: Int, offset: Int)] = []
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
      ends[buffer] = offset + length
      if !queue.append(buffer, offset: offset, length: length) {
        references[buffer, default: 0] += 1
      }
      waiting += (offset..<offset + length).map { (buffer, $0) }
      sent += 1
    case 2:
      let count = decisions.below(80)
      queue.sent(count) { buffer in
        references[buffer, default: 0] -= 1
        check(references[buffer]! >= 0, "buffer \(buffer) let go twice")
      }
      waiting.removeFirst(min(count, waiting.count))
      hold.batchEnded(sent: sent, received: received)
      rounds = 0
    case 3:
      received += UInt64(decisions.below(5))
      _ = hold.isLoneAnswer(sent: sent, received: received)
    default:
      now += Int64(decisions.below(200))
      if hold.waits(sent: sent, received: received, bytes: queue.byteCount, now: now) {
        rounds += 1
        check(rounds <= BatchHold.maxRounds, "waits for \(rounds) rounds")
        check(!waiting.isEmpty, "waits with nothing to send")
      }
    }
    check(queue.byteCount == waiting.count, "\(queue.byteCount) of \(waiting.count) bytes")
    check(queue.isEmpty == waiting.isEmpty, "empty or not")
    var at = 0
    for index in 0..<queue.pieceCount {
      let piece = queue[index]
      for offset in piece.offset..<piece.offset + piece.length {
        check(at < waiting.count && waiting[at] == (piece.buffer, offset), "another byte at \(at)")
        at += 1
      }
      check(references[piece.buffer, default: 0] > 0, "buffer \(piece.buffer) is gone")
    }
    check(at == waiting.count, "\(at) bytes in pieces, of \(waiting.count)")
    switch busy.queued(queue.byteCount, tuning) {
    case .becomeBusy:
      check(!isBusy && queue.byteCount >= tuning.highWatermark, "busy at \(queue.byteCount)")
      isBusy = true
    case .becomeReady:
      check(isBusy && queue.byteCount <= tuning.lowWatermark, "ready at \(queue.byteCount)")
      isBusy = false
    case .none:
      check(!(isBusy && queue.isEmpty), "busy with nothing to send")
    }
  }
}
