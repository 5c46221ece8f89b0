// SPDX-License-Identifier: Apache-2.0

import CErlDriver
import EIDDistCore

/// The receive chunk with its memory: what ``ReceiveBuffer`` keeps the books of.
@safe struct ReceiveChunk {
  enum FillOutcome {
    /// So many bytes came, and whether that was all there was room for.
    case received(bytes: Int, filledRoom: Bool)
    /// One tick came, and there is no chunk for it.
    case tick
    case wouldBlock
    case ended(ConnectionEnd)
  }

  private var books = ReceiveBuffer()

  /// ``Tuning/receiveChunk``.
  var maxChunkBytes: Int {
    get { books.maxChunkBytes }
    set { books.maxChunkBytes = newValue }
  }
  private var binary: DriverPort.Binary?

  /// Reads once.
  mutating func fill(from descriptor: Int32) -> FillOutcome {
    while true {
      let isSoleOwner = unsafe binary.map { unsafe !DriverPort.isShared($0) } ?? false
      switch books.room(soleOwner: isSoleOwner) {
      case .newChunk(ReceiveBuffer.firstChunkBytes, _, 0) where unsafe binary == nil:
        return fillFirst(from: descriptor)
      case .newChunk(let capacity, let offset, let count):
        guard let fresh = unsafe DriverPort.allocate(capacity) else { return .ended(.noMemory) }
        if let old = unsafe binary {
          unsafe DriverPort.bytes(fresh).copyMemory(
            from: DriverPort.bytes(old) + offset,
            byteCount: count
          )
          // The VM keeps the old chunk for as long as messages in it are not decoded.
          unsafe DriverPort.release(old)
        }
        unsafe binary = fresh
        books.replaced(capacity: capacity)
      case .here(let offset, let count):
        guard let binary = unsafe binary else { return .ended(.noMemory) }
        let outcome = unsafe Self.read(
          from: descriptor,
          to: DriverPort.bytes(binary) + offset,
          count: count
        )
        if case .received(let bytes, _) = outcome { books.received(bytes) }
        return outcome
      }
    }
  }

  /// Reads to the stack: what comes after a rest is a tick, more often than not, and a chunk
  /// for each would cost an idle node more than the reading.
  private mutating func fillFirst(from descriptor: Int32) -> FillOutcome {
    let capacity = ReceiveBuffer.firstChunkBytes
    return unsafe withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 1) { raw in
      let start = raw.baseAddress!
      let outcome = unsafe Self.read(from: descriptor, to: start, count: capacity)
      guard case .received(let bytes, _) = outcome else { return outcome }
      if bytes == PacketHeader.dataBytes, unsafe start.loadUnaligned(as: UInt32.self) == 0 {
        return .tick
      }
      guard let fresh = unsafe DriverPort.allocate(capacity) else { return .ended(.noMemory) }
      unsafe DriverPort.bytes(fresh).copyMemory(from: start, byteCount: bytes)
      unsafe binary = fresh
      books.replaced(capacity: capacity)
      books.received(bytes)
      return outcome
    }
  }

  private static func read(
    from descriptor: Int32,
    to bytes: UnsafeMutableRawPointer,
    count: Int
  ) -> FillOutcome {
    switch unsafe SocketCalls.receive(descriptor, into: bytes, count: count) {
    case .processed(0): .ended(.closed)
    case .processed(let received): .received(bytes: received, filledRoom: received == count)
    case .wouldBlock: .wouldBlock
    case .failed(let error): .ended(.failed(error.number))
    }
  }

  /// The next whole packet, and the binary that it lies in.
  mutating func next() -> (ReceiveBuffer.Next, DriverPort.Binary)? {
    guard let binary = unsafe binary else { return nil }
    let span = unsafe Span<UInt8>(
      _unsafeElements: UnsafeBufferPointer(
        start: UnsafePointer(
          DriverPort.bytes(binary).assumingMemoryBound(to: UInt8.self)
        ),
        count: books.filled
      )
    )
    return unsafe (books.next(in: span), binary)
  }

  /// Lets go of a chunk that is not needed now, see ``ReceiveBuffer/rest(idle:)``.
  mutating func rest(idle: Bool = false) {
    guard books.rest(idle: idle), let old = unsafe binary else { return }
    unsafe DriverPort.release(old)
    unsafe binary = nil
  }

  /// Lets go of the chunk.
  mutating func drop() {
    if let binary = unsafe binary { unsafe DriverPort.release(binary) }
    unsafe binary = nil
    books = ReceiveBuffer()
  }
}
