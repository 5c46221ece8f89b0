// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct ControlCommandTests {
  private static let v4: [UInt8] = [4, 127, 0, 0, 1, 0x30, 0x39]
  private static let v6: [UInt8] = [6] + [UInt8](repeating: 0, count: 15) + [1, 0x30, 0x39]
  private static let host4 = Array(v4.dropLast(2))
  private static let host6 = Array(v6.dropLast(2))
  private static let request: [UInt8] = [0, 0, 1, 2]
  private static let deadline: [UInt8] = [0, 0, 0x1f, 0x90]
  private static let noDelay: [UInt8] = [3, 0, 4, 0, 0, 0, 1]
  private static let linger: [UInt8] = [32, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5]
  private static let device: [UInt8] = [33, 0, 2] + Array("lo".utf8)
  private static let raw: [UInt8] = [34, 0, 10, 0, 0, 0, 6, 0, 0, 0, 1, 7, 7]
  private static let watermarks: [UInt8] = [35, 0, 4, 0, 1, 0, 0, 36, 0, 4, 0, 0, 2, 0]
  private static let local: [UInt8] = [37, 0, 7] + v4

  private static let loopback4 = Endpoint(
    address: IPAddress(networkBytes: [127, 0, 0, 1])!,
    port: 12345
  )
  private static let loopback6 = Endpoint(
    address: IPAddress(networkBytes: [UInt8](repeating: 0, count: 15) + [1])!,
    port: 12345
  )
  private static let options: [SocketOption] = [
    .integer(.noDelay, 1), .linger(on: 1, seconds: 5), .device(Array("lo".utf8)),
    .raw(level: 6, name: 1, value: [7, 7]), .tuning(.highWatermark, 65536),
    .tuning(.lowWatermark, 512),
    .localAddress(loopback4),
  ]

  private static func asking(
    _ daemon: Endpoint,
    _ host: IPAddress,
    _ subject: ControlCommand.DaemonCommand.Subject
  ) -> ControlCommand.DaemonCommand {
    ControlCommand.DaemonCommand(daemon: daemon, host: host, listenPort: 12345, subject: subject)
  }

  private static let encodedOptions = noDelay + linger + device + raw + watermarks + local

  struct Valid: Sendable, CustomTestStringConvertible {
    let opcode: ControlOpcode
    let bytes: [UInt8]
    let command: ControlCommand
    /// The lengths at which the command may end: all others are refused.
    let ends: Set<Int>

    init(_ opcode: ControlOpcode, _ parts: [[UInt8]], _ command: ControlCommand, open: Bool = false)
    {
      self.opcode = opcode
      self.command = command
      bytes = parts.flatMap { $0 }
      // After the first part each further one may be left out, from the end.
      var ends: Set<Int> = []
      var length = 0
      for part in parts {
        length += part.count
        ends.insert(length)
      }
      if open { ends.formUnion((parts.first?.count ?? 0)...bytes.count) }
      self.ends = ends.union(parts.isEmpty ? [0] : [])
    }

    var testDescription: String { "\(opcode), \(bytes.count) bytes" }
  }

  /// Computed, because the leak checker does not see what a constant holds: the commands
  /// keep their arrays behind tagged pointers.
  static var valid: [Valid] {
    [
      Valid(.opcodes, [], .opcodes),
      Valid(.enterDataMode, [], .enterDataMode),
      Valid(.startDelivery, [], .startDelivery),
      Valid(.tick, [], .tick),
      Valid(.statistics, [], .statistics),
      Valid(.traffic, [], .traffic),
      Valid(.peerName, [], .peerName),
      Valid(.socketName, [], .socketName),
      Valid(.accept, [request], .accept(request: 258)),
      Valid(.receive, [request], .receive(request: 258)),
      Valid(.cancel, [request], .cancel(request: 258)),
      Valid(.send, [[], [1], [2], [3]], .send([1, 2, 3])),
      Valid(.listen, [v4 + [0, 0, 0, 128]], .listen(loopback4, backlog: 128, [])),
      Valid(.listen, [v6 + [0xff, 0xff, 0xff, 0xff]], .listen(loopback6, backlog: -1, [])),
      Valid(
        .listen,
        [v4 + [0, 0, 0, 128], noDelay, linger],
        .listen(loopback4, backlog: 128, Array(options.prefix(2)))
      ),
      Valid(.connect, [request + v4], .connect(request: 258, loopback4, [])),
      Valid(
        .connect,
        [request + v6, raw, local],
        .connect(request: 258, loopback6, [options[3], options[6]])
      ),
      Valid(
        .setOptions,
        [
          [], noDelay, linger, device, raw, Array(watermarks.prefix(7)),
          Array(watermarks.suffix(7)),
          local,
        ],
        .setOptions(options)
      ),
      Valid(
        .getOptions,
        [[], [3], [32], [35], [36], [34, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 16, 0], [12]],
        .getOptions([
          .integer(.noDelay), .linger, .tuning(.highWatermark), .tuning(.lowWatermark),
          .raw(level: 6, name: 1, bytes: 4096), .integer(.reusePort),
        ])
      ),
      Valid(
        .lookup,
        [request + deadline + v4 + host6 + [0x30, 0x39], Array("0123456789ab".utf8)],
        .ask(
          asking(loopback4, loopback6.address, .container(Array("0123456789ab".utf8))),
          request: 258,
          deadlineMilliseconds: 8080
        ),
        open: true
      ),
      Valid(
        .lookupOver,
        [v4 + host4 + [0x30, 0x39], Array("0123456789ab".utf8)],
        .askOver(
          asking(loopback4, loopback4.address, .container(Array("0123456789ab".utf8)))
        ),
        open: true
      ),
      Valid(
        .list,
        [request + deadline + v6 + host4 + [0x30, 0x39], Array("a=b".utf8)],
        .ask(
          asking(loopback6, loopback4.address, .label(Array("a=b".utf8))),
          request: 258,
          deadlineMilliseconds: 8080
        ),
        open: true
      ),
      Valid(.feed, [[], Array("HTTP/1.1".utf8)], .feed(Array("HTTP/1.1".utf8)), open: true),
      Valid(
        .feedEnd,
        [[], Array("econnreset".utf8)],
        .feedEnd(reason: Array("econnreset".utf8)),
        open: true
      ),
      Valid(
        .listOver,
        [v4 + host6 + [0x30, 0x39], Array("a=b".utf8)],
        .askOver(asking(loopback4, loopback6.address, .label(Array("a=b".utf8)))),
        open: true
      ),
      Valid(
        .eventsRequest,
        [v4, Array("a=b".utf8)],
        .eventsRequest(loopback4, label: Array("a=b".utf8)),
        open: true
      ),
    ]
  }

  @Test func feedOfMoreThanTheLimitIsRefused() {
    let most = [UInt8](repeating: 0x20, count: ControlCommand.maxFeedBytes)
    let opcode = ControlOpcode.feed.rawValue
    #expect(ControlCommand(opcode: opcode, bytes: most.span) == .feed(most))
    #expect(ControlCommand(opcode: opcode, bytes: (most + [0x20]).span) == nil)
  }

  @Test(arguments: valid) func validCommandIsUnderstood(_ valid: Valid) {
    let command = ControlCommand(opcode: valid.opcode.rawValue, bytes: valid.bytes.span)
    #expect(command == valid.command)
  }

  @Test(arguments: valid) func cutCommandIsRefusedUnlessItEndsThere(_ valid: Valid) {
    for length in 0..<valid.bytes.count {
      let cut = Array(valid.bytes.prefix(length))
      let command = ControlCommand(opcode: valid.opcode.rawValue, bytes: cut.span)
      #expect((command != nil) == valid.ends.contains(length), "\(length) bytes")
      #expect(command != valid.command)
    }
  }

  @Test(arguments: valid) func oneByteTooManyIsRefused(_ valid: Valid) {
    for byte: UInt8 in [0, 1, 34, 255] {
      let command = ControlCommand(
        opcode: valid.opcode.rawValue,
        bytes: (valid.bytes + [byte]).span
      )
      switch valid.opcode {
      // All bytes belong to them.
      case .send, .lookup, .lookupOver, .feed, .feedEnd, .list, .listOver, .eventsRequest:
        #expect(command != valid.command)
      case .getOptions where byte == 1: break  // Code 1 is one more query.
      default: #expect(command == nil)
      }
    }
  }

  @Test func unknownOpcodesAreRefused() {
    for opcode: UInt32 in [0, 24, 25, 255, 256, 257, .max] {
      #expect(ControlCommand(opcode: opcode, bytes: [0, 0, 0, 1].span) == nil)
    }
  }

  @Test(arguments: ControlOpcode.allCases) func randomBytesAreTakenOrRefused(
    _ opcode: ControlOpcode
  ) {
    var random = Seeded(UInt64(opcode.rawValue))
    for _ in 0..<2000 {
      let bytes = random.bytes(.random(in: 0...60, using: &random))
      _ = ControlCommand(opcode: opcode.rawValue, bytes: bytes.span)
    }
    // And valid ones with a byte changed, which get further.
    for valid in Self.valid where valid.opcode == opcode {
      for at in valid.bytes.indices {
        for byte: UInt8 in [0, 1, 4, 6, 32, 34, 127, 255] {
          var bytes = valid.bytes
          bytes[at] = byte
          _ = ControlCommand(opcode: opcode.rawValue, bytes: bytes.span)
        }
      }
    }
  }

  @Test func opcodesAndTheirNamesAreDistinct() {
    let all = ControlOpcode.allCases
    #expect(Set(all.map(\.name)).count == all.count)
    #expect(all.map(\.rawValue) == Array(1...UInt32(all.count)))
  }
}
