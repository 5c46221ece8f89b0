// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct BusyControlTests {
  private func watermarks(_ high: Int, _ low: Int) -> Tuning {
    var tuning = Tuning()
    tuning.set(.highWatermark, to: high)
    tuning.set(.lowWatermark, to: low)
    return tuning
  }

  @Test func becomesBusyAtTheHighWatermarkAndReadyAtTheLowOne() {
    let tuning = watermarks(100, 50)
    var busy = BusyControl()
    #expect(busy.queued(0, tuning) == .none)
    #expect(busy.queued(99, tuning) == .none)
    #expect(busy.queued(100, tuning) == .becomeBusy)
    #expect(busy.queued(101, tuning) == .none)
    #expect(busy.queued(51, tuning) == .none)
    #expect(busy.isBusy)
    #expect(busy.queued(50, tuning) == .becomeReady)
    #expect(!busy.isBusy)
    #expect(busy.queued(99, tuning) == .none)
    #expect(busy.queued(Int.max, tuning) == .becomeBusy)
    #expect(busy.queued(0, tuning) == .becomeReady)
  }

  @Test func otherWatermarksHoldAtOnce() {
    var busy = BusyControl()
    #expect(busy.queued(20, watermarks(100, 10)) == .none)
    #expect(busy.queued(20, watermarks(20, 10)) == .becomeBusy)
    #expect(busy.queued(20, watermarks(100, 10)) == .none)
    #expect(busy.queued(20, watermarks(100, 20)) == .becomeReady)
  }

  @Test func emptyQueueIsReadyWhateverTheWatermarks() {
    var random = Seeded(1)
    for _ in 0..<1000 {
      var busy = BusyControl()
      var tuning = Tuning()
      var told = false
      for _ in 0..<10 {
        switch Int.random(in: 0...2, using: &random) {
        case 0: tuning.set(.highWatermark, to: .random(in: -10...1000, using: &random))
        case 1: tuning.set(.lowWatermark, to: .random(in: -10...1000, using: &random))
        default:
          switch busy.queued(.random(in: 0...1000, using: &random), tuning) {
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
      #expect(busy.queued(0, tuning) == (told ? .becomeReady : .none))
    }
  }
}
