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
  case lookup(LookupCommand)
  /// A lookup whose connection Erlang has: it sends the request, and feeds the answer.
  case lookupOver(LookupOverCommand)
  /// The next bytes of the answer.
  case feed([UInt8])
  /// The answer's connection has ended: closed, or for the reason that is an error's name.
  case feedEnd(reason: [UInt8])

  /// Bytes of an answer in one command: the scanner takes some milliseconds for so many.
  public static let maxFeedBytes = 64 * 1024
  case list(ListCommand)
  /// A list whose connection Erlang has.
  case listOver(ListOverCommand)
  /// Wants the request for a stream of events of containers with this label, unchecked.
  case eventsRequest(Endpoint, label: [UInt8])

  /// One published-port lookup.
  public struct LookupCommand: Equatable, Sendable {
    public let request: UInt32
    /// The Docker Remote API.
    public let daemon: Endpoint
    /// For the whole lookup, from the connect to the last byte of the answer.
    public let deadlineMilliseconds: UInt32
    public let listenPort: UInt16
    /// The node name's left part, unchecked.
    public let container: [UInt8]
  }

  /// One published-port lookup over a connection of Erlang's.
  public struct LookupOverCommand: Equatable, Sendable {
    /// The Docker Remote API.
    public let daemon: Endpoint
    public let listenPort: UInt16
    /// The node name's left part, unchecked.
    public let container: [UInt8]
  }

  /// One list of containers.
  public struct ListCommand: Equatable, Sendable {
    public let request: UInt32
    /// The Docker Remote API.
    public let daemon: Endpoint
    /// From the connect to the last byte of the answer.
    public let deadlineMilliseconds: UInt32
    public let listenPort: UInt16
    /// The label that they have, unchecked.
    public let label: [UInt8]
  }

  /// One list of containers over a connection of Erlang's.
  public struct ListOverCommand: Equatable, Sendable {
    /// The Docker Remote API.
    public let daemon: Endpoint
    public let listenPort: UInt16
    /// The label that they have, unchecked.
    public let label: [UInt8]
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
    case .lookup:
      guard let request = cursor.uint32(bytes), let daemon = Endpoint(bytes, &cursor),
        let deadline = cursor.uint32(bytes), let listenPort = cursor.uint16(bytes)
      else { return nil }
      command = .lookup(
        LookupCommand(
          request: request,
          daemon: daemon,
          deadlineMilliseconds: deadline,
          listenPort: listenPort,
          container: cursor.rest(of: bytes)
        )
      )
    case .lookupOver:
      guard let daemon = Endpoint(bytes, &cursor), let listenPort = cursor.uint16(bytes)
      else { return nil }
      command = .lookupOver(
        LookupOverCommand(
          daemon: daemon,
          listenPort: listenPort,
          container: cursor.rest(of: bytes)
        )
      )
    case .feed:
      guard bytes.count <= Self.maxFeedBytes else { return nil }
      command = .feed(cursor.rest(of: bytes))
    case .feedEnd:
      command = .feedEnd(reason: cursor.rest(of: bytes))
    case .list:
      guard let request = cursor.uint32(bytes), let daemon = Endpoint(bytes, &cursor),
        let deadline = cursor.uint32(bytes), let listenPort = cursor.uint16(bytes)
      else { return nil }
      command = .list(
        ListCommand(
          request: request,
          daemon: daemon,
          deadlineMilliseconds: deadline,
          listenPort: listenPort,
          label: cursor.rest(of: bytes)
        )
      )
    case .listOver:
      guard let daemon = Endpoint(bytes, &cursor), let listenPort = cursor.uint16(bytes)
      else { return nil }
      command = .listOver(
        ListOverCommand(daemon: daemon, listenPort: listenPort, label: cursor.rest(of: bytes))
      )
    case .eventsRequest:
      command = Endpoint(bytes, &cursor).map {
        .eventsRequest($0, label: cursor.rest(of: bytes))
      }
    }
    guard let command, cursor.remaining(in: bytes) == 0 else { return nil }
    self = command
  }
}
