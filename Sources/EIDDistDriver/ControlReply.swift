// SPDX-License-Identifier: Apache-2.0

import CErlDriver
import EIDDistCore

/// The answer to a control command, and the payload of an answer that comes later.
///
/// `<<0, Payload/binary>>`, or `<<1, Reason/binary>>` with the name of an atom.
enum ControlReply {
  case ok([UInt8])
  case error(String)
  /// The command does not fit this port: `port_control/3` raises `badarg`.
  case badArgument

  static var ok: ControlReply { .ok([]) }

  static func error(_ errno: Errno) -> ControlReply { .error(errno.name) }

  static func error(_ end: ConnectionEnd) -> ControlReply {
    switch end {
    case .closed: .error("closed")
    case .failed(let errno): .error(Errno(errno).name)
    case .packetTooLong: .error("handshake_packet_too_long")
    case .noMemory: .error("enomem")
    }
  }

  var bytes: [UInt8] {
    let (tag, payload) = parts
    return [tag] + payload
  }

  private var parts: (tag: UInt8, payload: [UInt8]) {
    switch self {
    case .ok(let payload): (0, payload)
    case .error(let reason): (1, Array(reason.utf8))
    case .badArgument: (1, Array("badarg".utf8))
    }
  }

  /// Gives the answer to the VM.
  ///
  /// - Parameters:
  ///   - reply: in: the VM's buffer of `capacity` bytes; out: that, or a new binary.
  /// - Returns: how many bytes the answer has, or -1 for `badarg`.
  func write(
    to reply: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>,
    capacity: Int
  ) -> Int {
    if case .badArgument = self { return -1 }
    let (tag, payload) = parts
    let count = payload.count &+ 1
    let target: UnsafeMutableRawPointer
    if count <= capacity, let buffer = unsafe reply.pointee {
      unsafe target = UnsafeMutableRawPointer(buffer)
    } else {
      guard let binary = unsafe DriverPort.allocate(count) else { return -1 }
      unsafe reply.pointee = UnsafeMutableRawPointer(binary).assumingMemoryBound(to: CChar.self)
      unsafe target = DriverPort.bytes(binary)
    }
    unsafe target.storeBytes(of: tag, as: UInt8.self)
    unsafe payload.withUnsafeBytes { source in
      guard let start = source.baseAddress else { return }
      unsafe (target + 1).copyMemory(from: start, byteCount: source.count)
    }
    return count
  }
}
