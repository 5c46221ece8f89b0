// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What libFuzzer calls with each input. A target has its own file with `run(_:)`, and is
/// compiled with the core as one module.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  run(unsafe Array(UnsafeBufferPointer(start: bytes, count: count)))
  return 0
}

/// Ends the run, so that libFuzzer keeps the input.
func check(_ condition: Bool, _ what: @autoclosure () -> String) {
  if !condition { fatalError(what()) }
}

/// Whether the bytes are the same. (In C, since a loop of Swift's would be traced by the fuzzer
/// for each byte.)
func same(_ one: ArraySlice<UInt8>, _ other: ArraySlice<UInt8>) -> Bool {
  one.count == other.count
    && one.withUnsafeBytes { left in
      other.withUnsafeBytes { right in
        left.isEmpty || memcmp(left.baseAddress!, right.baseAddress!, left.count) == 0
      }
    }
}

/// An input as a sequence of decisions; all zeros once it has ended.
struct Decisions {
  private let input: [UInt8]
  private var position = 0

  init(_ input: [UInt8]) { self.input = input }

  var isAtEnd: Bool { position >= input.count }

  mutating func byte() -> UInt8 {
    guard position < input.count else { return 0 }
    position += 1
    return input[position - 1]
  }

  mutating func below(_ limit: Int) -> Int { Int(byte()) % limit }

  mutating func uint16() -> Int { Int(byte()) << 8 | Int(byte()) }

  mutating func bytes(_ count: Int) -> [UInt8] {
    let end = min(position + count, input.count)
    defer { position = end }
    return Array(input[position..<end])
  }

  mutating func rest() -> [UInt8] { bytes(input.count) }
}
