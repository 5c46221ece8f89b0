// SPDX-License-Identifier: Apache-2.0

import CErlDriver
import EIDDistCore
import Glibc

/// A TCP socket, non-blocking and close-on-exec from birth: the only code that calls libc.
///
/// Whoever holds the value closes it. ``intoDescriptor()`` gives the duty away, to the VM:
/// once it has been told of the descriptor, only `stop_select` may close it.
struct Socket: ~Copyable {
  let descriptor: Int32

  private init(descriptor: Int32) {
    self.descriptor = descriptor
  }

  /// socket(2) for TCP in the family of `address`.
  init(for address: IPAddress) throws(Errno) {
    let family = address.isV6 ? AF_INET6 : AF_INET
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    descriptor = try valueOrErrno { socket(family, type, 0) }
  }

  deinit { Socket.close(descriptor) }

  /// Gives up the descriptor without closing it.
  consuming func intoDescriptor() -> Int32 {
    let descriptor = self.descriptor
    discard self
    return descriptor
  }

  /// close(2). Linux frees the descriptor even when it is interrupted: never again.
  ///
  /// With a time to linger it would wait here for what the peer has not taken yet, and a
  /// scheduler with it, non-blocking or not. The driver has waited already; the kernel goes
  /// on by itself. (A time of zero is a reset, which does not wait.)
  static func close(_ descriptor: Int32) {
    var value = linger()
    var length = socklen_t(MemoryLayout<linger>.size)
    if unsafe getsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, &length) == 0,
      value.l_onoff != 0, value.l_linger > 0
    {
      value = linger(l_onoff: 0, l_linger: 0)
      _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, length)
    }
    _ = Glibc.close(descriptor)
  }

  // MARK: Setting up

  /// bind(2).
  func bind(to endpoint: Endpoint) throws(Errno) {
    _ = unsafe try withSocketAddress(endpoint) { address, length in
      Result { () throws(Errno) in
        try valueOrErrno { unsafe Glibc.bind(descriptor, address, length) }
      }
    }.get()
  }

  /// listen(2).
  func listen(backlog: Int32) throws(Errno) {
    _ = try valueOrErrno { Glibc.listen(descriptor, backlog) }
  }

  /// connect(2). Answers false when the connection is still being made.
  func connect(to endpoint: Endpoint) throws(Errno) -> Bool {
    do throws(Errno) {
      _ = unsafe try withSocketAddress(endpoint) { address, length in
        Result { () throws(Errno) in
          try valueOrErrno { unsafe Glibc.connect(descriptor, address, length) }
        }
      }.get()
      return true
    } catch  where error == Errno(EINPROGRESS) {
      return false
    }
  }

  /// Sets options in their order.
  func set(_ options: [SocketOption]) throws(Errno) {
    for option in options {
      if case .localAddress(let endpoint) = option {
        try bind(to: endpoint)
      } else {
        try SocketCalls.set(option, on: descriptor)
      }
    }
  }
}

/// The calls on a descriptor that the VM already knows, and so closes.
enum SocketCalls {
  enum Transfer {
    case processed(Int)
    case wouldBlock
    case failed(Errno)
  }

  /// accept4(2).
  ///
  /// - Returns: nil where no connection waits.
  static func accept(_ listener: Int32) throws(Errno) -> Int32? {
    do throws(Errno) {
      return try valueOrErrno { eid_accept4(listener, nil, nil) }
    } catch  where error.isWouldBlock {
      return nil
    }
  }

  /// recv(2) of up to `count` bytes; 0 at the peer's end.
  static func receive(
    _ descriptor: Int32,
    into bytes: UnsafeMutableRawPointer,
    count: Int
  ) -> Transfer {
    transfer { unsafe recv(descriptor, bytes, count, 0) }
  }

  /// sendmsg(2) without SIGPIPE.
  static func send(_ descriptor: Int32, _ vectors: UnsafeMutableBufferPointer<iovec>) -> Transfer {
    var message = unsafe msghdr()
    unsafe message.msg_iov = vectors.baseAddress
    unsafe message.msg_iovlen = vectors.count
    return transfer { unsafe sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL)) }
  }

  /// send(2) without SIGPIPE.
  static func send(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Transfer {
    unsafe bytes.withUnsafeBytes { unsafe send(descriptor, $0) }
  }

  /// send(2) without SIGPIPE.
  static func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Transfer {
    transfer {
      unsafe Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
    }
  }

  /// shutdown(2) of the sending side. Where it fails, reading says why.
  static func endOutput(_ descriptor: Int32) {
    _ = shutdown(descriptor, Int32(SHUT_WR))
  }

  /// strerror_r(3).
  static func text(of error: Errno) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    return unsafe buffer.withUnsafeMutableBufferPointer { room in
      guard unsafe strerror_r(error.number, room.baseAddress!, room.count) == 0 else {
        return "error \(error.number)"
      }
      return unsafe String(cString: room.baseAddress!)
    }
  }

  /// The outcome of a connect that was under way, by SO_ERROR.
  static func connectError(_ descriptor: Int32) -> Errno? {
    var error: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) == 0 else {
      return Errno(errno)
    }
    return error == 0 ? nil : Errno(error)
  }

  /// TCP_NOTSENT_LOWAT: how much the socket takes that it cannot send yet; 0 for no limit.
  static func setUnsentLimit(_ bytes: Int, on descriptor: Int32) throws(Errno) {
    var value = bytes == 0 ? -1 : Int32(clamping: bytes)
    unsafe try set(
      Int32(IPPROTO_TCP),
      TCP_NOTSENT_LOWAT,
      &value,
      MemoryLayout<Int32>.size,
      on: descriptor
    )
  }

  /// The shortest round trip of late, in microseconds, by TCP_INFO; nil where it is unknown.
  static func shortestRoundTrip(_ descriptor: Int32) -> Int? {
    let microseconds = eid_shortest_round_trip(descriptor)
    return microseconds < 0 ? nil : Int(microseconds)
  }

  /// The round trip as the kernel has smoothed it, in microseconds; nil where it is unknown.
  static func smoothedRoundTrip(_ descriptor: Int32) -> Int? {
    let microseconds = eid_smoothed_round_trip(descriptor)
    return microseconds < 0 ? nil : Int(microseconds)
  }

  /// Fixes the receive buffer, or has the kernel size it again.
  static func perform(_ change: ReceiveWindow.Change, on descriptor: Int32) {
    switch change {
    case .none:
      break
    case .fix(let bytes):
      // The kernel may allow less (net.core.rmem_max); it is a limit for us, too.
      try? set(.integer(.receiveBuffer, Int32(clamping: bytes)), on: descriptor)
    case .release:
      if eid_unlock_receive_buffer(descriptor) != 0 {
        // Before Linux 5.15: what once was fixed can only be made as large as it may be.
        try? set(.integer(.receiveBuffer, Int32.max / 2), on: descriptor)
      }
    }
  }

  /// getpeername(2).
  static func peerName(_ descriptor: Int32) throws(Errno) -> Endpoint {
    unsafe try name { storage, length in unsafe getpeername(descriptor, storage, length) }
  }

  /// getsockname(2).
  static func socketName(_ descriptor: Int32) throws(Errno) -> Endpoint {
    unsafe try name { storage, length in unsafe getsockname(descriptor, storage, length) }
  }

  /// setsockopt(2).
  static func set(_ option: SocketOption, on descriptor: Int32) throws(Errno) {
    switch option {
    case .integer(let kind, var value):
      let (level, name) = kind.levelAndName
      unsafe try set(level, name, &value, Int(MemoryLayout<Int32>.size), on: descriptor)
    case .linger(let on, let seconds):
      var value = linger(l_onoff: on, l_linger: seconds)
      unsafe try set(SOL_SOCKET, SO_LINGER, &value, MemoryLayout<linger>.size, on: descriptor)
    case .device(let name):
      try setBytes(SOL_SOCKET, SO_BINDTODEVICE, name, on: descriptor)
    case .raw(let level, let name, let value):
      try setBytes(level, name, value, on: descriptor)
    case .tuning, .localAddress:
      break  // The port's own matter, or done before the socket is connected.
    }
  }

  /// getsockopt(2): the value as ``SocketOption`` encodes it.
  static func get(_ query: SocketOption.Query, of descriptor: Int32) throws(Errno) -> [UInt8] {
    switch query {
    case .integer(let kind):
      let (level, name) = kind.levelAndName
      let raw = try getBytes(level, name, MemoryLayout<Int32>.size, of: descriptor)
      return raw.reversed()  // Native is little-endian here, Erlang's side is big-endian.
    case .linger:
      let raw = try getBytes(SOL_SOCKET, SO_LINGER, MemoryLayout<linger>.size, of: descriptor)
      return raw.prefix(4).reversed() + raw.dropFirst(4).reversed()
    case .raw(let level, let name, let bytes):
      return try getBytes(level, name, bytes, of: descriptor)
    case .tuning:
      return []
    }
  }

  private static func set(
    _ level: Int32,
    _ name: Int32,
    _ value: UnsafeRawPointer,
    _ size: Int,
    on descriptor: Int32
  ) throws(Errno) {
    _ = try valueOrErrno {
      unsafe setsockopt(descriptor, level, name, value, socklen_t(size))
    }
  }

  private static func setBytes(
    _ level: Int32,
    _ name: Int32,
    _ value: [UInt8],
    on descriptor: Int32
  ) throws(Errno) {
    _ = try valueOrErrno {
      unsafe value.withUnsafeBytes { bytes in
        unsafe setsockopt(descriptor, level, name, bytes.baseAddress, socklen_t(bytes.count))
      }
    }
  }

  private static func getBytes(
    _ level: Int32,
    _ name: Int32,
    _ size: Int,
    of descriptor: Int32
  ) throws(Errno) -> [UInt8] {
    var value = [UInt8](repeating: 0, count: size)
    var length = socklen_t(size)
    _ = try valueOrErrno {
      unsafe value.withUnsafeMutableBytes { bytes in
        unsafe getsockopt(descriptor, level, name, bytes.baseAddress, &length)
      }
    }
    return Array(value.prefix(Int(length)))
  }

  private static func name(
    _ call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
  ) throws(Errno) -> Endpoint {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    _ = try valueOrErrno {
      unsafe withUnsafeMutablePointer(to: &storage) { pointer in
        unsafe call(
          UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: sockaddr.self),
          &length
        )
      }
    }
    guard let endpoint = Endpoint(storage) else { throw Errno(EAFNOSUPPORT) }
    return endpoint
  }

  private static func transfer(_ call: () -> Int) -> Transfer {
    while true {
      let count = call()
      if count >= 0 { return .processed(count) }
      let error = Errno(errno)
      if error.isWouldBlock { return .wouldBlock }
      if error != Errno(EINTR) { return .failed(error) }
    }
  }
}

extension Errno {
  var isWouldBlock: Bool { number == EAGAIN || number == EWOULDBLOCK }

  /// Whether accept(2) failed for lack of descriptors or memory, which may come back.
  var isExhaustion: Bool {
    number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM
  }

  /// Whether accept(2) failed because of the one connection that waited (see its manual
  /// page under "Error handling"), so that the next may be well.
  var concernsOneConnection: Bool {
    switch number {
    case ECONNABORTED, EPERM, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH,
      EOPNOTSUPP, ENETUNREACH:
      true
    default: false
    }
  }
}

extension SocketOption.IntegerOption {
  /// For setsockopt(2).
  fileprivate var levelAndName: (Int32, Int32) {
    switch self {
    case .reuseAddress: (SOL_SOCKET, SO_REUSEADDR)
    case .keepAlive: (SOL_SOCKET, SO_KEEPALIVE)
    case .noDelay: (Int32(IPPROTO_TCP), TCP_NODELAY)
    case .sendBuffer: (SOL_SOCKET, SO_SNDBUF)
    case .receiveBuffer: (SOL_SOCKET, SO_RCVBUF)
    case .priority: (SOL_SOCKET, SO_PRIORITY)
    case .typeOfService: (Int32(IPPROTO_IP), IP_TOS)
    case .trafficClass: (Int32(IPPROTO_IPV6), IPV6_TCLASS)
    case .timeToLive: (Int32(IPPROTO_IP), IP_TTL)
    case .dontRoute: (SOL_SOCKET, SO_DONTROUTE)
    case .ipv6Only: (Int32(IPPROTO_IPV6), IPV6_V6ONLY)
    case .reusePort: (SOL_SOCKET, SO_REUSEPORT)
    }
  }
}

extension Endpoint {
  /// The endpoint in a socket address, an IPv4-mapped one as the IPv4 that it is.
  fileprivate init?(_ storage: sockaddr_storage) {
    var storage = storage
    let family = Int32(storage.ss_family)
    let endpoint: Endpoint? = unsafe withUnsafeBytes(of: &storage) { raw in
      switch family {
      case AF_INET:
        let address = unsafe raw.loadUnaligned(as: sockaddr_in.self)
        let bytes = unsafe withUnsafeBytes(of: address.sin_addr) { unsafe Array($0) }
        return IPAddress(networkBytes: bytes).map {
          Endpoint(address: $0, port: UInt16(bigEndian: address.sin_port))
        }
      case AF_INET6:
        let address = unsafe raw.loadUnaligned(as: sockaddr_in6.self)
        let bytes = unsafe withUnsafeBytes(of: address.sin6_addr) { unsafe Array($0) }
        return IPAddress(networkBytes: bytes).map {
          Endpoint(address: $0.unmapped, port: UInt16(bigEndian: address.sin6_port))
        }
      default:
        return nil
      }
    }
    guard let endpoint else { return nil }
    self = endpoint
  }
}

/// Calls `body` with the endpoint as a socket address.
private func withSocketAddress<Value>(
  _ endpoint: Endpoint,
  _ body: (UnsafePointer<sockaddr>, socklen_t) -> Value
) -> Value {
  let bytes = endpoint.address.networkBytes
  if endpoint.address.isV6 {
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_port = endpoint.port.bigEndian
    unsafe withUnsafeMutableBytes(of: &address.sin6_addr) { unsafe $0.copyBytes(from: bytes) }
    return unsafe withUnsafePointer(to: &address) {
      unsafe body(
        UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
        socklen_t(MemoryLayout<sockaddr_in6>.size)
      )
    }
  }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = endpoint.port.bigEndian
  unsafe withUnsafeMutableBytes(of: &address.sin_addr) { unsafe $0.copyBytes(from: bytes) }
  return unsafe withUnsafePointer(to: &address) {
    unsafe body(
      UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
      socklen_t(MemoryLayout<sockaddr_in>.size)
    )
  }
}

/// The result of a system call, or its errno; tries again when it was interrupted.
///
/// connect(2) is the exception among those that are interrupted: non-blocking, it never is.
private func valueOrErrno(_ call: () -> Int32) throws(Errno) -> Int32 {
  while true {
    let value = call()
    if value >= 0 { return value }
    let error = Errno(errno)
    if error != Errno(EINTR) { throw error }
  }
}
