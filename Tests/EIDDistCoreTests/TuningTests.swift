// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct TuningTests {
  @Test(arguments: [
    (high: 0, low: 0), (1, 1), (1, 5), (-3, -7), (10, 10), (10, 200), (Int.max, Int.max),
    (Int.min, Int.min),
  ])
  func lowWatermarkStaysBelowTheHighOne(high: Int, low: Int) {
    var tuning = Tuning()
    tuning.set(.highWatermark, to: high)
    tuning.set(.lowWatermark, to: low)
    #expect(tuning.highWatermark >= 1)
    #expect(tuning.lowWatermark >= 0)
    #expect(tuning.lowWatermark < tuning.highWatermark)
  }

  @Test func loweringTheHighWatermarkTakesTheLowOneAlong() {
    var tuning = Tuning()
    tuning.set(.highWatermark, to: 20)
    #expect(tuning.lowWatermark == 19)
  }

  @Test(arguments: Tuning.Option.allCases) func whatIsSetIsRead(option: Tuning.Option) {
    var tuning = Tuning()
    tuning.set(option, to: 50_000)
    #expect(tuning[option] == 50_000)
  }

  @Test(arguments: Tuning.Option.allCases, [Int.min, -1, 0, Int.max])
  func nothingIsBeyondItsBounds(option: Tuning.Option, bytes: Int) {
    var tuning = Tuning()
    tuning.set(option, to: bytes)
    #expect(tuning[option] >= 0)
    #expect(tuning[option] <= Tuning.maxBytes)
    #expect(tuning.receiveChunk >= ReceiveBuffer.firstChunkBytes)
  }
}
