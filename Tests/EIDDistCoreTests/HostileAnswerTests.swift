// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

/// Answers that no daemon gives: none of them may trap or be left without a result.
@Suite struct HostileAnswerTests {
  /// SplitMix64: the same cases in every run.
  private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var value = state
      value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
      value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
      return value ^ value >> 31
    }
  }

  private static let shapes: [String] = [
    Inspect().chunked(40), Inspect().answer, "HTTP/1.0 200 OK\r\n\r\n" + Inspect().json,
    Inspect(networkMode: "container:abc", ports: #"{"12345/tcp":null,"53/udp":[]}"#).answer,
    Inspect(ports: #"{"12345/tcp":[{"HostIp":"::","HostPort":"1"},{"HostIp":"","HostPort":"2"}]}"#)
      .chunked(7),
    "HTTP/1.1 100 Continue\r\n\r\n"
      + Inspect.answer(#"{"message":"\u00e9\ud83d\udc33"}"#, status: "404 x"),
  ]

  private func mutate(_ seeds: [[UInt8]], _ random: inout Generator) -> [UInt8] {
    var answer = seeds.randomElement(using: &random) ?? []
    for _ in 0..<Int.random(in: 1...4, using: &random) where !answer.isEmpty {
      let at = Int.random(in: 0..<answer.count, using: &random)
      let end = min(answer.count, at + Int.random(in: 1...40, using: &random))
      switch Int.random(in: 0..<7, using: &random) {
      case 0: answer[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: answer[at] = UInt8.random(in: 0...255, using: &random)
      case 2: answer.removeSubrange(at...)
      case 3: answer.removeSubrange(at..<end)
      case 4: answer.insert(contentsOf: answer[at..<end], at: at)
      case 5: answer[at] = Array("{}[]\",:\\0-e\r\n;ft".utf8).randomElement(using: &random) ?? 0
      default:
        let other = seeds.randomElement(using: &random) ?? []
        answer.replaceSubrange(at..., with: other.suffix(Int.random(in: 0...200, using: &random)))
      }
    }
    return answer
  }

  /// The result of one case; nil where its sentence is unfit, or where a cut changes it.
  private func result(
    of answer: [UInt8],
    _ lookup: PublishedPortLookup,
    cut: Int? = nil
  ) -> Result<UInt16, LookupFailure>? {
    let result = lookup.outcome(of: answer)
    if case .failure(let failure) = result, !failure.sentence.isOneLine { return nil }
    if let cut, lookup.outcome(of: answer, cuts: [cut]) != result { return nil }
    return result
  }

  @Test func mutatedSmallAnswersAlwaysGiveAResult() throws {
    var random = Generator(state: 12345)
    let seeds = Self.shapes.map { Array($0.utf8) } + (try allRecorded().filter { $0.count < 1000 })
    let lookup = try lookup()
    var successes = 0
    for number in 0..<20_000 {
      let answer = mutate(seeds, &random)
      let cut = number % 4 == 0 ? Int.random(in: 0...answer.count, using: &random) : nil
      switch result(of: answer, lookup, cut: cut) {
      case .success: successes += 1
      case .failure: break
      case nil:
        Issue.record("case \(number): \(String(decoding: answer, as: UTF8.self))")
        return
      }
    }
    // The cases are neither all harmless nor all refused at once.
    #expect((100...15_000).contains(successes), "\(successes)")
  }

  @Test func mutatedRecordedAnswersAlwaysGiveAResult() throws {
    var random = Generator(state: 54321)
    let seeds = try allRecorded()
    for number in 0..<500 {
      let answer = mutate(seeds, &random)
      let id = containerID(in: answer).flatMap { try? lookup($0) }
      guard try result(of: answer, id ?? lookup(), cut: answer.count / 2) != nil else {
        Issue.record("case \(number): \(String(decoding: answer, as: UTF8.self))")
        return
      }
    }
  }

  @Test func randomBytesAlwaysGiveAResult() throws {
    var random = Generator(state: 1)
    let lookup = try lookup()
    for head in [
      "", "HTTP/1.", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 404 x\r\n\r\n",
    ] {
      for _ in 0..<500 {
        let noise = (0..<64).map { _ in UInt8.random(in: 0...255, using: &random) }
        #expect(result(of: Array(head.utf8) + noise, lookup, cut: head.utf8.count) != nil)
      }
    }
  }

  @Test func randomControlTextAlwaysGivesAnAddressOrNone() {
    var random = Generator(state: 2)
    let alphabet = Array("0123456789abcdef::::....%g ".utf8)
    for _ in 0..<20_000 {
      let text = (0..<Int.random(in: 0...46, using: &random)).map { _ in
        alphabet.randomElement(using: &random) ?? 0
      }
      guard let address = IPAddress(text: text) else { continue }
      #expect(IPAddress(text: address.description.utf8) == address)
    }
  }
}
