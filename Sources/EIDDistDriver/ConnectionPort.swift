// SPDX-License-Identifier: Apache-2.0

import CErlDriver
import EIDDistCore

/// The port of one connection: the distribution controller, once it is in data mode.
final class ConnectionPort: EidPort {
  /// How much is read in one input event before other ports get their turn, in bytes.
  static let inputBudgetBytes = 256 * 1024
  /// How long a closing port tries to send what is queued, as prim_inet's close does, and
  /// waits for the peer to have it.
  static let flushMilliseconds: UInt = 5000
  /// How much is read at once by a closing port, which drops it.
  private static let discardedBytes = 16 * 1024
  /// How much has to come before the round trip is measured again: more than the ticks of an
  /// idle peer, which fill no buffer.
  private static let measuredBytes: UInt64 = 1024

  private var state = ConnectionState()
  private var socket: PolledSocket?
  /// The process that waits for ``ConnectionState``'s request.
  private var requester: DriverPort.Pid = 0
  private var sending = SendBuffer()
  private var receiving = ReceiveChunk()
  private var busy = BusyControl()
  private var hold = BatchHold()
  private var tuning = Tuning()
  private var receiveWindow = ReceiveWindow()
  /// A flush is due by the zero timer.
  private var isFlushDue = false
  /// The VM's queue holds our byte, so that a closing port calls ``flush()``.
  private var isHeldOpen = false
  private var isFlushing = false
  private var receivedPackets: UInt64 = 0
  /// Of these, the ones that may each have an answer: no fragments of long messages.
  private var receivedSmallPackets: UInt64 = 0
  private var sentPackets: UInt64 = 0
  private var receivedBytes: UInt64 = 0
  /// What they were when the round trip was measured last.
  private var receivedAtMeasurement: UInt64 = 0
  /// How often the port became busy.
  private var busyCount: UInt64 = 0
  /// For how long it was, up to the last time that it became ready.
  private var busyMicroseconds: UInt64 = 0
  private var busySince: Int64 = 0

  /// Makes the port of an accepted connection, owned by `owner`.
  ///
  /// - Returns: nil when there is no room for it or the owner is gone; the descriptor is
  ///   closed then.
  static func accepted(
    _ descriptor: Int32,
    by listener: DriverPort,
    for owner: DriverPort.Pid
  ) -> DriverPort? {
    let connection = ConnectionPort(listener)
    let data = unsafe ErlDrvData(Unmanaged.passRetained(connection).toOpaque())
    guard let port = unsafe listener.makePort(owner: owner, data: data) else {
      // The VM knows nothing of it, so `stop` will not come.
      unsafe Unmanaged.passUnretained(connection).release()
      Socket.close(descriptor)
      return nil
    }
    port.useBinaryReplies()
    connection.port = port
    connection.socket = PolledSocket(descriptor: descriptor, port: port)
    _ = connection.state.adopted()
    return port
  }

  // MARK: Control commands

  override func control(_ command: ControlCommand) -> ControlReply {
    switch command {
    case .connect(let request, let endpoint, let options):
      return connect(request: request, to: endpoint, options)
    case .send(let packet):
      return sendHandshake(packet)
    case .receive(let request):
      let action = state.receive(request: request)
      if case .refuse(let refusal) = action { return refused(refusal) }
      requester = port.caller
      perform(action)
      return .ok
    case .cancel(let request):
      _ = state.cancel(request: request)
      return .ok
    case .enterDataMode:
      let action = state.enterDataMode()
      if case .proceed = action {
        sending.rest()
        tuneSocket()
      }
      return decided(action)
    case .startDelivery:
      let action = state.startDelivery()
      if case .proceed = action { socket?.watchInput(true) }
      return decided(action)
    case .tick:
      tick()
      return .ok
    case .statistics:
      // Asked for at each tick interval: the route to the peer may be another one by now.
      if receivedBytes &- receivedAtMeasurement > Self.measuredBytes { tuneReceiveWindow() }
      return .ok(bigEndian([receivedPackets, sentPackets, UInt64(sending.byteCount)]))
    case .traffic:
      return .ok(traffic())
    case .setOptions(let options):
      let reply = setOptions(options, on: socket)
      if case .ok = reply { tune(options) }
      return reply
    case .getOptions(let queries):
      return getOptions(queries, of: socket, tuning)
    case .peerName:
      return peerName(of: socket)
    case .socketName:
      return socketName(of: socket)
    case .opcodes, .listen, .accept, .ask, .askOver, .feed, .feedEnd,
      .eventsRequest:
      return .badArgument
    }
  }

  /// `<<ReceivedPackets:64, SentPackets:64, ReceivedBytes:64, SentBytes:64, QueuedBytes:64,
  /// IsBusy:64, BusyCount:64, BusyMicroseconds:64, RoundTripMicroseconds:64>>`, the last one 0
  /// where the kernel does not know it.
  private func traffic() -> [UInt8] {
    var microseconds = busyMicroseconds
    if busy.isBusy { microseconds &+= UInt64(max(0, port.microseconds - busySince)) }
    let roundTrip = socket.flatMap { SocketCalls.smoothedRoundTrip($0.descriptor) } ?? 0
    let counts: [UInt64] = [
      receivedPackets, sentPackets, receivedBytes, sending.sentBytes, UInt64(sending.byteCount),
      busy.isBusy ? 1 : 0, busyCount, microseconds, UInt64(roundTrip),
    ]
    return bigEndian(counts)
  }

  private func connect(
    request: UInt32,
    to endpoint: Endpoint,
    _ options: [SocketOption]
  ) -> ControlReply {
    let action = state.connect(request: request)
    guard case .proceed = action else { return decided(action) }
    requester = port.caller
    do throws(Errno) {
      let socket = try Socket(for: endpoint.address)
      try socket.set(options)
      let isConnected = try socket.connect(to: endpoint)
      self.socket = PolledSocket(socket, port: port)
      tune(options)
      if isConnected {
        perform(state.connected())
      } else {
        self.socket?.watchOutput(true)
      }
    } catch {
      perform(state.ended(.failed(error.number)))
    }
    return .ok
  }

  private func sendHandshake(_ packet: [UInt8]) -> ControlReply {
    let action = state.send()
    guard case .proceed = action else { return decided(action) }
    guard packet.count <= Int(UInt16.max) else { return .error("emsgsize") }
    guard
      sending.appendHeader(packet.count, width: PacketHeader.handshakeBytes),
      sending.appendCopy(packet)
    else { return .error("enomem") }
    sentPackets &+= 1
    // A handshake packet is waited for on the other side, and dist_util wants to know now
    // whether it went out.
    if case .failed(let error) = flushQueue() {
      sendFailed(error)
      return .error(error)
    }
    return .ok
  }

  private func tune(_ options: [SocketOption]) {
    // The high one first, below which the low one has to stay.
    for case .tuning(.highWatermark, let bytes) in options {
      tuning.set(.highWatermark, to: bytes)
    }
    for case .tuning(let option, let bytes) in options where option != .highWatermark {
      tuning.set(option, to: bytes)
    }
    receiving.maxChunkBytes = tuning.receiveChunk
    updateBusy()
    if state.carriesDistribution { tuneSocket() }
  }

  /// What of the tuning the kernel has to know. (Not for the handshake's few bytes: this
  /// waits for the round trip to be measured.)
  private func tuneSocket() {
    guard let socket else { return }
    // A kernel that has no such limit sends no worse than inet_tcp.
    try? SocketCalls.setUnsentLimit(tuning.unsentLimit, on: socket.descriptor)
    tuneReceiveWindow()
  }

  private func tuneReceiveWindow() {
    guard let socket, state.carriesDistribution else { return }
    receivedAtMeasurement = receivedBytes
    let change = receiveWindow.measured(
      roundTripMicroseconds: SocketCalls.shortestRoundTrip(socket.descriptor),
      near: tuning.nearReceiveBuffer
    )
    SocketCalls.perform(change, on: socket.descriptor)
  }

  private func decided(_ action: ConnectionState.Action) -> ControlReply {
    if case .refuse(let refusal) = action { refused(refusal) } else { .ok }
  }

  private func refused(_ refusal: ConnectionState.Refusal) -> ControlReply {
    switch refusal {
    case .notConnected: .error("enotconn")
    case .alreadyConnected: .error("eisconn")
    case .alreadyWaiting: .error("ealready")
    case .closed(let end): .error(end)
    }
  }

  // MARK: VM to socket

  override func outputv(_ vector: UnsafeMutablePointer<ErlIOVec>) {
    switch state.output() {
    case .proceed:
      break
    case .fail:
      // Some process used the port as if it were an ordinary one.
      return fail(.failed(0))
    case .nothing, .refuse, .read, .reply:
      return
    }
    guard unsafe sending.appendMessage(vector) else { return fail(.noMemory) }
    sentPackets &+= 1
    if !isFlushDue, !isHeldOpen,
      hold.isLoneAnswer(sent: sentPackets, received: receivedSmallPackets)
    {
      sendQueued()
    } else {
      scheduleFlush()
    }
  }

  /// Sends an empty packet, so that the peer knows we are alive; what is queued does as well.
  private func tick() {
    guard state.carriesDistribution, !isFlushing, sending.isEmpty, let socket else { return }
    // Nothing was sent for a quarter of the tick time.
    sending.rest()
    receiving.rest(idle: true)
    // At once, since there is no batch. An error is dealt with outside of the control command.
    let isSent = sending.sendTick(to: socket.descriptor)
    // One that found neither room nor memory is none that dist_util may count on.
    if isSent || !sending.isEmpty { sentPackets &+= 1 }
    hold.batchEnded(sent: sentPackets, received: receivedSmallPackets)
    if !isSent { scheduleFlush() }
  }

  /// Has the queue sent at the end of the present batch: a zero timer runs right after the
  /// distribution command that is filling it, or, after ``DriverPort/yield()``, in the port's
  /// next round.
  private func scheduleFlush() {
    holdOpen()
    if socket?.watchesOutput == true {
      updateBusy()
    } else if sending.byteCount >= tuning.stagingLimit {
      sendQueued()
    } else if !isFlushDue {
      isFlushDue = true
      port.setTimer(milliseconds: 0)
    }
  }

  override func timeout() {
    if isFlushing {
      // The peer does not take what is left, and nobody waits for it any more.
      letGo()
      return
    }
    isFlushDue = false
    if hold.waits(
      sent: sentPackets,
      received: receivedSmallPackets,
      bytes: sending.byteCount,
      now: port.microseconds
    ) {
      isFlushDue = true
      port.yield()
      port.setTimer(milliseconds: 0)
    } else {
      sendQueued()
    }
  }

  override func readyOutput() {
    if state.isConnecting {
      socket?.watchOutput(false)
      if let socket, let error = SocketCalls.connectError(socket.descriptor) {
        perform(state.ended(.failed(error.number)))
      } else {
        perform(state.connected())
      }
      return
    }
    sendQueued()
  }

  /// Sends what is queued, and then waits for the peer's end: a close with bytes unread, or
  /// bytes that come after it, make the kernel reset the connection, and drop what the peer
  /// has not read yet.
  override func flush() {
    guard case .proceed = state.flush() else { return letGo() }
    isFlushing = true
    socket?.watchInput(true)
    port.setTimer(milliseconds: Self.flushMilliseconds)
    sendQueued()
  }

  /// Drops what a peer sends to a closing port.
  private func discardInput() {
    guard let descriptor = socket?.descriptor else { return }
    let ended: ConnectionEnd? = unsafe withUnsafeTemporaryAllocation(
      byteCount: Self.discardedBytes,
      alignment: 1
    ) { raw in
      var budget = Self.inputBudgetBytes
      while budget > 0 {
        switch unsafe SocketCalls.receive(descriptor, into: raw.baseAddress!, count: raw.count) {
        case .processed(0): return .closed
        case .processed(let bytes): budget &-= bytes
        case .wouldBlock: return nil
        case .failed(let error): return .failed(error.number)
        }
      }
      return nil
    }
    if let ended { perform(state.ended(ended)) }
  }

  /// Sends what is queued, and deals with what comes of it.
  private func sendQueued() {
    if case .failed(let error) = flushQueue() { sendFailed(error) }
  }

  /// In the handshake nobody may be told before he asks; the socket would be writable all
  /// the while.
  private func sendFailed(_ error: Errno) {
    socket?.watchOutput(false)
    sending.drop()
    letGo()
    perform(state.ended(.failed(error.number)))
  }

  private func flushQueue() -> SendBuffer.SendOutcome {
    guard let socket else { return .allSent }
    let outcome = sending.send(to: socket.descriptor)
    hold.batchEnded(sent: sentPackets, received: receivedSmallPackets)
    switch outcome {
    case .allSent:
      self.socket?.watchOutput(false)
      updateBusy()
      if isFlushing {
        SocketCalls.endOutput(socket.descriptor)
      } else {
        letGo()
      }
    case .blocked:
      holdOpen()
      self.socket?.watchOutput(true)
      updateBusy()
    case .failed:
      break
    }
    return outcome
  }

  private func updateBusy() {
    switch busy.queued(sending.weightedByteCount, tuning) {
    case .none: break
    case .becomeBusy:
      busyCount &+= 1
      busySince = port.microseconds
      port.setBusy(true)
    case .becomeReady:
      busyMicroseconds &+= UInt64(max(0, port.microseconds - busySince))
      port.setBusy(false)
    }
  }

  private func holdOpen() {
    guard !isHeldOpen, let block = unsafe sending.stagingBlock else { return }
    isHeldOpen = true
    unsafe port.holdOpen(with: block)
  }

  private func letGo() {
    guard isHeldOpen else { return }
    isHeldOpen = false
    port.letGo()
  }

  // MARK: Socket to VM

  override func readyInput() {
    if state.delivers {
      receivePackets()
    } else if state.awaitsHandshake {
      perform(.read(bytes: state.handshakeBytesWanted))
    } else if isFlushing {
      discardInput()
    } else {
      // Nothing may be read before it is asked for.
      socket?.watchInput(false)
    }
  }

  private func receivePackets() {
    guard let descriptor = socket?.descriptor else { return }
    var budget = Self.inputBudgetBytes
    while budget > 0 {
      switch receiving.fill(from: descriptor) {
      case .wouldBlock:
        return receiving.rest()
      case .ended(let end):
        return perform(state.ended(end))
      case .received(let bytes, let filledRoom):
        receivedBytes &+= UInt64(bytes)
        guard deliverPackets() else { return }
        // A read that left room has emptied the socket: another would only say so. One that
        // brought a tick alone tells of an idle peer.
        if !filledRoom { return receiving.rest(idle: bytes == PacketHeader.dataBytes) }
        budget &-= bytes
      case .tick:
        receivedBytes &+= UInt64(PacketHeader.dataBytes)
        receivedPackets &+= 1
        receivedSmallPackets &+= 1
        return port.deliverTick()
      }
    }
  }

  /// Gives all whole packets to the VM. Answers false when the port is gone or failed.
  private func deliverPackets() -> Bool {
    while let (next, binary) = unsafe receiving.next() {
      switch next {
      case .packet(let offset, let length):
        receivedPackets &+= 1
        if length < BatchHold.fullBytes { receivedSmallPackets &+= 1 }
        guard unsafe port.deliver(binary, offset: offset, length: length), !isStopped else {
          return false
        }
      case .more:
        return true
      case .tooLong(let bytes):
        perform(state.ended(.packetTooLong(bytes: bytes)))
        return false
      }
    }
    return true
  }

  private func readHandshake(_ count: Int) -> ConnectionState.Action {
    guard let descriptor = socket?.descriptor, count > 0 else { return .nothing }
    return unsafe withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { raw in
      switch unsafe SocketCalls.receive(descriptor, into: raw.baseAddress!, count: count) {
      case .processed(0):
        return state.ended(.closed)
      case .processed(let bytes):
        receivedBytes &+= UInt64(bytes)
        let action = state.read(
          unsafe Span(
            _unsafeElements: UnsafeBufferPointer(
              start: raw.baseAddress!.assumingMemoryBound(to: UInt8.self),
              count: bytes
            )
          )
        )
        if case .reply = action { receivedPackets &+= 1 }
        return action
      case .wouldBlock:
        socket?.watchInput(true)
        return .nothing
      case .failed(let error):
        return state.ended(.failed(error.number))
      }
    }
  }

  // MARK: Performing

  private func perform(_ first: ConnectionState.Action) {
    var action = first
    while true {
      switch action {
      case .nothing, .proceed, .refuse:
        return
      case .read(let bytes):
        action = readHandshake(bytes)
      case .reply(let request, let reply):
        let answer: ControlReply =
          switch reply {
          case .ok: .ok
          case .packet(let packet): .ok(packet)
          case .failed(let end): .error(end)
          }
        return port.reply(to: requester, request: request, answer.bytes)
      case .fail(let end):
        return fail(end)
      }
    }
  }

  /// Ends the port, the owner first told. ``stop()`` runs inside.
  private func fail(_ end: ConnectionEnd) {
    // What is queued has nowhere to go; held open, the port would wait for it.
    sending.drop()
    letGo()
    // A closing port ends once nothing holds it open; failing it as well would stop it twice.
    if isFlushing { return }
    port.tellOwnerClosed()
    switch end {
    case .failed(0): port.fail(reason: "badarg")
    // One of the reasons that net_kernel:monitor_nodes/2 documents for a nodedown; a reset or a
    // time-out is a closed connection as well.
    case .closed, .failed: port.fail(reason: "connection_closed")
    case .packetTooLong: port.fail(reason: "packet_too_long")
    case .noMemory: port.fail(reason: "enomem")
    }
  }

  override func stop() {
    super.stop()
    socket?.release()
    socket = nil
    sending.drop()
    receiving.drop()
  }
}
