// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct SocketOptionTests {
  private func list(_ bytes: [UInt8]) -> [SocketOption]? {
    var cursor = ByteCursor()
    return SocketOption.list(bytes.span, &cursor)
  }

  private func queries(_ bytes: [UInt8]) -> [SocketOption.Query]? {
    var cursor = ByteCursor()
    return SocketOption.queries(bytes.span, &cursor)
  }

  @Test(arguments: SocketOption.IntegerOption.allCases)
  func integerIsSigned(_ option: SocketOption.IntegerOption) {
    #expect(list([option.rawValue, 0, 4, 0xff, 0xff, 0xff, 0xfe]) == [.integer(option, -2)])
    #expect(queries([option.rawValue]) == [.integer(option)])
  }

  @Test func unknownCodesAreRefused() {
    let integers = SocketOption.IntegerOption.allCases.map(\.rawValue)
    for code in UInt8.min...UInt8.max where !integers.contains(code) && !(32...41).contains(code) {
      #expect(list([code, 0, 4, 0, 0, 0, 1]) == nil)
      #expect(queries([code]) == nil)
    }
  }

  @Test func valueOfTheWrongLengthIsRefused() {
    for code in Array(1...12) + [32] + Array(35...41) as [UInt8] {
      let fits = (0...20).filter { length in
        // For 37 the value is an IPv4 endpoint.
        let value = [4] + [UInt8](repeating: 0, count: 20)
        return list([code, 0, UInt8(length)] + value.prefix(length)) != nil
      }
      #expect(fits == [code == 32 ? 8 : code == 37 ? 7 : 4], "code \(code)")
    }
  }

  @Test func deviceAndRawTakeWhatTheLengthSays() {
    #expect(list([33, 0, 0]) == [.device([])])
    #expect(list([33, 0, 1, 9]) == [.device([9])])
    #expect(list([34, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2]) == [.raw(level: 1, name: 2, value: [])])
    #expect(list([34, 0, 7, 0, 0, 0, 1, 0, 0, 0]) == nil)
  }

  @Test func rawIsBounded() {
    let most = SocketOption.maxRawBytes
    let prefix: [UInt8] = [0, 0, 0, 1, 0, 0, 0, 2]
    for (count, isTaken) in [(most, true), (most + 1, false)] {
      let length = prefix.count + count
      let header = [34, UInt8(length >> 8), UInt8(length & 0xff)]
      let value = [UInt8](repeating: 0, count: count)
      #expect((list(header + prefix + value) != nil) == isTaken)
      let query = [34] + prefix + [0, 0, UInt8(count >> 8), UInt8(count & 0xff)]
      #expect((queries(query) != nil) == isTaken)
    }
    #expect(queries([34] + prefix + [0xff, 0xff, 0xff, 0xff]) == nil)
  }

  @Test(arguments: Tuning.Option.allCases) func tuningIsUnsigned(option: Tuning.Option) {
    let bytes = [option.rawValue, 0, 4, 128, 0, 0, 0]
    #expect(list(bytes) == [.tuning(option, 0x8000_0000)])
    #expect(queries([option.rawValue]) == [.tuning(option)])
  }

  @Test func watermarksAreUnsigned() {
    #expect(list([35, 0, 4, 255, 255, 255, 255]) == [.tuning(.highWatermark, 0xffff_ffff)])
    #expect(list([36, 0, 4, 128, 0, 0, 0]) == [.tuning(.lowWatermark, 0x8000_0000)])
  }
}
