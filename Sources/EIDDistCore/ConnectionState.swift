// SPDX-License-Identifier: Apache-2.0

/// The life of one connection, from its socket to its end.
///
/// One method per event; each answers the one thing that the port is to do. The port
/// performs it after the method has returned, because what it performs can come back here.
///
/// ```
/// fresh --connect--> connecting --connected--> handshake --enterDataMode--> silent
///   `---------------adopted--------------------^             |
///                                     data <--startDelivery--'
/// ```
/// `silent` is between pre_nodeup and post_nodeup of dist_util: the VM may already send in
/// data mode, but must not be given anything yet.
public struct ConnectionState: Equatable, Sendable {
  public enum Action: Equatable, Sendable {
    case nothing
    /// Do what was asked for.
    case proceed
    /// Answer the control command with this error.
    case refuse(Refusal)
    /// Read up to so many bytes of the handshake, and no more.
    case read(bytes: Int)
    /// Answer the request that waits.
    case reply(request: UInt32, Reply)
    /// Tell the owner, then fail the port.
    case fail(ConnectionEnd)
  }

  public enum Reply: Equatable, Sendable {
    case ok
    case packet([UInt8])
    case failed(ConnectionEnd)
  }

  /// A control command that does not fit the state.
  public enum Refusal: Equatable, Sendable {
    case notConnected
    case alreadyConnected
    case alreadyWaiting
    case closed(ConnectionEnd)
  }

  private enum State: Equatable, Sendable {
    case fresh
    case connecting(request: UInt32)
    case handshake(HandshakeReader, request: UInt32?)
    case silent
    case data
    /// The port is closing; what is queued still goes out.
    case flushing
    /// It ended while nobody was waiting to be told; whoever asks next is.
    case ended(ConnectionEnd)
  }

  private var state = State.fresh

  public init() {}

  /// Whether packets have 4-byte headers and go to the VM's distribution.
  public var carriesDistribution: Bool {
    switch state {
    case .silent, .data, .flushing: true
    case .fresh, .connecting, .handshake, .ended: false
    }
  }

  /// Whether arriving packets are to be delivered to the VM.
  public var delivers: Bool {
    if case .data = state { true } else { false }
  }

  /// Whether a handshake packet is waited for.
  public var awaitsHandshake: Bool {
    if case .handshake(_, .some) = state { true } else { false }
  }

  /// How many handshake bytes may be read now, 0 for none.
  public var handshakeBytesWanted: Int {
    if case .handshake(let reader, .some) = state { reader.wanted } else { 0 }
  }

  public var isConnecting: Bool {
    if case .connecting = state { true } else { false }
  }

  /// Whether there is a socket with a peer.
  public var isConnected: Bool {
    switch state {
    case .handshake, .silent, .data, .flushing: true
    case .fresh, .connecting, .ended: false
    }
  }

  // MARK: Events from Erlang

  /// A connect is asked for.
  public mutating func connect(request: UInt32) -> Action {
    switch state {
    case .fresh:
      state = .connecting(request: request)
      return .proceed
    case .connecting, .handshake, .silent, .data, .flushing:
      return .refuse(.alreadyConnected)
    case .ended(let end):
      return .refuse(.closed(end))
    }
  }

  /// A listener accepted the socket.
  public mutating func adopted() -> Action {
    switch state {
    case .fresh:
      state = .handshake(HandshakeReader(), request: nil)
      return .proceed
    case .connecting, .handshake, .silent, .data, .flushing, .ended:
      return .refuse(.alreadyConnected)
    }
  }

  /// A handshake packet is to be sent.
  public func send() -> Action {
    switch state {
    case .handshake: .proceed
    case .fresh, .connecting, .silent, .data, .flushing: .refuse(.notConnected)
    case .ended(let end): .refuse(.closed(end))
    }
  }

  /// A handshake packet is waited for.
  public mutating func receive(request: UInt32) -> Action {
    switch state {
    case .handshake(let reader, nil):
      state = .handshake(reader, request: request)
      return .read(bytes: reader.wanted)
    case .handshake(_, .some):
      return .refuse(.alreadyWaiting)
    case .fresh, .connecting, .silent, .data, .flushing:
      return .refuse(.notConnected)
    case .ended(let end):
      return .refuse(.closed(end))
    }
  }

  /// Whoever waited does so no more. The connection stays as it is.
  public mutating func cancel(request: UInt32) -> Action {
    switch state {
    case .handshake(let reader, .some(request)):
      state = .handshake(reader, request: nil)
      return .proceed
    case .fresh, .connecting, .handshake, .silent, .data, .flushing, .ended:
      return .nothing
    }
  }

  /// dist_util's pre_nodeup: from here on the VM may send.
  public mutating func enterDataMode() -> Action {
    switch state {
    case .handshake(let reader, nil) where reader.isEmpty:
      state = .silent
      return .proceed
    case .handshake:
      return .refuse(.alreadyWaiting)
    case .silent:
      return .proceed
    case .fresh, .connecting, .data, .flushing:
      return .refuse(.notConnected)
    case .ended(let end):
      return .refuse(.closed(end))
    }
  }

  /// dist_util's post_nodeup: from here on the VM takes packets.
  public mutating func startDelivery() -> Action {
    switch state {
    case .silent:
      state = .data
      return .proceed
    case .data, .fresh, .connecting, .handshake, .flushing:
      return .refuse(.notConnected)
    case .ended(let end):
      return .refuse(.closed(end))
    }
  }

  /// The VM, or any process with the port, sends.
  public func output() -> Action {
    switch state {
    case .silent, .data: .proceed
    case .flushing, .ended: .nothing
    case .fresh, .connecting, .handshake: .fail(.failed(0))
    }
  }

  /// The port closes with bytes in the driver queue.
  public mutating func flush() -> Action {
    switch state {
    case .silent, .data, .handshake:
      state = .flushing
      return .proceed
    case .fresh, .connecting, .flushing, .ended:
      return .nothing
    }
  }

  // MARK: Events from the socket

  /// The connect succeeded.
  public mutating func connected() -> Action {
    switch state {
    case .connecting(let request):
      state = .handshake(HandshakeReader(), request: nil)
      return .reply(request: request, .ok)
    case .fresh, .handshake, .silent, .data, .flushing, .ended:
      return .nothing
    }
  }

  /// Handshake bytes were read.
  public mutating func read(_ bytes: Span<UInt8>) -> Action {
    switch state {
    case .handshake(var reader, .some(let request)):
      switch reader.received(bytes) {
      case .more:
        state = .handshake(reader, request: request)
        return .read(bytes: reader.wanted)
      case .packet(let packet):
        state = .handshake(reader, request: nil)
        return .reply(request: request, .packet(packet))
      case .tooLong(let length):
        state = .ended(.packetTooLong(bytes: length))
        return .reply(request: request, .failed(.packetTooLong(bytes: length)))
      }
    case .fresh, .connecting, .handshake, .silent, .data, .flushing, .ended:
      return .nothing
    }
  }

  /// The peer closed, or the socket failed.
  public mutating func ended(_ end: ConnectionEnd) -> Action {
    switch state {
    case .connecting(let request), .handshake(_, .some(let request)):
      state = .ended(end)
      return .reply(request: request, .failed(end))
    case .fresh, .handshake:
      state = .ended(end)
      return .nothing
    case .silent, .data, .flushing:
      state = .ended(end)
      return .fail(end)
    case .ended:
      return .nothing
    }
  }
}
