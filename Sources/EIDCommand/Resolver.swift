// SPDX-License-Identifier: Apache-2.0

import EIDDistCore
import Glibc

/// From a host's name to its address.
enum Resolver {
  struct Failure: Error {
    let sentence: String
  }

  /// The address that a node name's host part is or stands for, IPv4 before IPv6, as the
  /// carrier takes them: getaddrinfo(3).
  static func address(of host: String) throws(Failure) -> IPAddress {
    if let address = IPAddress(text: host.utf8) { return address }
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let status = unsafe getaddrinfo(host, nil, &hints, &list)
    // getaddrinfo has made the list, and it is freed when all of it has been copied.
    defer { if let list = unsafe list { unsafe freeaddrinfo(list) } }
    guard status == 0 else {
      let reason = unsafe String(cString: gai_strerror(status))
      throw Failure(
        sentence: "the host \(String(sanitizing: host.utf8)) does not resolve (\(reason)):"
          + " check the node name's host part, DNS and /etc/hosts"
      )
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
