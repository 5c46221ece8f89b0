// SPDX-License-Identifier: Apache-2.0

/// A checked `port_control/3` request.
///
/// Erlang's own code sends these, but any process that holds the port can send anything,
/// so nothing is taken on trust.
public enum ControlCommand: Equatable, Sendable {
  case opcodes
  case listen(Endpoint, backlog: Int32, [SocketOption])
  case accept(request: UInt32)
  case connect(request: UInt32, Endpoint, [SocketOption])
  /// One handshake packet, without its header.
  case send([UInt8])
  case receive(request: UInt32)
  case cancel(request: UInt32)
  case enterDataMode
  case startDelivery
  case tick
  case statistics
  /// What the port has carried so far.
  case traffic
  case setOptions([SocketOption])
  case getOptions([SocketOption.Query])
  case peerName
  case socketName
  case ask(DaemonCommand, request: UInt32, deadlineMilliseconds: UInt32)
  /// A question whose connection Erlang has: it sends the request, and feeds the answer.
  case askOver(DaemonCommand)
  /// The next bytes of the answer.
  case feed([UInt8])
  /// The answer's connection has ended: closed, or for the reason that is an error's name.
  case feedEnd(reason: [UInt8])

  /// Bytes of an answer in one command: the scanner takes some milliseconds for so many.
  public static let maxFeedBytes = 64 * 1024
  /// Wants the request for a stream of events of containers with this label, unchecked.
  case eventsRequest(Endpoint, label: [UInt8])

  /// One question to a Docker Remote API.
  public struct DaemonCommand: Equatable, Sendable {
    public enum Subject: Equatable, Sendable {
      /// Where the port of this container is published; the node name's left part, unchecked.
      case container([UInt8])
      /// The containers that have this label, unchecked.
      case label([UInt8])
    }

    public let daemon: Endpoint
    /// The address at which the host's published ports are connected to.
    public let host: IPAddress
    public let listenPort: UInt16
    public let subject: Subject

    init(daemon: Endpoint, host: IPAddress, listenPort: UInt16, subject: Subject) {
      self.daemon = daemon
      self.host = host
      self.listenPort = listenPort
      self.subject = subject
    }

    init?(
      _ bytes: Span<UInt8>,
      _ cursor: inout ByteCursor,
      _ subject: ([UInt8]) -> Subject
    ) {
      guard let daemon = Endpoint(bytes, &cursor), let host = IPAddress(bytes, &cursor),
        let listenPort = cursor.uint16(bytes)
      else { return nil }
      self.init(
        daemon: daemon,
        host: host,
        listenPort: listenPort,
        subject: subject(cursor.rest(of: bytes))
      )
    }
  }

  /// The command in `bytes`, or nil where it is unknown or malformed (Erlang gets `badarg`).
  public init?(opcode: UInt32, bytes: Span<UInt8>) {
    guard let opcode = ControlOpcode(rawValue: opcode) else { return nil }
    var cursor = ByteCursor()
    let command: ControlCommand?
    switch opcode {
    case .opcodes: command = .opcodes
    case .enterDataMode: command = .enterDataMode
    case .startDelivery: command = .startDelivery
    case .tick: command = .tick
    case .statistics: command = .statistics
    case .traffic: command = .traffic
    case .peerName: command = .peerName
    case .socketName: command = .socketName
    case .accept: command = cursor.uint32(bytes).map { .accept(request: $0) }
    case .receive: command = cursor.uint32(bytes).map { .receive(request: $0) }
    case .cancel: command = cursor.uint32(bytes).map { .cancel(request: $0) }
    case .send: command = .send(cursor.rest(of: bytes))
    case .setOptions: command = SocketOption.list(bytes, &cursor).map { .setOptions($0) }
    case .getOptions: command = SocketOption.queries(bytes, &cursor).map { .getOptions($0) }
    case .listen:
      guard let endpoint = Endpoint(bytes, &cursor), let backlog = cursor.int32(bytes),
        let options = SocketOption.list(bytes, &cursor)
      else { return nil }
      command = .listen(endpoint, backlog: backlog, options)
    case .connect:
      guard let request = cursor.uint32(bytes), let endpoint = Endpoint(bytes, &cursor),
        let options = SocketOption.list(bytes, &cursor)
      else { return nil }
      command = .connect(request: request, endpoint, options)
    case .lookup: command = Self.ask(bytes, &cursor) { .container($0) }
    case .lookupOver:
      command = DaemonCommand(bytes, &cursor) { .container($0) }.map { .askOver($0) }
    case .list: command = Self.ask(bytes, &cursor) { .label($0) }
    case .listOver: command = DaemonCommand(bytes, &cursor) { .label($0) }.map { .askOver($0) }
    case .feed:
      guard bytes.count <= Self.maxFeedBytes else { return nil }
      command = .feed(cursor.rest(of: bytes))
    case .feedEnd:
      command = .feedEnd(reason: cursor.rest(of: bytes))
    case .eventsRequest:
      command = Endpoint(bytes, &cursor).map {
        .eventsRequest($0, label: cursor.rest(of: bytes))
      }
    }
    guard let command, cursor.remaining(in: bytes) == 0 else { return nil }
    self = command
  }

  private static func ask(
    _ bytes: Span<UInt8>,
    _ cursor: inout ByteCursor,
    _ subject: ([UInt8]) -> DaemonCommand.Subject
  ) -> ControlCommand? {
    // The deadline is for all, from the connect to the last byte of the answer.
    guard let request = cursor.uint32(bytes), let deadline = cursor.uint32(bytes),
      let command = DaemonCommand(bytes, &cursor, subject)
    else { return nil }
    return .ask(command, request: request, deadlineMilliseconds: deadline)
  }
}
