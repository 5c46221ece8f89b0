// SPDX-License-Identifier: Apache-2.0

import CErlDriver
import EIDDistCore

/// The port that accepts connections on the node's listen port.
final class ListenerPort: EidPort {
  private var state = ListenerState()
  private var socket: PolledSocket?
  private var acceptor: DriverPort.Pid = 0

  override func control(_ command: ControlCommand) -> ControlReply {
    switch command {
    case .opcodes:
      return .ok(opcodeTable())
    case .listen(let endpoint, let backlog, let options):
      return listen(on: endpoint, backlog: backlog, options)
    case .accept(let request):
      let action = state.accept(request: request)
      // Whoever is refused must not get what another waits for.
      if case .tryAccept = action { acceptor = port.caller }
      return perform(action)
    case .cancel(let request):
      return perform(state.cancel(request: request))
    case .setOptions(let options):
      return setOptions(options, on: socket)
    case .getOptions(let queries):
      return getOptions(queries, of: socket, nil)
    case .socketName:
      return socketName(of: socket)
    case .connect, .send, .receive, .enterDataMode, .startDelivery, .tick, .statistics,
      .traffic, .peerName, .ask, .askOver, .feed, .feedEnd,
      .eventsRequest:
      return .badArgument
    }
  }

  override func readyInput() {
    _ = perform(state.wake())
    // Nobody asks for a connection now: watching on would spin.
    if state.request == nil { socket?.watchInput(false) }
  }

  override func timeout() {
    _ = perform(state.wake())
  }

  override func stop() {
    super.stop()
    socket?.release()
  }

  private func listen(
    on endpoint: Endpoint,
    backlog: Int32,
    _ options: [SocketOption]
  ) -> ControlReply {
    var listening = state
    guard case .proceed = listening.listen() else { return .error("einval") }
    do throws(Errno) {
      let listener = try Socket(for: endpoint.address)
      try listener.set(options)
      try listener.bind(to: endpoint)
      try listener.listen(backlog: backlog)
      socket = PolledSocket(listener, port: port)
      state = listening
      return .ok
    } catch {
      return .error(error)
    }
  }

  /// Performs what the state decided, until it decides nothing more.
  private func perform(_ first: ListenerState.Action) -> ControlReply {
    var action = first
    while true {
      switch action {
      case .nothing, .proceed:
        return .ok
      case .refuse(.notListening):
        return .error("einval")
      case .refuse(.alreadyListening), .refuse(.alreadyWaiting):
        return .error("ealready")
      case .watch:
        socket?.watchInput(true)
        return .ok
      case .rest:
        socket?.watchInput(false)
        port.setTimer(milliseconds: ListenerState.restMilliseconds)
        return .ok
      case .tryAccept:
        action = accept()
      }
    }
  }

  private func accept() -> ListenerState.Action {
    guard let socket, let request = state.request else { return .nothing }
    do throws(Errno) {
      guard let descriptor = try SocketCalls.accept(socket.descriptor) else {
        return state.wouldBlock()
      }
      guard let connection = ConnectionPort.accepted(descriptor, by: port, for: acceptor) else {
        return state.exhausted()
      }
      port.reply(to: acceptor, request: request, accepted: connection)
      return state.accepted()
    } catch {
      if error.isExhaustion { return state.exhausted() }
      if error.concernsOneConnection { return .tryAccept }
      port.reply(to: acceptor, request: request, ControlReply.error(error).bytes)
      return state.accepted()
    }
  }
}

/// What `opcodes` answers: a line `name=number` for each, for the test that compares tables.
private func opcodeTable() -> [UInt8] {
  ControlOpcode.allCases.flatMap { Array("\($0.name)=\($0.rawValue)\n".utf8) }
}
