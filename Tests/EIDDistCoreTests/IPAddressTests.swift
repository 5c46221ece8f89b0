// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct IPAddressTests {
  @Test(arguments: [
    "0.0.0.0", "127.0.0.1", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1",
    "fe80::1:0:0:1", "1:2:3:4:5:6:7:8", "1::8", "1:0:2::", "::2:0:0:3", "::ffff:192.0.2.1",
    "1:2:3:4:5:6:7:0", "1::3:4:5:6:7:8".replacing("1::3", with: "1:0:3"),
  ])
  func textThatIsCanonicalReadsAndWritesTheSame(_ text: String) throws {
    #expect(try #require(IPAddress(text: text.utf8)).description == text)
  }

  @Test(arguments: [
    ("2001:DB8:0:0::1", "2001:db8::1"), ("0:0:0:0:0:0:0:0", "::"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
    ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
    ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("00ab::", "ab::"),
  ])
  func otherTextIsWrittenCanonically(_ text: String, _ canonical: String) throws {
    #expect(try #require(IPAddress(text: text.utf8)).description == canonical)
  }

  @Test(arguments: [
    "", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ", " 1.2.3.4", "01.2.3.4", "1..2.3",
    "1.2.3.-4", "+1.2.3.4", "1.2.3.4/8", "localhost", ":", ":::", "1:", ":1", "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9", "1::2::3", "::1::", "1:2:3:4:5:6:7:8::", "12345::", "g::", "::1%eth0",
    "1.2.3.4::", "::1.2.3", "[::1]", "1:2:3:4:5:6:7:1.2.3.4", "::٣", "1::2:3:4:5:6:7:8",
    "0000:0000:0000:0000:0000:ffff:192.168.100.2000", "99999999999999999999.1.1.1",
  ])
  func textThatIsNoAddressIsRefused(_ text: String) {
    #expect(IPAddress(text: text.utf8) == nil)
  }

  @Test func networkBytesReadAndWriteTheSame() {
    for bytes: [UInt8] in [[192, 0, 2, 1], [0x20, 1, 0xd, 0xb8] + Array(1...12)] {
      #expect(IPAddress(networkBytes: bytes)?.networkBytes == bytes)
    }
    for count in [0, 3, 5, 15, 17] {
      #expect(IPAddress(networkBytes: [UInt8](repeating: 0, count: count)) == nil)
    }
  }

  @Test func anyAndLoopbackAreKnownInBothFamilies() throws {
    func address(_ text: String) throws -> IPAddress {
      try #require(IPAddress(text: text.utf8))
    }
    for text in ["0.0.0.0", "::"] { #expect(try address(text).isAny) }
    for text in ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"] {
      #expect(try address(text).isLoopback)
    }
    for text in ["192.0.2.1", "2001:db8::1", "128.0.0.1", "::2", "::127.0.0.1"] {
      #expect(try !address(text).isAny && !address(text).isLoopback)
    }
    #expect(try address("::ffff:192.0.2.1").unmapped == address("192.0.2.1"))
    #expect(try address("2001:db8::1").unmapped == address("2001:db8::1"))
  }
}
