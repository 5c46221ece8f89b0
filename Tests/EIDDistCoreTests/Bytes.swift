// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Random numbers that are the same in every run (SplitMix64), so that a failure comes again.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    let words = (0..<(count + 7) / 8).map { _ in next() }
    return words.withUnsafeBytes { Array($0.prefix(count)) }
  }
}

/// One after the other. (What joined() and == do; those take most of the run where they are
/// not optimised.)
func joined(_ packets: [[UInt8]]) -> [UInt8] {
  packets.reduce(into: []) { $0 += $1 }
}

func isSame(_ bytes: [UInt8], _ others: [UInt8]) -> Bool {
  bytes.count == others.count && memcmp(bytes, others, bytes.count) == 0
}
