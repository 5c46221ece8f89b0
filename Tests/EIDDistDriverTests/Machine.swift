// SPDX-License-Identifier: Apache-2.0

import CErlDriver
import CErlDriverStandIns
import EIDDistCore
import EIDDistDriver
import Glibc
import Testing

/// All tests of the driver: one at a time, each on a fresh machine.
@Suite(.serialized, .onAMachine) enum DriverTests {}

extension Trait where Self == OnAMachine {
  static var onAMachine: Self { OnAMachine() }
}

/// Gives each test the stand-ins anew, and expects that it leaves nothing behind.
struct OnAMachine: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  func provideScope(
    for test: Test,
    testCase: Test.Case?,
    performing function: () async throws -> Void
  ) async throws {
    guard testCase != nil else { return try await function() }
    standin_reset()
    let before = Machine.socketCount
    try await function()
    Machine.closeAll()
    #expect(standin_violation().map { String(cString: $0) } == nil)
    #expect(standin_live_ports() == 0)
    #expect(standin_live_binaries() == 0)
    #expect(Machine.socketCount == before)
  }
}

/// What is common to all ports of a test.
enum Machine {
  /// The processes of the tests.
  static let alice: UInt64 = 1001
  static let bob: UInt64 = 1002

  /// Sockets that a test made itself.
  nonisolated(unsafe) fileprivate static var peers: [Int32] = []

  /// TCP sockets of this process. Nobody but these tests makes such, whereas tests beside
  /// them open files and pipes as they like.
  static var socketCount: Int {
    (0..<1024).count { descriptor in
      var domain: Int32 = 0
      var length = socklen_t(MemoryLayout<Int32>.size)
      let isSocket = getsockopt(Int32(descriptor), SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0
      return isSocket && (domain == AF_INET || domain == AF_INET6)
    }
  }

  static let hasIPv6: Bool = {
    let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_addr = in6addr_loopback
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) == 0
      }
    }
  }()

  /// Lets ports have their input and output until `condition` holds, for ten seconds at most.
  static func wait(
    _ what: Comment,
    sourceLocation: SourceLocation = #_sourceLocation,
    until condition: () -> Bool
  ) {
    let start = ContinuousClock.now
    while !condition() {
      guard start.duration(to: .now) < .seconds(10) else {
        Issue.record(what, sourceLocation: sourceLocation)
        return
      }
      standin_poll(5)
    }
  }

  /// Lets ports have what input and output there is now.
  static func settle() {
    for _ in 0..<20 where standin_poll(1) == 0 { return }
  }

  /// All messages that `pid` has.
  static func messages(to pid: UInt64 = alice) -> [String] {
    var messages: [String] = []
    while let text = standin_take_message(pid) { messages.append(String(cString: text)) }
    return messages
  }

  /// The next message that `pid` gets.
  static func message(
    to pid: UInt64 = alice,
    sourceLocation: SourceLocation = #_sourceLocation
  ) -> String {
    var message = ""
    wait("no message to \(pid)", sourceLocation: sourceLocation) {
      guard let text = standin_take_message(pid) else { return false }
      message = String(cString: text)
      return true
    }
    return message
  }

  fileprivate static func closeAll() {
    for peer in peers { close(peer) }
    peers = []
    for port in 0..<standin_port_count() {
      standin_close(port + 1)
      // What is left cannot go out, so the flush must come to its end.
      standin_fire_timer(port + 1)
    }
    standin_run_stop_select()
    standin_hold_packets(false)
  }
}

/// The answer to a control command, and the payload of an answer that comes later.
enum Answer: Equatable {
  case ok([UInt8])
  case error(String)
  case badarg

  static let ok = Answer.ok([])

  var bytes: [UInt8] {
    switch self {
    case .ok(let payload): [0] + payload
    case .error(let reason): [1] + Array(reason.utf8)
    case .badarg: []
    }
  }
}

/// A port of the driver, as a process sees it.
struct Port: Equatable, CustomStringConvertible {
  let id: Int32

  init(id: Int32) { self.id = id }

  init?(_ command: String, owner: UInt64 = Machine.alice) {
    let id = standin_open(driverInit(), command, owner)
    guard id != 0 else { return nil }
    self.id = id
  }

  static func listener() -> Port { Port("eid_drv listener")! }
  static func connection() -> Port { Port("eid_drv connection")! }

  /// As in a recorded message.
  var description: String { "#Port<\(id)>" }

  var isOpen: Bool { standin_is_open(id) }
  var isBusy: Bool { standin_is_busy(id) }
  var failure: String? { standin_failure(id).map { String(cString: $0) } }
  var stops: Int32 { standin_stops(id) }
  /// Milliseconds, or nil where none is set.
  var timer: Int64? { standin_timer(id) < 0 ? nil : standin_timer(id) }
  var watchesInput: Bool { standin_watches_input(id) }
  var watchesOutput: Bool { standin_watches_output(id) }

  var packetCount: Int { standin_packet_count(id) }
  var packets: [[UInt8]] {
    (0..<packetCount).map { index in
      var count = 0
      return Array(UnsafeBufferPointer(start: standin_packet(id, index, &count), count: count))
    }
  }

  @discardableResult
  func control(
    _ opcode: ControlOpcode,
    _ bytes: [UInt8] = [],
    by pid: UInt64 = Machine.alice
  ) -> Answer {
    control(opcode.rawValue, bytes, by: pid)
  }

  func control(_ opcode: UInt32, _ bytes: [UInt8], by pid: UInt64 = Machine.alice) -> Answer {
    let count = standin_control(id, pid, opcode, bytes, bytes.count)
    guard count >= 0, let answer = standin_answer() else { return .badarg }
    let payload = Array(UnsafeBufferPointer(start: answer + 1, count: count - 1))
    return answer[0] == 0 ? .ok(payload) : .error(String(decoding: payload, as: UTF8.self))
  }

  /// The text of the message that answers a request.
  func reply(_ request: UInt32, _ answer: Answer) -> String {
    "{eid,\(self),\(request),<<\(answer.bytes.map { String($0) }.joined(separator: ","))>>}"
  }

  var closedNotice: String { "{tcp_closed,\(self)}" }

  /// One message of the VM, of parts that are not in binaries.
  func output(_ parts: [UInt8]...) {
    var memory: [UInt8] = []
    for part in parts { memory += part }
    memory.withUnsafeBytes { raw in
      var offset = 0
      let vectors = parts.map { part in
        defer { offset += part.count }
        return standin_part(
          bytes: raw.baseAddress.map { $0 + offset },
          count: part.count,
          binary: nil
        )
      }
      standin_output(id, vectors, vectors.count)
    }
  }

  /// One message of the VM, of ranges of binaries.
  func output(_ parts: [(binary: Binary, range: Range<Int>)]) {
    let vectors = parts.map { part in
      standin_part(
        bytes: standin_binary_bytes(part.binary.handle) + part.range.lowerBound,
        count: part.range.count,
        binary: part.binary.handle
      )
    }
    standin_output(id, vectors, vectors.count)
  }

  /// Calls timeout, for which a timer must be set.
  func fireTimer(sourceLocation: SourceLocation = #_sourceLocation) {
    let isSet = standin_fire_timer(id)
    #expect(isSet, sourceLocation: sourceLocation)
  }

  /// Has the port's rounds run until no batch waits for more, if one does.
  func endBatch(sourceLocation: SourceLocation = #_sourceLocation) {
    var rounds = 0
    while timer == 0, rounds < 100 {
      standin_fire_timer(id)
      rounds += 1
    }
    #expect(rounds < 100, sourceLocation: sourceLocation)
  }

  /// Packets received and sent, and bytes that wait.
  var statistics: [UInt64] {
    guard case .ok(let bytes) = control(.statistics) else { return [] }
    return [0, 8, 16].map { bytes[$0..<$0 + 8].reduce(0) { $0 << 8 | UInt64($1) } }
  }

  /// Packets received and sent, bytes received and sent, bytes that wait; whether the port is
  /// busy, how often and how many microseconds it was; the round trip in microseconds.
  var traffic: [UInt64] {
    guard case .ok(let bytes) = control(.traffic), bytes.count == 72 else { return [] }
    return stride(from: 0, to: 72, by: 8).map {
      bytes[$0..<$0 + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }
  }

  /// The port number of the socket's own end.
  var localPort: UInt16 {
    guard case .ok(let bytes) = control(.socketName) else { return 0 }
    return bytes.suffix(2).reduce(0) { $0 << 8 | UInt16($1) }
  }

  func close() { standin_close(id) }
}

/// A binary of the VM's.
struct Binary {
  let handle: UnsafeMutableRawPointer

  init(_ bytes: [UInt8]) {
    handle = bytes.withUnsafeBytes { standin_binary_make($0.baseAddress, $0.count) }
  }

  var references: Int { standin_binary_references(handle) }

  /// Gives up the VM's own reference.
  func release() { standin_binary_release(handle) }
}

/// The other side of a connection: a socket without a driver.
struct Peer {
  let descriptor: Int32

  private init(_ descriptor: Int32) {
    self.descriptor = descriptor
    Machine.peers.append(descriptor)
  }

  /// A listening socket on 127.0.0.1, and its port.
  static func listening() -> (Peer, UInt16) {
    let peer = Peer(socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0))
    _ = peer.named(0) { bind(peer.descriptor, $0, $1) }
    listen(peer.descriptor, 16)
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        getsockname(peer.descriptor, $0, &length)
      }
    }
    return (peer, UInt16(bigEndian: address.sin_port))
  }

  static func connected(to port: UInt16) -> Peer {
    let peer = Peer(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
    #expect(peer.named(port) { connect(peer.descriptor, $0, $1) } == 0)
    _ = fcntl(peer.descriptor, F_SETFL, O_NONBLOCK)
    return peer
  }

  /// The next connection to a listening one.
  func accepted() -> Peer {
    var descriptor: Int32 = -1
    Machine.wait("nobody connects") {
      descriptor = accept(self.descriptor, nil, nil)
      return descriptor >= 0
    }
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    return Peer(descriptor)
  }

  /// Sends all, while ports read.
  func send(_ bytes: [UInt8], sourceLocation: SourceLocation = #_sourceLocation) {
    var left = bytes[...]
    Machine.wait("cannot send", sourceLocation: sourceLocation) {
      while !left.isEmpty {
        let count = left.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { return false }
        left = left.dropFirst(count)
      }
      return true
    }
  }

  /// What has come, up to `count` bytes; nil at the end.
  func receiveSome(_ count: Int = 1 << 20) -> [UInt8]? {
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      filled = max(read(descriptor, buffer.baseAddress, count), 0)
    }
    if !bytes.isEmpty { return bytes }
    var probe: UInt8 = 0
    // A read of 0 bytes is the end only where it is not an error.
    return recv(descriptor, &probe, 1, Int32(MSG_PEEK)) == 0 ? nil : []
  }

  /// Exactly `count` bytes, while ports send.
  func receive(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) -> [UInt8] {
    var received: [UInt8] = []
    received.reserveCapacity(count)
    Machine.wait("\(count) bytes do not come", sourceLocation: sourceLocation) {
      while received.count < count {
        guard let some = receiveSome(min(count - received.count, 1 << 20)), !some.isEmpty
        else { return false }
        received += some
      }
      return true
    }
    return received
  }

  /// All bytes up to the end, while ports send.
  func receiveToEnd(sourceLocation: SourceLocation = #_sourceLocation) -> [UInt8] {
    var received: [UInt8] = []
    Machine.wait("the connection does not end", sourceLocation: sourceLocation) {
      while let some = receiveSome() {
        if some.isEmpty { return false }
        received += some
      }
      return true
    }
    return received
  }

  func close() {
    Machine.peers.removeAll { $0 == descriptor }
    Glibc.close(descriptor)
  }

  /// Closes with RST.
  func reset() {
    var value = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    close()
  }

  private func named(_ port: UInt16, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32)
    -> Int32
  {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        call($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}

// MARK: Bytes

/// Random numbers that are the same in every run (SplitMix64), so that a failure comes again.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    let words = (0..<(count + 7) / 8).map { _ in next() }
    return words.withUnsafeBytes { Array($0.prefix(count)) }
  }
}

/// Big-endian bytes.
func big<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
  withUnsafeBytes(of: number.bigEndian) { Array($0) }
}

/// 127.0.0.1, or another address of its network.
func loopback(_ port: UInt16, host: UInt8 = 1) -> [UInt8] { [4, 127, 0, 0, host] + big(port) }

/// `::` or `::1`.
func v6(_ last: UInt8, _ port: UInt16) -> [UInt8] {
  [6] + [UInt8](repeating: 0, count: 15) + [last] + big(port)
}

func option(_ code: UInt8, _ value: [UInt8]) -> [UInt8] {
  [code] + big(UInt16(value.count)) + value
}

func option(_ code: SocketOption.IntegerOption, _ value: Int32) -> [UInt8] {
  option(code.rawValue, big(value))
}

/// A packet of the handshake.
func short(_ packet: [UInt8]) -> [UInt8] { big(UInt16(packet.count)) + packet }

/// A packet of the data mode.
func long(_ packet: [UInt8]) -> [UInt8] { big(UInt32(packet.count)) + packet }

/// `count` bytes that differ from those of any other `seed`.
func pattern(_ count: Int, _ seed: Int = 0) -> [UInt8] {
  var random = Seeded(UInt64(seed) &* 7919)
  return random.bytes(count)
}

/// One after the other. (What joined() and == do; those take most of the run where they are
/// not optimised.)
func joined(_ packets: [[UInt8]]) -> [UInt8] {
  packets.reduce(into: []) { $0 += $1 }
}

func isSame(_ bytes: [UInt8], _ others: [UInt8]) -> Bool {
  bytes.count == others.count && memcmp(bytes, others, bytes.count) == 0
}

// MARK: Connections

extension Port {
  /// A listener on 127.0.0.1.
  static func listening(_ options: [UInt8] = []) -> Port {
    let listener = Port.listener()
    #expect(listener.control(.listen, loopback(0) + big(Int32(16)) + options) == .ok)
    return listener
  }

  /// The port in a listener's answer to an accept.
  func acceptedPort(_ request: UInt32, in message: String) -> Port? {
    let start = "{eid,\(self),\(request),#Port<"
    guard message.hasPrefix(start) else { return nil }
    return Int32(message.dropFirst(start.count).dropLast(2)).map { Port(id: $0) }
  }

  /// An accepted connection in the handshake, and its peer. The listener is closed.
  static func accepted(_ options: [UInt8] = []) -> (Port, Peer) {
    let listener = Port.listening(options)
    let peer = Peer.connected(to: listener.localPort)
    #expect(listener.control(.accept, big(UInt32(1))) == .ok)
    let port = listener.acceptedPort(1, in: Machine.message())
    listener.close()
    return (port!, peer)
  }

  /// An accepted connection in data mode, and its peer.
  static func inDataMode(_ options: [UInt8] = []) -> (Port, Peer) {
    let (port, peer) = Port.accepted(options)
    #expect(port.control(.enterDataMode) == .ok)
    #expect(port.control(.startDelivery) == .ok)
    return (port, peer)
  }

  /// Sends messages of `count` bytes until the socket takes no more. Answers the bytes that
  /// the peer is to get.
  func outputUntilBlocked(_ count: Int = 60_000) -> [UInt8] {
    var sent: [UInt8] = []
    while !watchesOutput, sent.count < 64 << 20 {
      let message = pattern(count, sent.count)
      output(message)
      endBatch()
      sent += long(message)
    }
    #expect(watchesOutput)
    return sent
  }
}
