// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct BusyControlTests {
  @Test func becomesBusyAtTheHighWatermarkAndReadyAtTheLowOne() {
    var busy = BusyControl(highWatermark: 100, lowWatermark: 50)
    #expect(busy.queued(0) == .none)
    #expect(busy.queued(99) == .none)
    #expect(busy.queued(100) == .becomeBusy)
    #expect(busy.queued(101) == .none)
    #expect(busy.queued(51) == .none)
    #expect(busy.isBusy)
    #expect(busy.queued(50) == .becomeReady)
    #expect(!busy.isBusy)
    #expect(busy.queued(99) == .none)
    #expect(busy.queued(Int.max) == .becomeBusy)
    #expect(busy.queued(0) == .becomeReady)
  }

  @Test(arguments: [
    (high: 0, low: 0), (1, 1), (1, 5), (-3, -7), (10, 10), (10, 200), (Int.max, Int.max),
    (Int.min, Int.min),
  ])
  func lowWatermarkStaysBelowTheHighOne(high: Int, low: Int) {
    var set = BusyControl()
    set.setHighWatermark(high)
    set.setLowWatermark(low)
    for busy in [BusyControl(highWatermark: high, lowWatermark: low), set] {
      #expect(busy.highWatermark >= 1)
      #expect(busy.lowWatermark >= 0)
      #expect(busy.lowWatermark < busy.highWatermark)
    }
  }

  @Test func loweringTheHighWatermarkTakesTheLowOneAlong() {
    var busy = BusyControl(highWatermark: 100, lowWatermark: 50)
    busy.setHighWatermark(20)
    #expect(busy.lowWatermark == 19)
    #expect(busy.queued(20) == .becomeBusy)
  }

  @Test func raisingTheLowWatermarkMakesABusyPortReady() {
    var busy = BusyControl(highWatermark: 100, lowWatermark: 10)
    #expect(busy.queued(100) == .becomeBusy)
    #expect(busy.queued(60) == .none)
    busy.setLowWatermark(60)
    #expect(busy.queued(60) == .becomeReady)
  }

  @Test func emptyQueueIsReadyWhateverTheWatermarks() {
    var random = Seeded(1)
    for _ in 0..<1000 {
      var busy = BusyControl()
      var told = false
      for _ in 0..<10 {
        switch Int.random(in: 0...2, using: &random) {
        case 0: busy.setHighWatermark(.random(in: -10...1000, using: &random))
        case 1: busy.setLowWatermark(.random(in: -10...1000, using: &random))
        default:
          switch busy.queued(.random(in: 0...1000, using: &random)) {
          case .none: break
          case .becomeBusy:
            #expect(!told)
            told = true
          case .becomeReady:
            #expect(told)
            told = false
          }
        }
      }
      #expect(busy.queued(0) == (told ? .becomeReady : .none))
    }
  }
}
