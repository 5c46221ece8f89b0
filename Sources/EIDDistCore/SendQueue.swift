// SPDX-License-Identifier: Apache-2.0

/// What bytes in a ``SendQueue`` belong to.
public enum PieceKind: Sendable {
  /// A short message, a header, or the handshake.
  case short
  /// The long part of a message.
  case long
}

/// The order of the bytes that wait in the driver: pieces of buffers, oldest first.
///
/// `Buffer` is whatever holds the bytes: in the driver a reference-counted binary, in a
/// test a number. The queue counts and orders; its owner keeps the buffers alive, one
/// reference for each piece.
public struct SendQueue<Buffer: Equatable> {
  public struct Piece {
    public let buffer: Buffer
    public var offset: Int
    public var length: Int
    let kind: PieceKind
  }

  private var pieces: [Piece] = []
  /// The first piece that is not sent; the ones before it are done with.
  private var head = 0
  /// Bytes that wait.
  public private(set) var byteCount = 0

  /// Of these, the ones of long pieces.
  private var longByteCount = 0

  /// Bytes that wait, as the watermarks count them: short messages by a quarter. They gain by
  /// large batches, and few bytes are theirs; of long ones each more is a delay for whatever
  /// comes behind.
  public var weightedByteCount: Int { longByteCount &+ (byteCount &- longByteCount) / 4 }

  public init() {}

  public var isEmpty: Bool { byteCount == 0 }

  /// Those that wait, and those that are sent and not forgotten yet.
  var heldPieceCount: Int { pieces.count }

  /// How many pieces wait.
  public var pieceCount: Int { pieces.count &- head }

  /// Puts bytes at the end. Answers true where they continue the last piece, which then
  /// needs no reference of its own.
  ///
  /// - Parameter kind: how they count in ``weightedByteCount``.
  public mutating func append(
    _ buffer: Buffer,
    offset: Int,
    length: Int,
    kind: PieceKind
  ) -> Bool {
    byteCount &+= length
    if kind == .long { longByteCount &+= length }
    let last = pieces.count &- 1
    if last >= head, pieces[last].buffer == buffer, pieces[last].kind == kind,
      pieces[last].offset &+ pieces[last].length == offset
    {
      pieces[last].length &+= length
      return true
    }
    pieces.append(Piece(buffer: buffer, offset: offset, length: length, kind: kind))
    return false
  }

  /// The piece at `index`, 0 being the oldest.
  public subscript(index: Int) -> Piece { pieces[head &+ index] }

  /// Takes `count` sent bytes off the front; `release` gets the buffer of each piece that
  /// is wholly sent.
  public mutating func sent(_ count: Int, release: (Buffer) -> Void) {
    var left = min(max(count, 0), byteCount)
    byteCount &-= left
    while left > 0 {
      let length = pieces[head].length
      if pieces[head].kind == .long { longByteCount &-= min(left, length) }
      guard left >= length else {
        pieces[head].offset &+= left
        pieces[head].length = length &- left
        break
      }
      left &-= length
      release(pieces[head].buffer)
      head &+= 1
    }
    if pieces.count == 1, head == 1 {
      // The usual case by far.
      pieces.removeLast()
      head = 0
    } else if head == pieces.count {
      pieces.removeAll(keepingCapacity: pieces.count <= Self.keptPieces)
      head = 0
    } else if head >= Self.keptPieces, head &* 2 >= pieces.count {
      pieces.removeFirst(head)
      head = 0
    }
  }

  /// Room for pieces that is kept when the queue runs empty.
  private static var keptPieces: Int { 64 }
}
