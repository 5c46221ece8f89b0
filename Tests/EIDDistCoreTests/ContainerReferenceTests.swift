// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct ContainerReferenceTests {
  private let fullID = Inspect.id
  private var shortID: String { String(fullID.prefix(12)) }

  private func reference(_ text: String) throws -> ContainerReference {
    try ContainerReference(text.utf8)
  }

  @Test func twelveOrSixtyFourHexadecimalDigitsAreAnID() throws {
    for text in [shortID, fullID] {
      let reference = try reference(text)
      #expect(reference.isID)
      #expect(reference.matches(id: Array(fullID.utf8), name: Array("/web".utf8)))
      #expect(!reference.matches(id: Array("f\(fullID)".utf8), name: Array("/\(text)".utf8)))
      #expect(!reference.matches(id: [], name: []))
    }
  }

  @Test(arguments: [
    "web", "a", "0", "my_app-1.2", "abc123", "0123456789", String(repeating: "f", count: 13),
  ])
  func otherTextsThatDockerAllowsAreNames(_ text: String) throws {
    let reference = try reference(text)
    #expect(!reference.isID)
    #expect(reference.matches(id: Array(fullID.utf8), name: Array("/\(text)".utf8)))
    #expect(!reference.matches(id: Array(text.utf8), name: Array("/\(text)2".utf8)))
    #expect(!reference.matches(id: Array(fullID.utf8), name: Array(text.utf8)))
  }

  @Test(arguments: [
    "", "/", "a/b", "/web", "..", ".", "../info", ".web", "-web", "_web", "a b", "a\r\nX: y",
    "a\u{0}b", "wéb", "a?all=1", "a#b", "a%2f", "a:b", "a@b",
    String(repeating: "a", count: ContainerReference.maxBytes + 1),
  ])
  func textThatIsNeitherIsRefusedBeforeAsking(_ text: String) throws {
    let failure = #expect(throws: LookupFailure.self) { try reference(text) }
    #expect(failure?.name == "invalid_container")
  }

  @Test func longestNameIsAccepted() throws {
    let text = String(repeating: "a", count: ContainerReference.maxBytes)
    #expect(try reference(text).description == text)
  }

  @Test func upperCaseIDIsRefusedBecauseTheNodeThereHasAnotherName() {
    for text in [shortID.uppercased(), fullID.uppercased(), "A\(shortID.dropFirst())"] {
      #expect(throws: LookupFailure.upperCaseContainerID(text)) { try reference(text) }
    }
  }

  @Test func endlessTextIsNotReadToItsEnd() {
    #expect(throws: LookupFailure.self) {
      try ContainerReference(sequence(first: UInt8(ascii: "a")) { $0 })
    }
  }
}
