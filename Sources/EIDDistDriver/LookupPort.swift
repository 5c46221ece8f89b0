// SPDX-License-Identifier: Apache-2.0

import CErlDriver
import EIDDistCore
import Glibc

/// The port of one question to the Docker Remote API, a published-port lookup or a list of
/// containers: connects there, asks, and gives the answer to the core, all within one
/// deadline.
///
/// Its answer is `<<0, Answer/binary>>` (see ``DaemonQuestion``), or
/// `<<1, NameLength:8, Name/binary, Sentence/binary>>`.
///
/// Where the daemon wants TLS, which is OTP's to speak, the connection and the deadline are
/// Erlang's: it is told what to send, `<<2, Request/binary>>`, and feeds what comes; each time
/// the reply is the answer, or empty while there is none.
final class LookupPort: EidPort {
  private enum Phase {
    case fresh
    case connecting
    case asking
    case answering
    /// Erlang feeds the answer.
    case fed
    case done
  }

  /// Bytes read at a time.
  private static let readBytes = 16 * 1024
  /// Bytes read in one input event before other ports get their turn: the scanner takes
  /// about a millisecond for so many.
  private static let inputBudgetBytes = 32 * 1024

  private var phase = Phase.fresh
  private var socket: PolledSocket?
  private var question: DaemonQuestion?
  private var target: LookupTarget?
  private var request: UInt32 = 0
  private var requester: DriverPort.Pid = 0
  /// What of the HTTP request is still to be sent.
  private var unsent: ArraySlice<UInt8> = []

  override func control(_ command: ControlCommand) -> ControlReply {
    switch command {
    case .ask(let command, let request, let deadline):
      guard case .fresh = phase else { return .error("ealready") }
      requester = port.caller
      self.request = request
      start(command, deadlineMilliseconds: deadline)
      return .ok
    case .askOver(let command):
      guard case .fresh = phase else { return .error("ealready") }
      return startFed(command)
    case .feed(let bytes):
      guard case .fed = phase else { return .badArgument }
      guard let result = takeIn(bytes.span) else { return .ok }
      return finishFed(result)
    case .feedEnd(let reason):
      guard case .fed = phase, var question else { return .badArgument }
      guard reason.isEmpty else {
        return finishFed(.failure(.init(errorName: reason, question.target)))
      }
      return finishFed(question.connectionClosed())
    case .eventsRequest(let daemon, let label):
      return eventsRequest(to: daemon, label: label)
    case .cancel:
      // The port is closed right after.
      return .ok
    case .opcodes, .listen, .accept, .connect, .send, .receive, .enterDataMode,
      .startDelivery, .tick, .statistics, .traffic, .setOptions, .getOptions, .peerName,
      .socketName:
      return .badArgument
    }
  }

  private func startFed(_ command: ControlCommand.DaemonCommand) -> ControlReply {
    do throws(LookupFailure) {
      let question = try DaemonQuestion(command)
      self.question = question
      phase = .fed
      return .ok([2] + question.request)
    } catch {
      return finishFed(.failure(error))
    }
  }

  private func finishFed(_ result: Result<[UInt8], LookupFailure>) -> ControlReply {
    phase = .done
    question = nil
    return .ok(answer(result))
  }

  private func start(_ command: ControlCommand.DaemonCommand, deadlineMilliseconds: UInt32) {
    do throws(LookupFailure) {
      start(try DaemonQuestion(command), deadlineMilliseconds: deadlineMilliseconds)
    } catch {
      finish(.failure(error))
    }
  }

  /// For whoever opens the stream himself.
  private func eventsRequest(to daemon: Endpoint, label: [UInt8]) -> ControlReply {
    do throws(LookupFailure) {
      return .ok(try ContainerLabel(label).eventsRequest(to: daemon))
    } catch {
      return .error("einval")
    }
  }

  private func start(_ question: DaemonQuestion, deadlineMilliseconds: UInt32) {
    let target = question.target
    unsent = question.request[...]
    self.question = question
    self.target = target
    port.setTimer(milliseconds: UInt(deadlineMilliseconds))
    do throws(Errno) {
      let socket = try Socket(for: target.daemon.address)
      phase = .connecting
      let isConnected = try socket.connect(to: target.daemon)
      self.socket = PolledSocket(socket, port: port)
      if isConnected { ask() } else { self.socket?.watchOutput(true) }
    } catch {
      finish(.failure(.init(error, target)))
    }
  }

  override func readyOutput() {
    guard let socket, let target else { return }
    if case .connecting = phase, let error = SocketCalls.connectError(socket.descriptor) {
      return finish(.failure(.init(error, target)))
    }
    ask()
  }

  /// Sends the request, or what is left of it.
  private func ask() {
    guard let socket, let target else { return }
    phase = .asking
    while !unsent.isEmpty {
      switch SocketCalls.send(socket.descriptor, unsent) {
      case .processed(let count):
        unsent = unsent.dropFirst(count)
      case .wouldBlock:
        self.socket?.watchOutput(true)
        return
      case .failed(let error):
        return finish(.failure(.init(error, target)))
      }
    }
    self.socket?.watchOutput(false)
    self.socket?.watchInput(true)
  }

  override func readyInput() {
    guard let socket, let target else { return }
    var budget = Self.inputBudgetBytes
    while budget > 0 {
      var result: Result<[UInt8], LookupFailure>?
      let transfer = unsafe withUnsafeTemporaryAllocation(
        of: UInt8.self,
        capacity: Self.readBytes
      ) { buffer in
        let transfer = unsafe SocketCalls.receive(
          socket.descriptor,
          into: UnsafeMutableRawPointer(buffer.baseAddress!),
          count: Self.readBytes
        )
        if case .processed(let count) = transfer, count > 0 {
          result = unsafe takeIn(
            Span(_unsafeElements: UnsafeBufferPointer(buffer.extracting(0..<count)))
          )
        }
        return transfer
      }
      switch transfer {
      case .processed(0):
        guard let result = question?.connectionClosed() else { return }
        return finish(result)
      case .processed(let count):
        phase = .answering
        if let result { return finish(result) }
        budget &-= count
      case .wouldBlock:
        return
      case .failed(let error):
        return finish(.failure(.init(error, target)))
      }
    }
  }

  private func takeIn(_ bytes: Span<UInt8>) -> Result<[UInt8], LookupFailure>? {
    question?.receive(bytes)
  }

  override func timeout() {
    guard let target else { return }
    switch phase {
    case .fresh, .fed, .done: break
    case .connecting: finish(.failure(.connectTimedOut(target)))
    case .asking: finish(.failure(.answerTimedOut(target)))
    case .answering: finish(.failure(.answerStalled(target)))
    }
  }

  override func stop() {
    super.stop()
    socket?.release()
    socket = nil
  }

  /// Answers, and lets go of the connection. Erlang closes the port.
  private func finish(_ result: Result<[UInt8], LookupFailure>) {
    if case .done = phase { return }
    phase = .done
    port.cancelTimer()
    socket?.release()
    socket = nil
    question = nil
    port.reply(to: requester, request: request, ControlReply.ok(answer(result)).bytes)
  }

  private func answer(_ result: Result<[UInt8], LookupFailure>) -> [UInt8] {
    switch result {
    case .success(let bytes):
      return [0] + bytes
    case .failure(let failure):
      let name = Array(failure.name.utf8)
      return [1, UInt8(clamping: name.count)] + name + Array(failure.sentence.utf8)
    }
  }
}

extension LookupFailure {
  /// The failure that an error's name stands for, as Erlang gives it.
  fileprivate init(errorName: [UInt8], _ target: LookupTarget) {
    switch String(decoding: errorName, as: UTF8.self) {
    case "econnrefused":
      self = .connectionRefused(target)
    case "econnreset", "epipe":
      self = .connectionReset(target)
    case "connect_timeout", "etimedout":
      self = .connectTimedOut(target)
    case "answer_timeout":
      self = .answerTimedOut(target)
    case "answer_stalled":
      self = .answerStalled(target)
    case "ehostunreach", "enetunreach", "ehostdown", "enetdown", "eaddrnotavail", "eacces",
      "eperm":
      self = .unreachable(target, reason: String(decoding: errorName, as: UTF8.self))
    default:
      self = .systemError(target, reason: String(decoding: errorName.prefix(200), as: UTF8.self))
    }
  }

  /// The failure that an error of a system call stands for.
  fileprivate init(_ error: Errno, _ target: LookupTarget) {
    switch error.number {
    case ECONNREFUSED:
      self = .connectionRefused(target)
    case ECONNRESET, EPIPE:
      self = .connectionReset(target)
    case ETIMEDOUT:
      self = .connectTimedOut(target)
    case EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN, EADDRNOTAVAIL, EACCES, EPERM:
      self = .unreachable(target, reason: error.text)
    default:
      self = .systemError(target, reason: error.text)
    }
  }
}
