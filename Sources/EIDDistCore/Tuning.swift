// SPDX-License-Identifier: Apache-2.0

/// The sizes that decide between throughput, latency and memory of one connection, in bytes.
///
/// Why these defaults: bench/README.md.
public struct Tuning: Equatable, Sendable {
  /// How each is named in a control command; the first two are inet's.
  public enum Option: UInt8, CaseIterable, Sendable {
    case highWatermark = 35
    case lowWatermark = 36
    case stagingLimit = 38
    case unsentLimit = 39
    case nearReceiveBuffer = 40
    case receiveChunk = 41
  }

  /// In the driver queue: there the port becomes busy, and its senders wait. Bytes of short
  /// messages (of 2 KB at most) count by a quarter, here and for the low one.
  public private(set) var highWatermark = 128 * 1024
  /// In the driver queue: there a busy port is ready again. Below the high one.
  public private(set) var lowWatermark = 64 * 1024
  /// In the driver queue: there a batch goes out without waiting for its end.
  public private(set) var stagingLimit = 256 * 1024
  /// What the kernel takes beyond what it may send at once; 0 for no such limit. It is what a
  /// small message has to wait for behind large ones.
  public private(set) var unsentLimit = 256 * 1024
  /// The kernel's receive buffer while the peer is near; 0 leaves it to the kernel. See
  /// ``ReceiveWindow``.
  public private(set) var nearReceiveBuffer = 384 * 1024
  /// The driver's receive chunk at full use.
  public private(set) var receiveChunk = ReceiveBuffer.defaultMaxChunkBytes

  /// The most that any of them may be.
  public static let maxBytes = 1 << 30

  public init() {}

  public subscript(option: Option) -> Int {
    switch option {
    case .highWatermark: highWatermark
    case .lowWatermark: lowWatermark
    case .stagingLimit: stagingLimit
    case .unsentLimit: unsentLimit
    case .nearReceiveBuffer: nearReceiveBuffer
    case .receiveChunk: receiveChunk
    }
  }

  /// Sets one, within what makes sense.
  ///
  /// A busy port that never becomes ready again suspends its senders for ever, so the low
  /// watermark stays below the high one.
  public mutating func set(_ option: Option, to bytes: Int) {
    let bytes = min(max(bytes, 0), Self.maxBytes)
    switch option {
    case .highWatermark:
      highWatermark = max(bytes, 1)
      lowWatermark = min(lowWatermark, highWatermark &- 1)
    case .lowWatermark: lowWatermark = min(bytes, highWatermark &- 1)
    case .stagingLimit: stagingLimit = bytes
    case .unsentLimit: unsentLimit = bytes
    case .nearReceiveBuffer: nearReceiveBuffer = bytes
    case .receiveChunk: receiveChunk = max(bytes, ReceiveBuffer.firstChunkBytes)
    }
  }
}
