// SPDX-License-Identifier: Apache-2.0

import EIDCommandCore
import Testing

@Suite struct HexTextTests {
  @Test func thereAndBack() {
    let bytes = (0...255).map(UInt8.init)
    #expect(HexText.text([0, 0x0a, 0xff]) == "000aff")
    #expect(HexText.bytes(HexText.text(bytes)) == bytes)
    #expect(HexText.bytes("0AfF") == [0x0a, 0xff])
  }

  @Test(arguments: ["", "0", "0g", "+1", "é1", "123"])
  func whatIsNone(_ text: String) {
    #expect(HexText.bytes(text) == [])
  }
}
