// SPDX-License-Identifier: Apache-2.0

import EIDDistCore
import Glibc

/// A TCP connection of which every call ends at a deadline.
///
/// Non-blocking and close-on-exec from birth; sends without SIGPIPE.
struct Connection: ~Copyable {
  /// Why a call came to nothing: an `errno`, where ETIMEDOUT stands for the deadline.
  struct Failure: Error {
    let number: Int32

    var text: String { unsafe String(cString: strerror(number)) }
  }

  private let descriptor: Int32

  /// socket(2) and connect(2).
  static func open(to endpoint: Endpoint, by deadline: Deadline) throws(Failure) -> Connection {
    let family = endpoint.address.isV6 ? AF_INET6 : AF_INET
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let descriptor = socket(family, type, 0)
    guard descriptor >= 0 else { throw Failure(number: errno) }
    let connection = Connection(descriptor: descriptor)
    guard connect(descriptor, endpoint) != 0 else { return connection }
    let number = errno
    guard number == EINPROGRESS || number == EINTR else { throw Failure(number: number) }
    try wait(descriptor, POLLOUT, deadline)
    var error: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) == 0 else {
      throw Failure(number: errno)
    }
    guard error == 0 else { throw Failure(number: error) }
    return connection
  }

  deinit { close(descriptor) }

  /// Sends all of `bytes`: send(2).
  func send(_ bytes: [UInt8], by deadline: Deadline) throws(Failure) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let sent = unsafe rest.withUnsafeBytes {
        unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if sent >= 0 {
        rest = rest.dropFirst(sent)
      } else if errno == EAGAIN {
        try Self.wait(descriptor, POLLOUT, deadline)
      } else if errno != EINTR {
        throw Failure(number: errno)
      }
    }
  }

  /// Receives up to `count` bytes, none at the peer's end: recv(2).
  func receive(upTo count: Int, by deadline: Deadline) throws(Failure) -> [UInt8] {
    while true {
      var number: Int32 = 0
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
        let received = unsafe recv(descriptor, buffer.baseAddress, count, 0)
        number = received < 0 ? errno : 0
        filled = max(0, received)
      }
      if number == 0 { return bytes }
      if number == EAGAIN {
        try Self.wait(descriptor, POLLIN, deadline)
      } else if number != EINTR {
        throw Failure(number: number)
      }
    }
  }

  /// poll(2).
  private static func wait(
    _ descriptor: Int32,
    _ events: Int32,
    _ deadline: Deadline
  ) throws(Failure) {
    while true {
      var poll = pollfd(fd: descriptor, events: Int16(events), revents: 0)
      let ready = unsafe Glibc.poll(&poll, 1, deadline.remainingMilliseconds)
      if ready > 0 { return }
      if ready == 0 { throw Failure(number: ETIMEDOUT) }
      if errno != EINTR { throw Failure(number: errno) }
    }
  }

  private static func connect(_ descriptor: Int32, _ endpoint: Endpoint) -> Int32 {
    let bytes = endpoint.address.networkBytes
    if endpoint.address.isV6 {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = endpoint.port.bigEndian
      unsafe withUnsafeMutableBytes(of: &address.sin6_addr) { unsafe $0.copyBytes(from: bytes) }
      return unsafe withUnsafeBytes(of: address) { unsafe connect(descriptor, $0) }
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = endpoint.port.bigEndian
    unsafe withUnsafeMutableBytes(of: &address.sin_addr) { unsafe $0.copyBytes(from: bytes) }
    return unsafe withUnsafeBytes(of: address) { unsafe connect(descriptor, $0) }
  }

  private static func connect(_ descriptor: Int32, _ address: UnsafeRawBufferPointer) -> Int32 {
    unsafe Glibc.connect(
      descriptor,
      address.baseAddress?.assumingMemoryBound(to: sockaddr.self),
      socklen_t(address.count)
    )
  }
}
