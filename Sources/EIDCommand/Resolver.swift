// SPDX-License-Identifier: Apache-2.0

import EIDDistCore
import Glibc

/// From a host's name to its address.
enum Resolver {
  struct Failure: Error {
    let sentence: String
  }

  /// The address that a node name's host part is or stands for, IPv4 before IPv6, as the
  /// carrier takes them: getaddrinfo(3), within `milliseconds`.
  static func address(of host: String, milliseconds: Int) throws(Failure) -> IPAddress {
    if let address = IPAddress(text: host.utf8) { return address }
    guard let (status, list) = unsafe look(up: host, by: Deadline(milliseconds: milliseconds))
    else { throw failure(host, "no answer in time") }
    // getaddrinfo has made the list, and it is freed when all of it has been copied.
    defer { if let list = unsafe list { unsafe freeaddrinfo(list) } }
    guard status == 0 else {
      throw failure(host, unsafe String(cString: gai_strerror(status)))
    }
    var addresses: [IPAddress] = []
    var next = unsafe list
    while let info = unsafe next?.pointee {
      if let address = unsafe address(info) { addresses.append(address) }
      unsafe next = info.ai_next
    }
    guard let address = addresses.first(where: { !$0.isV6 }) ?? addresses.first else {
      throw Failure(sentence: "the host \(String(sanitizing: host.utf8)) has no address")
    }
    return address
  }

  private static func failure(_ host: String, _ reason: String) -> Failure {
    Failure(
      sentence: "the host \(String(sanitizing: host.utf8)) does not resolve (\(reason)):"
        + " check the node name's host part, DNS and /etc/hosts"
    )
  }

  /// What the thread of a lookup is given, and leaves.
  @unsafe private struct Lookup {
    let host: UnsafeMutablePointer<CChar>?
    /// Closed when there is a result.
    let end: Int32
    var status: Int32 = 0
    var list: UnsafeMutablePointer<addrinfo>?
  }

  /// getaddrinfo(3) has no deadline, so a thread of its own waits for it; nil at the deadline.
  private static func look(
    up host: String,
    by deadline: Deadline
  ) -> (status: Int32, list: UnsafeMutablePointer<addrinfo>?)? {
    var pipe: [Int32] = [-1, -1]
    guard unsafe Glibc.pipe(&pipe) == 0 else { return (EAI_SYSTEM, nil) }
    for descriptor in pipe { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    defer { close(pipe[0]) }
    // The thread may go on until the command ends; so does what it writes to.
    let lookup = UnsafeMutablePointer<Lookup>.allocate(capacity: 1)
    unsafe lookup.initialize(to: Lookup(host: strdup(host), end: pipe[1]))
    var thread = pthread_t()
    let error = unsafe pthread_create(
      &thread,
      nil,
      { argument in
        let lookup = unsafe argument!.assumingMemoryBound(to: Lookup.self)
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe lookup.pointee.status = unsafe getaddrinfo(
          lookup.pointee.host,
          nil,
          &hints,
          &lookup.pointee.list
        )
        unsafe close(lookup.pointee.end)
        return nil
      },
      lookup
    )
    guard error == 0 else { return (EAI_SYSTEM, nil) }
    pthread_detach(thread)
    var poll = pollfd(fd: pipe[0], events: Int16(POLLIN), revents: 0)
    var ready: Int32
    repeat {
      ready = unsafe Glibc.poll(&poll, 1, deadline.remainingMilliseconds)
    } while ready < 0 && errno == EINTR
    guard ready > 0 else { return nil }
    return unsafe (lookup.pointee.status, lookup.pointee.list)
  }

  private static func address(_ info: addrinfo) -> IPAddress? {
    guard let raw = unsafe UnsafeRawPointer(info.ai_addr) else { return nil }
    switch unsafe info.ai_family {
    case AF_INET:
      let address = unsafe raw.loadUnaligned(as: sockaddr_in.self).sin_addr
      return unsafe IPAddress(networkBytes: withUnsafeBytes(of: address) { unsafe Array($0) })
    case AF_INET6:
      let address = unsafe raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
      return unsafe IPAddress(networkBytes: withUnsafeBytes(of: address) { unsafe Array($0) })
    default:
      return nil
    }
  }

  /// This machine's name: gethostname(2).
  static func hostname() -> String {
    var bytes = [CChar](repeating: 0, count: 256)
    guard unsafe gethostname(&bytes, bytes.count - 1) == 0 else { return "localhost" }
    return String(decoding: bytes.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
