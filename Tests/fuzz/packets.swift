// SPDX-License-Identifier: Apache-2.0

/// What a peer sends in data mode, read in any pieces, with the chunk held by the VM or not:
/// the packets are those of the stream, whole and in order.
func run(_ input: [UInt8]) {
  var decisions = Decisions(input)
  let stream = unfolded(decisions.bytes(18))
  let expected = packets(of: stream)
  var books = ReceiveBuffer()
  books.maxChunkBytes = max(ReceiveBuffer.firstChunkBytes, decisions.uint16() * 4)
  var chunk: [UInt8] = []
  var at = 0
  var delivered = 0
  while at < stream.count {
    var newChunks = 0
    room: while true {
      switch books.room(soleOwner: decisions.below(3) > 0) {
      case .newChunk(let capacity, let offset, let count):
        newChunks += 1
        check(newChunks == 1, "a new chunk instead of a new chunk")
        check(capacity > count && count == books.pending, "\(count) bytes to \(capacity)")
        check(capacity <= 2 * ReceiveBuffer.largePacketStepBytes, "\(capacity) bytes at once")
        let kept = Array(chunk[offset..<offset + count])
        chunk = kept + [UInt8](repeating: 0xEE, count: capacity - count)
        books.replaced(capacity: capacity)
      case .here(let offset, let count):
        check(count > 0 && offset + count <= chunk.count, "\(count) bytes at \(offset)")
        let wanted = decisions.isAtEnd ? count : 1 + decisions.uint16()
        let read = min(wanted, count, stream.count - at)
        chunk.replaceSubrange(offset..<offset + read, with: stream[at..<at + read])
        at += read
        books.received(read)
        break room
      }
    }
    parsing: while true {
      switch books.next(in: chunk.span) {
      case .packet(let offset, let length):
        check(delivered < expected.count, "a packet more")
        check(
          same(chunk[offset..<offset + length], stream[expected[delivered]]),
          "other bytes"
        )
        delivered += 1
      case .tooLong(let bytes):
        check(bytes > PacketHeader.maxPacketBytes, "\(bytes) are not too long")
        check(delivered == expected.count, "\(delivered) of \(expected.count) packets")
        return
      case .more:
        break parsing
      }
    }
    if decisions.below(4) == 0, books.rest(idle: decisions.below(2) == 0) { chunk = [] }
  }
  check(delivered == expected.count, "\(delivered) of \(expected.count) packets")
}

/// Many bytes of few: each three are a length and how to go on, so that packets longer than a
/// chunk come up in a short input.
private func unfolded(_ input: [UInt8]) -> [UInt8] {
  var stream: [UInt8] = []
  var index = 0
  while index + 2 < input.count {
    let length = Int(input[index]) << 8 | Int(input[index + 1])
    let kind = input[index + 2]
    index += 3
    switch kind {
    case 0: return stream + [0xFF, 0xFF, UInt8(length >> 8), UInt8(length & 0xFF)]
    case 1: return stream + [0, 0, UInt8(length >> 8)]
    case 2: stream += [0, 1, UInt8(length >> 8), UInt8(length & 0xFF)] + filler(65536 + length)
    case 3..<16: stream += [0, 0, UInt8(length >> 8), UInt8(length & 0xFF)] + filler(length)
    default:
      let short = Int(kind) << 4 | length & 0xF
      stream += [0, 0, UInt8(short >> 8), UInt8(short & 0xFF)] + filler(short)
    }
  }
  return stream
}

private func filler(_ count: Int) -> [UInt8] {
  [UInt8](repeating: UInt8(truncatingIfNeeded: count), count: count)
}

/// Where the packets of a stream are, up to the first that is not whole or too long.
private func packets(of stream: [UInt8]) -> [Range<Int>] {
  var found: [Range<Int>] = []
  var at = 0
  while at + 4 <= stream.count {
    let length = stream[at..<at + 4].reduce(0) { $0 << 8 | Int($1) }
    guard length <= PacketHeader.maxPacketBytes, at + 4 + length <= stream.count else { break }
    found.append(at + 4..<at + 4 + length)
    at += 4 + length
  }
  return found
}
