// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct ReceiveWindowTests {
  /// The longest round trip, in microseconds, at which 125 KB keep 10 Gbit/s going.
  private let bytes = 125_000
  private let longest = 100

  @Test func bufferIsFixedForANearPeerOnce() {
    var window = ReceiveWindow()
    #expect(window.measured(roundTripMicroseconds: 20, near: bytes) == .fix(bytes: bytes))
    #expect(window.measured(roundTripMicroseconds: 30, near: bytes) == .none)
    #expect(window.measured(roundTripMicroseconds: longest, near: bytes) == .none)
  }

  @Test(arguments: [101, 50_000, Int.max, nil])
  func bufferOfAFarOrUnknownPeerIsTheKernels(microseconds: Int?) {
    var window = ReceiveWindow()
    #expect(window.measured(roundTripMicroseconds: microseconds, near: bytes) == .none)
  }

  @Test func bufferIsGivenBackWhenThePeerMovesAway() {
    var window = ReceiveWindow()
    _ = window.measured(roundTripMicroseconds: longest, near: bytes)
    #expect(window.measured(roundTripMicroseconds: longest + 1, near: bytes) == .release)
    #expect(window.measured(roundTripMicroseconds: longest + 1, near: bytes) == .none)
    #expect(window.measured(roundTripMicroseconds: 1, near: bytes) == .fix(bytes: bytes))
  }

  @Test func anotherSizeIsFixedAnew() {
    var window = ReceiveWindow()
    _ = window.measured(roundTripMicroseconds: 1, near: bytes)
    #expect(window.measured(roundTripMicroseconds: 1, near: 2 * bytes) == .fix(bytes: 2 * bytes))
  }

  @Test func zeroLeavesItToTheKernel() {
    var window = ReceiveWindow()
    #expect(window.measured(roundTripMicroseconds: 0, near: 0) == .none)
    _ = window.measured(roundTripMicroseconds: 1, near: bytes)
    #expect(window.measured(roundTripMicroseconds: 1, near: 0) == .release)
  }
}
