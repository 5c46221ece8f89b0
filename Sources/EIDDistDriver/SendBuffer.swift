// SPDX-License-Identifier: Apache-2.0

import CErlDriver
import EIDDistCore

/// The driver queue with its memory: staged bytes and references to the VM's binaries.
///
/// Small pieces are copied behind one another into a staging block, so that a batch of
/// messages is one run of bytes; large ones are referred to. Every piece in the queue holds
/// one reference to its binary; the staging block has one more while it is being filled.
@safe struct SendBuffer {
  /// Pieces up to this length are copied, longer ones referred to. In bytes.
  static let maxCopiedBytes = 2 * 1024
  private static let firstBlockBytes = 1024
  private static let maxBlockBytes = 64 * 1024
  /// The most pieces that go to one sendmsg(2).
  private static let maxVectors = 64

  enum SendOutcome {
    case allSent
    /// The socket takes no more now.
    case blocked
    case failed(Errno)
  }

  private var queue = unsafe SendQueue<DriverPort.Binary>()
  private var block: DriverPort.Binary?
  private var blockCapacity = 0
  private var blockUsed = 0
  /// Bytes that the socket has taken so far.
  private(set) var sentBytes: UInt64 = 0

  /// Bytes that wait.
  var byteCount: Int { unsafe queue.byteCount }
  /// Bytes that wait, as the watermarks count them.
  var weightedByteCount: Int { unsafe queue.weightedByteCount }
  var isEmpty: Bool { unsafe queue.isEmpty }

  /// The block being filled: there is one whenever bytes wait.
  var stagingBlock: DriverPort.Binary? { unsafe block }

  /// Puts an unsigned big-endian header of `width` bytes at the end.
  ///
  /// - Returns: false without memory.
  mutating func appendHeader(_ length: Int, width: Int) -> Bool {
    var header = UInt32(truncatingIfNeeded: length) << UInt32(8 * (4 - width))
    header = header.bigEndian
    return unsafe withUnsafeBytes(of: &header) { unsafe stage($0.baseAddress!, width, .short) }
  }

  /// Copies bytes to the end.
  ///
  /// - Returns: false without memory.
  mutating func appendCopy(_ bytes: [UInt8]) -> Bool {
    unsafe bytes.withUnsafeBytes { raw in
      guard let base = raw.baseAddress else { return true }
      return unsafe stage(base, raw.count, .short)
    }
  }

  /// Puts a message at the end, behind its header: short parts by copy, long ones by
  /// reference.
  ///
  /// - Returns: false without memory.
  mutating func appendMessage(_ vector: UnsafeMutablePointer<ErlIOVec>) -> Bool {
    let size = unsafe vector.pointee.size
    if size <= Self.maxCopiedBytes, let block = unsafe block,
      size &+ PacketHeader.dataBytes <= blockCapacity &- blockUsed
    {
      // What most messages are: one run of bytes, for which there is room.
      unsafe stageWhole(vector, size, in: block)
      return true
    }
    return unsafe appendHeader(size, width: PacketHeader.dataBytes) && appendParts(of: vector)
  }

  private mutating func stageWhole(
    _ vector: UnsafeMutablePointer<ErlIOVec>,
    _ size: Int,
    in block: DriverPort.Binary
  ) {
    let start = blockUsed
    let target = unsafe DriverPort.bytes(block) + start
    unsafe target.storeBytes(of: UInt32(truncatingIfNeeded: size).bigEndian, as: UInt32.self)
    var offset = PacketHeader.dataBytes
    let end = size &+ PacketHeader.dataBytes
    let count = unsafe Int(vector.pointee.vsize)
    for index in 0..<count {
      let part = unsafe vector.pointee.iov[index]
      guard let base = unsafe part.iov_base else { continue }
      // The parts make up `size`, the VM says; the room checked above holds in any case.
      let length = unsafe min(part.iov_len, end &- offset)
      unsafe (target + offset).copyMemory(from: base, byteCount: length)
      offset &+= length
    }
    blockUsed = start &+ end
    if unsafe !queue.append(block, offset: start, length: end, kind: .short) {
      unsafe DriverPort.retain(block)
    }
  }

  private mutating func appendParts(of vector: UnsafeMutablePointer<ErlIOVec>) -> Bool {
    let count = unsafe Int(vector.pointee.vsize)
    for index in 0..<count {
      let part = unsafe vector.pointee.iov[index]
      guard let base = unsafe part.iov_base, unsafe part.iov_len > 0 else { continue }
      let length = unsafe part.iov_len
      let kind: PieceKind = length > Self.maxCopiedBytes ? .long : .short
      if kind == .long, let binary = unsafe vector.pointee.binv[index] {
        let offset = unsafe UnsafeRawPointer(base) - UnsafeRawPointer(DriverPort.bytes(binary))
        if unsafe !queue.append(binary, offset: offset, length: length, kind: kind) {
          // This reference keeps the VM's binary alive until it is sent.
          unsafe DriverPort.retain(binary)
        }
      } else if unsafe !stage(base, length, kind) {
        return false
      }
    }
    return true
  }

  /// Sends an empty packet, where nothing waits: an idle node takes no staging block for it.
  ///
  /// - Returns: false when some of it did not go out, for whatever reason: that waits now.
  mutating func sendTick(to descriptor: Int32) -> Bool {
    let header: UInt32 = 0
    let transfer = unsafe withUnsafeBytes(of: header) { unsafe SocketCalls.send(descriptor, $0) }
    var left = PacketHeader.dataBytes
    if case .processed(let sent) = transfer {
      sentBytes &+= UInt64(sent)
      left &-= sent
    }
    if left == 0 { return true }
    if !appendHeader(0, width: left), left < PacketHeader.dataBytes {
      // There is no memory for what is left of it, and nothing else may come in its place.
      SocketCalls.endOutput(descriptor)
    }
    return false
  }

  /// Sends until nothing is left or the socket takes no more.
  mutating func send(to descriptor: Int32) -> SendOutcome {
    while unsafe !queue.isEmpty {
      let (transfer, offered) = offer(to: descriptor)
      switch transfer {
      case .processed(let sent):
        unsafe queue.sent(sent) { unsafe DriverPort.release($0) }
        sentBytes &+= UInt64(sent)
        // A short count means a full socket: asking again would only say so.
        if sent < offered { return .blocked }
      case .wouldBlock:
        return .blocked
      case .failed(let error):
        return .failed(error)
      }
    }
    // All pieces are gone, so the block is the queue's alone and starts anew.
    blockUsed = 0
    return .allSent
  }

  /// One system call with the oldest pieces: what came of it, and how many bytes it had.
  private func offer(to descriptor: Int32) -> (SocketCalls.Transfer, offered: Int) {
    let count = unsafe min(queue.pieceCount, Self.maxVectors)
    if count == 1 {
      // A batch of small messages is one piece, for which send(2) has less to do.
      let piece = unsafe queue[0]
      let bytes = unsafe UnsafeRawBufferPointer(
        start: DriverPort.bytes(piece.buffer) + piece.offset,
        count: piece.length
      )
      return unsafe (SocketCalls.send(descriptor, bytes), piece.length)
    }
    var offered = 0
    let transfer = unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: count) {
      vectors in
      for index in 0..<count {
        let piece = unsafe queue[index]
        offered &+= unsafe piece.length
        unsafe vectors.initializeElement(
          at: index,
          to: iovec(
            iov_base: DriverPort.bytes(piece.buffer) + piece.offset,
            iov_len: piece.length
          )
        )
      }
      return unsafe SocketCalls.send(descriptor, vectors)
    }
    return (transfer, offered)
  }

  /// Lets go of the block, where nothing waits.
  mutating func rest() {
    guard unsafe queue.isEmpty else { return }
    drop()
  }

  /// Lets go of all memory.
  mutating func drop() {
    unsafe queue.sent(queue.byteCount) { unsafe DriverPort.release($0) }
    if let block = unsafe block { unsafe DriverPort.release(block) }
    unsafe block = nil
    blockCapacity = 0
    blockUsed = 0
  }

  private mutating func stage(
    _ bytes: UnsafeRawPointer,
    _ count: Int,
    _ kind: PieceKind
  ) -> Bool {
    var source = unsafe bytes
    var left = count
    while left > 0 {
      if blockUsed == blockCapacity, !newBlock() { return false }
      guard let block = unsafe block else { return false }
      let room = min(left, blockCapacity &- blockUsed)
      // The block has `room` bytes behind `blockUsed`, and the caller vouches for `left`.
      unsafe (DriverPort.bytes(block) + blockUsed).copyMemory(from: source, byteCount: room)
      if unsafe !queue.append(block, offset: blockUsed, length: room, kind: kind) {
        unsafe DriverPort.retain(block)
      }
      blockUsed &+= room
      unsafe source += room
      left &-= room
    }
    return true
  }

  private mutating func newBlock() -> Bool {
    let capacity = min(max(blockCapacity &* 4, Self.firstBlockBytes), Self.maxBlockBytes)
    guard let fresh = unsafe DriverPort.allocate(capacity) else { return false }
    if let block = unsafe block { unsafe DriverPort.release(block) }
    unsafe block = fresh
    blockCapacity = capacity
    blockUsed = 0
    return true
  }
}
