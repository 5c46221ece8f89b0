// SPDX-License-Identifier: Apache-2.0

/// The bookkeeping of one receive chunk: where to read to, which packets are complete.
///
/// A chunk is append-only while packets are out: the VM keeps references into it until the
/// messages are decoded. Its size follows use, so that an idle connection holds little: see
/// ``rest()``. A packet that does not fit gets a chunk of its own size.
public struct ReceiveBuffer: Equatable, Sendable {
  /// Bytes of a connection's first chunk, and of what one keeps that is little used.
  public static let firstChunkBytes = 2 * 1024
  /// Bytes of a chunk at full use, before it is rounded up to whole large packets.
  public static let defaultMaxChunkBytes = 256 * 1024
  /// Chunks are made for whole packets of this length and more, which are expected to go on.
  static let longPacketBytes = 16 * 1024
  /// Packets from this length on are fragments of a longer message, which the VM copies to
  /// one place before it decodes it (`ERTS_DIST_FRAGMENT_SIZE`).
  static let fragmentBytes = 64 * 1024
  /// Long packets in a chunk, but for fragments. A binary that is more than a quarter of its
  /// chunk is not copied when the VM decodes it: it is a reference into the chunk
  /// (`dec_term` in external.c).
  static let longPacketsPerChunk = 3
  /// Room beside whole long packets for small ones that come between them.
  static let slackBytes = 4 * 1024
  /// A packet's length is a claim until its bytes arrive: a large packet's chunk grows by
  /// at most this much beyond twice what has come.
  public static let largePacketStepBytes = 16 * 1024 * 1024

  public enum Next: Equatable, Sendable {
    /// A whole packet at `offset`; a tick where `length` is 0.
    case packet(offset: Int, length: Int)
    /// No whole packet is left.
    case more
    /// The header names more than ``PacketHeader/maxPacketBytes``.
    case tooLong(bytes: Int)
  }

  public enum Room: Equatable, Sendable {
    /// Read up to `count` bytes to `offset` of the present chunk.
    case here(offset: Int, count: Int)
    /// Take a new chunk of `capacity` bytes, move `count` bytes from `offset` to its start,
    /// tell it by ``replaced(capacity:)``, and ask again.
    case newChunk(capacity: Int, offset: Int, count: Int)
  }

  public private(set) var capacity = 0
  /// Bytes of the chunk that hold data.
  public private(set) var filled = 0
  /// Bytes of the chunk that are delivered.
  public private(set) var parsed = 0
  /// The whole length, with header, of the packet at `parsed`; 0 while it is unknown.
  private var awaited = 0
  /// What the next chunk should have, but for ``longPacket``.
  private var nextCapacity = firstChunkBytes
  /// The whole length of the last long packet that came.
  private var lastLongPacket = 0
  /// The whole length of the long packets that are expected; 0 for none.
  private var longPacket = 0
  /// ``Tuning/receiveChunk``, at least ``firstChunkBytes``.
  public var maxChunkBytes = defaultMaxChunkBytes

  public init() {}

  /// Bytes that came but make no whole packet yet.
  public var pending: Int { filled &- parsed }

  /// Notes `count` bytes that were read to where ``room(soleOwner:)`` said.
  public mutating func received(_ count: Int) {
    filled = min(filled &+ max(count, 0), capacity)
    if filled == capacity { nextCapacity = min(nextCapacity &* 4, maxChunkBytes) }
  }

  /// The next packet of the chunk whose bytes are `chunk`.
  public mutating func next(in chunk: Span<UInt8>) -> Next {
    let available = min(filled, chunk.count) &- parsed
    guard available >= PacketHeader.dataBytes else {
      awaited = 0
      return .more
    }
    let length =
      Int(chunk[parsed]) << 24 | Int(chunk[parsed &+ 1]) << 16
      | Int(chunk[parsed &+ 2]) << 8 | Int(chunk[parsed &+ 3])
    guard length <= PacketHeader.maxPacketBytes else { return .tooLong(bytes: length) }
    let whole = length &+ PacketHeader.dataBytes
    guard whole <= available else {
      awaited = whole
      return .more
    }
    if whole >= Self.longPacketBytes {
      // One alone after a fragment is the end of a message, and fragments follow again.
      if whole >= Self.fragmentBytes || lastLongPacket < Self.fragmentBytes { longPacket = whole }
      lastLongPacket = whole
    }
    let offset = parsed &+ PacketHeader.dataBytes
    parsed &+= whole
    return .packet(offset: offset, length: length)
  }

  /// Where the next bytes go.
  ///
  /// - Parameter soleOwner: whether nobody but the driver holds the chunk, so that what was
  ///   delivered may be overwritten.
  public mutating func room(soleOwner: Bool) -> Room {
    var wanted = wantedCapacity
    // A chunk above the usual size was one large packet's: it is not kept for the next ones.
    if pending == 0, soleOwner, capacity >= wanted, capacity <= 2 &* maxChunkBytes {
      filled = 0
      parsed = 0
    }
    let left = capacity &- filled
    // It may hold but the first steps of that packet, which fill it before the next step.
    let isStep = parsed == 0 && awaited > capacity && capacity >= Self.largePacketStepBytes
    // With nothing awaited, a sliver at the end of a chunk is not worth a system call.
    let isRoom =
      awaited > 0 ? isStep || parsed &+ awaited <= capacity : left > capacity / 8
    if isRoom, left > 0 { return .here(offset: filled, count: left) }
    if awaited > wanted {
      // A chunk of the packet's own size, but no more than the bytes so far vouch for.
      wanted = min(awaited, pending &* 2 &+ Self.largePacketStepBytes)
    }
    return .newChunk(capacity: max(wanted, pending &+ 1), offset: parsed, count: pending)
  }

  /// The bytes of the next chunk, but for a packet that does not fit.
  private var wantedCapacity: Int {
    guard longPacket > 0, longPacket <= maxChunkBytes / 2 else { return nextCapacity }
    if longPacket < Self.fragmentBytes {
      return min(nextCapacity, longPacket &* Self.longPacketsPerChunk &+ Self.slackBytes)
    }
    guard nextCapacity == maxChunkBytes else { return nextCapacity }
    // Whole ones: the half of one at the end would have to be moved to the next chunk.
    return (nextCapacity &+ longPacket &- 1) / longPacket &* longPacket &+ Self.slackBytes
  }

  /// Nothing more comes for now: whether the chunk is to be let go, which the books then have
  /// done. Undecoded messages keep it as long as they must.
  ///
  /// - Parameter idle: nothing has come for long either; a chunk of the first size goes, too.
  public mutating func rest(idle: Bool = false) -> Bool {
    guard pending == 0, capacity > (idle ? 0 : Self.firstChunkBytes) else { return false }
    if filled < capacity / 8 { nextCapacity = max(nextCapacity / 4, Self.firstChunkBytes) }
    replaced(capacity: 0)
    return true
  }

  /// Notes that the chunk was replaced as ``Room/newChunk(capacity:offset:count:)`` said.
  public mutating func replaced(capacity: Int) {
    filled = pending
    parsed = 0
    self.capacity = capacity
  }
}
