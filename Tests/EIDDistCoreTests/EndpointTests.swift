// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct EndpointTests {
  private func endpoint(_ bytes: [UInt8]) -> Endpoint? {
    var cursor = ByteCursor()
    return Endpoint(bytes.span, &cursor)
  }

  private static let encodings: [[UInt8]] = [
    [4, 192, 0, 2, 1, 0x30, 0x39],
    [4, 0, 0, 0, 0, 0, 0],
    [6, 0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1, 0xff, 0xff],
  ]

  @Test(arguments: encodings) func encodingIsReadAndWrittenAlike(_ bytes: [UInt8]) throws {
    let read = try #require(endpoint(bytes))
    #expect(read.encoded == bytes)
    #expect(read.address.networkBytes == Array(bytes.dropFirst().dropLast(2)))
  }

  @Test(arguments: encodings) func cutEncodingIsRefused(_ bytes: [UInt8]) {
    for length in 0..<bytes.count {
      #expect(endpoint(Array(bytes.prefix(length))) == nil)
    }
  }

  @Test(arguments: encodings) func readsNoFurtherThanItsEnd(_ bytes: [UInt8]) {
    var cursor = ByteCursor()
    let longer = bytes + [1, 2, 3]
    _ = Endpoint(longer.span, &cursor)
    #expect(cursor.remaining(in: longer.span) == 3)
  }

  @Test func otherFamiliesAreRefused() {
    for family in UInt8.min...UInt8.max where family != 4 && family != 6 {
      for length in 0...20 {
        #expect(endpoint([family] + [UInt8](repeating: 1, count: length)) == nil)
      }
    }
  }
}
