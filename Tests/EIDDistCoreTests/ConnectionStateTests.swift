// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct ConnectionStateTests {
  private enum Situation: CaseIterable {
    case fresh, connecting
    /// In the handshake: nobody waits, nobody waits but a packet has begun, request 7
    /// waits, request 7 waits for the rest of a packet.
    case idle, begun, waiting, waitingForRest
    case silent, data, flushing
    case ended

    var state: ConnectionState {
      var state = ConnectionState()
      switch self {
      case .fresh: break
      case .connecting: _ = state.connect(request: 7)
      case .idle: _ = state.adopted()
      case .waiting:
        state = Situation.idle.state
        _ = state.receive(request: 7)
      case .waitingForRest:
        state = Situation.waiting.state
        _ = state.read([0].span)
      case .begun:
        state = Situation.waitingForRest.state
        _ = state.cancel(request: 7)
      case .silent:
        state = Situation.idle.state
        _ = state.enterDataMode()
      case .data:
        state = Situation.silent.state
        _ = state.startDelivery()
      case .flushing:
        state = Situation.data.state
        _ = state.flush()
      case .ended:
        _ = state.ended(.closed)
      }
      return state
    }
  }

  private typealias Action = ConnectionState.Action
  private typealias Row = (from: Situation, action: Action, to: Situation)

  /// Expects of `event` what the rows say: one for each situation.
  private func check(_ rows: [Row], _ event: (inout ConnectionState) -> Action) {
    #expect(rows.map(\.from) == Situation.allCases)
    for row in rows {
      var state = row.from.state
      #expect(event(&state) == row.action, "in \(row.from)")
      #expect(state == row.to.state, "from \(row.from)")
    }
  }

  /// Expects that `property` holds in exactly these situations.
  private func expect(_ property: (ConnectionState) -> Bool, onlyIn situations: [Situation]) {
    #expect(Situation.allCases.filter { property($0.state) } == situations)
  }

  private let closed = Action.refuse(.closed(.closed))

  @Test func situationsDiffer() {
    for first in Situation.allCases {
      for second in Situation.allCases {
        #expect((first.state == second.state) == (first == second))
      }
    }
  }

  @Test func whatHoldsInWhichState() {
    expect(\.carriesDistribution, onlyIn: [.silent, .data, .flushing])
    expect(\.delivers, onlyIn: [.data])
    expect(\.awaitsHandshake, onlyIn: [.waiting, .waitingForRest])
    expect(\.isConnecting, onlyIn: [.connecting])
    expect(
      \.isConnected,
      onlyIn: [.idle, .begun, .waiting, .waitingForRest, .silent, .data, .flushing]
    )
    #expect(Situation.allCases.map(\.state.handshakeBytesWanted) == [0, 0, 0, 0, 2, 1, 0, 0, 0, 0])
  }

  @Test func connect() {
    check([
      (.fresh, .proceed, .connecting),
      (.connecting, .refuse(.alreadyConnected), .connecting),
      (.idle, .refuse(.alreadyConnected), .idle),
      (.begun, .refuse(.alreadyConnected), .begun),
      (.waiting, .refuse(.alreadyConnected), .waiting),
      (.waitingForRest, .refuse(.alreadyConnected), .waitingForRest),
      (.silent, .refuse(.alreadyConnected), .silent),
      (.data, .refuse(.alreadyConnected), .data),
      (.flushing, .refuse(.alreadyConnected), .flushing),
      (.ended, closed, .ended),
    ]) { $0.connect(request: 7) }
  }

  @Test func adopted() {
    check([
      (.fresh, .proceed, .idle),
      (.connecting, .refuse(.alreadyConnected), .connecting),
      (.idle, .refuse(.alreadyConnected), .idle),
      (.begun, .refuse(.alreadyConnected), .begun),
      (.waiting, .refuse(.alreadyConnected), .waiting),
      (.waitingForRest, .refuse(.alreadyConnected), .waitingForRest),
      (.silent, .refuse(.alreadyConnected), .silent),
      (.data, .refuse(.alreadyConnected), .data),
      (.flushing, .refuse(.alreadyConnected), .flushing),
      (.ended, .refuse(.alreadyConnected), .ended),
    ]) { $0.adopted() }
  }

  @Test func send() {
    check([
      (.fresh, .refuse(.notConnected), .fresh),
      (.connecting, .refuse(.notConnected), .connecting),
      (.idle, .proceed, .idle),
      (.begun, .proceed, .begun),
      (.waiting, .proceed, .waiting),
      (.waitingForRest, .proceed, .waitingForRest),
      (.silent, .refuse(.notConnected), .silent),
      (.data, .refuse(.notConnected), .data),
      (.flushing, .refuse(.notConnected), .flushing),
      (.ended, closed, .ended),
    ]) { $0.send() }
  }

  @Test func receive() {
    check([
      (.fresh, .refuse(.notConnected), .fresh),
      (.connecting, .refuse(.notConnected), .connecting),
      (.idle, .read(bytes: 2), .waiting),
      (.begun, .read(bytes: 1), .waitingForRest),
      (.waiting, .refuse(.alreadyWaiting), .waiting),
      (.waitingForRest, .refuse(.alreadyWaiting), .waitingForRest),
      (.silent, .refuse(.notConnected), .silent),
      (.data, .refuse(.notConnected), .data),
      (.flushing, .refuse(.notConnected), .flushing),
      (.ended, closed, .ended),
    ]) { $0.receive(request: 7) }
  }

  @Test func cancelOfTheRequestThatWaits() {
    check([
      (.fresh, .nothing, .fresh),
      (.connecting, .nothing, .connecting),
      (.idle, .nothing, .idle),
      (.begun, .nothing, .begun),
      (.waiting, .proceed, .idle),
      (.waitingForRest, .proceed, .begun),
      (.silent, .nothing, .silent),
      (.data, .nothing, .data),
      (.flushing, .nothing, .flushing),
      (.ended, .nothing, .ended),
    ]) { $0.cancel(request: 7) }
  }

  @Test func cancelOfAnotherRequest() {
    check(Situation.allCases.map { ($0, .nothing, $0) }) { $0.cancel(request: 8) }
  }

  @Test func enterDataMode() {
    check([
      (.fresh, .refuse(.notConnected), .fresh),
      (.connecting, .refuse(.notConnected), .connecting),
      (.idle, .proceed, .silent),
      (.begun, .refuse(.alreadyWaiting), .begun),
      (.waiting, .refuse(.alreadyWaiting), .waiting),
      (.waitingForRest, .refuse(.alreadyWaiting), .waitingForRest),
      (.silent, .proceed, .silent),
      (.data, .refuse(.notConnected), .data),
      (.flushing, .refuse(.notConnected), .flushing),
      (.ended, closed, .ended),
    ]) { $0.enterDataMode() }
  }

  @Test func startDelivery() {
    check([
      (.fresh, .refuse(.notConnected), .fresh),
      (.connecting, .refuse(.notConnected), .connecting),
      (.idle, .refuse(.notConnected), .idle),
      (.begun, .refuse(.notConnected), .begun),
      (.waiting, .refuse(.notConnected), .waiting),
      (.waitingForRest, .refuse(.notConnected), .waitingForRest),
      (.silent, .proceed, .data),
      (.data, .refuse(.notConnected), .data),
      (.flushing, .refuse(.notConnected), .flushing),
      (.ended, closed, .ended),
    ]) { $0.startDelivery() }
  }

  @Test func output() {
    check([
      (.fresh, .fail(.failed(0)), .fresh),
      (.connecting, .fail(.failed(0)), .connecting),
      (.idle, .fail(.failed(0)), .idle),
      (.begun, .fail(.failed(0)), .begun),
      (.waiting, .fail(.failed(0)), .waiting),
      (.waitingForRest, .fail(.failed(0)), .waitingForRest),
      (.silent, .proceed, .silent),
      (.data, .proceed, .data),
      (.flushing, .nothing, .flushing),
      (.ended, .nothing, .ended),
    ]) { $0.output() }
  }

  @Test func flush() {
    check([
      (.fresh, .nothing, .fresh),
      (.connecting, .nothing, .connecting),
      (.idle, .proceed, .flushing),
      (.begun, .proceed, .flushing),
      (.waiting, .proceed, .flushing),
      (.waitingForRest, .proceed, .flushing),
      (.silent, .proceed, .flushing),
      (.data, .proceed, .flushing),
      (.flushing, .nothing, .flushing),
      (.ended, .nothing, .ended),
    ]) { $0.flush() }
  }

  @Test func connected() {
    check([
      (.fresh, .nothing, .fresh),
      (.connecting, .reply(request: 7, .ok), .idle),
      (.idle, .nothing, .idle),
      (.begun, .nothing, .begun),
      (.waiting, .nothing, .waiting),
      (.waitingForRest, .nothing, .waitingForRest),
      (.silent, .nothing, .silent),
      (.data, .nothing, .data),
      (.flushing, .nothing, .flushing),
      (.ended, .nothing, .ended),
    ]) { $0.connected() }
  }

  @Test func readOfAPacketsFirstByte() {
    check([
      (.fresh, .nothing, .fresh),
      (.connecting, .nothing, .connecting),
      (.idle, .nothing, .idle),
      (.begun, .nothing, .begun),
      (.waiting, .read(bytes: 1), .waitingForRest),
      // Its second byte there: an empty packet.
      (.waitingForRest, .reply(request: 7, .packet([])), .idle),
      (.silent, .nothing, .silent),
      (.data, .nothing, .data),
      (.flushing, .nothing, .flushing),
      (.ended, .nothing, .ended),
    ]) { $0.read([0].span) }
  }

  @Test func packetIsReadInTwoPartsAndAnswersTheRequest() {
    var state = Situation.waiting.state
    #expect(state.read([0, 3].span) == .read(bytes: 3))
    #expect(state.read([8, 9].span) == .read(bytes: 1))
    #expect(state.read([10].span) == .reply(request: 7, .packet([8, 9, 10])))
    #expect(state == Situation.idle.state)
  }

  @Test func packetThatIsTooLongEndsTheConnection() {
    var state = Situation.waiting.state
    let end = ConnectionEnd.packetTooLong(bytes: 0x4745)
    #expect(state.read([0x47, 0x45].span) == .reply(request: 7, .failed(end)))
    #expect(state.receive(request: 8) == .refuse(.closed(end)))
    #expect(!state.isConnected)
  }

  @Test func ended() {
    check([
      (.fresh, .nothing, .ended),
      (.connecting, .reply(request: 7, .failed(.closed)), .ended),
      (.idle, .nothing, .ended),
      (.begun, .nothing, .ended),
      (.waiting, .reply(request: 7, .failed(.closed)), .ended),
      (.waitingForRest, .reply(request: 7, .failed(.closed)), .ended),
      (.silent, .fail(.closed), .ended),
      (.data, .fail(.closed), .ended),
      (.flushing, .fail(.closed), .ended),
      (.ended, .nothing, .ended),
    ]) { $0.ended(.closed) }
  }

  @Test func firstEndIsTheOneThatIsTold() {
    var state = Situation.idle.state
    #expect(state.ended(.failed(104)) == .nothing)
    #expect(state.ended(.closed) == .nothing)
    #expect(state.send() == .refuse(.closed(.failed(104))))
  }
}
