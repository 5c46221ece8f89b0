// SPDX-License-Identifier: Apache-2.0

/// A connection and a listener under any sequence of events: whoever waits is answered once,
/// and nobody else.
func run(_ input: [UInt8]) {
  var decisions = Decisions(input)
  if decisions.below(4) == 0 { listener(&decisions) } else { connection(&decisions) }
}

private func connection(_ decisions: inout Decisions) {
  var state = ConnectionState()
  /// Who waits for an answer.
  var waiting: UInt32?
  var ended = false
  /// The port is gone then.
  var failed = false

  func took(_ action: ConnectionState.Action) {
    switch action {
    case .reply(let request, let reply):
      check(waiting == request, "an answer to \(request), which does not wait")
      waiting = nil
      if case .packet(let packet) = reply {
        check(packet.count <= HandshakeReader.maxPacketBytes, "\(packet.count) bytes")
      }
    case .fail:
      failed = true
    case .read(let bytes):
      check(bytes > 0 && bytes <= HandshakeReader.maxPacketBytes, "to read \(bytes) bytes")
    case .nothing, .proceed, .refuse:
      break
    }
  }

  while !decisions.isAtEnd, !failed {
    let request = UInt32(decisions.below(3))
    switch decisions.below(13) {
    case 0:
      let action = state.connect(request: request)
      if case .proceed = action {
        check(waiting == nil, "two wait")
        waiting = request
      }
      took(action)
    case 1: took(state.adopted())
    case 2: took(state.send())
    case 3:
      let action = state.receive(request: request)
      if case .read = action {
        check(waiting == nil, "two wait")
        waiting = request
      }
      took(action)
    case 4:
      if case .proceed = state.cancel(request: request) { check(waiting == request, "not its own") }
      if waiting == request, !state.isConnecting, !state.awaitsHandshake { waiting = nil }
    case 5: took(state.enterDataMode())
    case 6: took(state.startDelivery())
    case 7: took(state.output())
    case 8:
      // A port that closes tells whoever waits by itself.
      if case .proceed = state.flush() { waiting = nil }
    case 9: took(state.connected())
    case 10, 11:
      let wanted = state.handshakeBytesWanted
      check(wanted == 0 || state.awaitsHandshake, "wants \(wanted) of nobody")
      let bytes = decisions.bytes(min(wanted, 1 + decisions.below(40)))
      if !bytes.isEmpty { took(state.read(bytes.span)) }
    default:
      took(state.ended([.closed, .failed(104), .noMemory, .packetTooLong(bytes: 1)][Int(request)]))
      ended = true
      check(waiting == nil, "\(waiting ?? 0) waits for ever")
    }
    if ended { check(!state.delivers && !state.isConnected, "goes on after its end") }
    check(!(state.delivers && state.awaitsHandshake), "in two states")
  }
}

private func listener(_ decisions: inout Decisions) {
  var state = ListenerState()
  var waiting: UInt32?
  var listens = false
  while !decisions.isAtEnd {
    let request = UInt32(decisions.below(3))
    let action: ListenerState.Action
    switch decisions.below(7) {
    case 0:
      action = state.listen()
      if case .proceed = action {
        check(!listens, "listens twice")
        listens = true
      }
    case 1:
      action = state.accept(request: request)
      if case .tryAccept = action {
        check(waiting == nil && listens, "two wait")
        waiting = request
      }
    case 2:
      action = state.cancel(request: request)
      if waiting == request { waiting = nil }
    case 3: action = state.wake()
    case 4:
      action = state.accepted()
      if case .proceed = action {
        check(waiting != nil, "a connection for nobody")
        waiting = nil
      }
    case 5: action = state.wouldBlock()
    default: action = state.exhausted()
    }
    if case .watch = action { check(waiting != nil, "watches for nobody") }
    if case .rest = action { check(waiting != nil, "rests for nobody") }
    check(state.request == waiting, "\(waiting as Any) waits, not \(state.request as Any)")
  }
}
