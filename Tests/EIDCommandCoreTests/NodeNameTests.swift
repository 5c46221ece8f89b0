// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDCommandCore

@Suite struct NodeNameTests {
  @Test func nameHasTwoParts() throws {
    let name = try NodeName("85cbfa041dbf@10.77.0.1")
    #expect(name.left == "85cbfa041dbf")
    #expect(name.host == "10.77.0.1")
    #expect(name.isLong)
    #expect(try NodeName("web@fd77::1").isLong)
    #expect(try !NodeName("web@docker1").isLong)
  }

  @Test(arguments: ["", "web", "@", "web@", "@host", "a@b@c", "a b@host", "web@ho\nst", "wéb@host"])
  func otherTextIsNone(_ text: String) {
    #expect {
      try NodeName(text)
    } throws: { error in
      let sentence = (error as? NodeNameFailure)?.sentence ?? ""
      return sentence.contains("ContainerID@Host") && !sentence.contains { $0.isNewline }
    }
  }

  @Test func nameHasALimit() throws {
    _ = try NodeName(String(repeating: "a", count: 253) + "@h")
    #expect(throws: NodeNameFailure.tooLong) {
      try NodeName(String(repeating: "a", count: 254) + "@h")
    }
  }
}
