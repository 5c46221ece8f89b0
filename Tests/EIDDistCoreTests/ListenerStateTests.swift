// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct ListenerStateTests {
  private enum Situation: CaseIterable {
    case fresh, idle, accepting, resting

    /// A listener in this situation, where request 7 waits if one does.
    var state: ListenerState {
      var state = ListenerState()
      if self == .fresh { return state }
      _ = state.listen()
      if self == .idle { return state }
      _ = state.accept(request: 7)
      if self == .accepting { return state }
      _ = state.exhausted()
      return state
    }
  }

  private typealias Row = (from: Situation, action: ListenerState.Action, to: Situation)

  /// Expects of `event` what the rows say: one for each situation.
  private func check(_ rows: [Row], _ event: (inout ListenerState) -> ListenerState.Action) {
    #expect(rows.map(\.from) == Situation.allCases)
    for row in rows {
      var state = row.from.state
      #expect(event(&state) == row.action, "in \(row.from)")
      #expect(state == row.to.state, "from \(row.from)")
    }
  }

  @Test func situationsDifferAndSayWhoWaits() {
    for first in Situation.allCases {
      for second in Situation.allCases {
        #expect((first.state == second.state) == (first == second))
      }
      #expect(first.state.request == (first == .accepting || first == .resting ? 7 : nil))
    }
  }

  @Test func listen() {
    check([
      (.fresh, .proceed, .idle),
      (.idle, .refuse(.alreadyListening), .idle),
      (.accepting, .refuse(.alreadyListening), .accepting),
      (.resting, .refuse(.alreadyListening), .resting),
    ]) { $0.listen() }
  }

  @Test func accept() {
    check([
      (.fresh, .refuse(.notListening), .fresh),
      (.idle, .tryAccept, .accepting),
      (.accepting, .refuse(.alreadyWaiting), .accepting),
      (.resting, .refuse(.alreadyWaiting), .resting),
    ]) { $0.accept(request: 7) }
  }

  @Test func cancelOfTheRequestThatWaits() {
    check([
      (.fresh, .nothing, .fresh),
      (.idle, .nothing, .idle),
      (.accepting, .proceed, .idle),
      (.resting, .proceed, .idle),
    ]) { $0.cancel(request: 7) }
  }

  @Test func cancelOfAnotherRequest() {
    check([
      (.fresh, .nothing, .fresh),
      (.idle, .nothing, .idle),
      (.accepting, .nothing, .accepting),
      (.resting, .nothing, .resting),
    ]) { $0.cancel(request: 8) }
  }

  @Test func wake() {
    check([
      (.fresh, .nothing, .fresh),
      (.idle, .nothing, .idle),
      (.accepting, .tryAccept, .accepting),
      (.resting, .tryAccept, .accepting),
    ]) { $0.wake() }
  }

  @Test func accepted() {
    check([
      (.fresh, .nothing, .fresh),
      (.idle, .nothing, .idle),
      (.accepting, .proceed, .idle),
      (.resting, .proceed, .idle),
    ]) { $0.accepted() }
  }

  @Test func wouldBlock() {
    check([
      (.fresh, .nothing, .fresh),
      (.idle, .nothing, .idle),
      (.accepting, .watch, .accepting),
      (.resting, .nothing, .resting),
    ]) { $0.wouldBlock() }
  }

  @Test func exhausted() {
    check([
      (.fresh, .nothing, .fresh),
      (.idle, .nothing, .idle),
      (.accepting, .rest, .resting),
      (.resting, .nothing, .resting),
    ]) { $0.exhausted() }
  }
}
