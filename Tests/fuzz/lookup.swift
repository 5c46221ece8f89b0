// SPDX-License-Identifier: Apache-2.0

/// Docker's answer, whole and in pieces: HTTP, JSON, the choice of a binding, the sentences.
func run(_ input: [UInt8]) {
  guard let size = input.first, let container = try? ContainerReference("web".utf8) else { return }
  let answer = Array(input.dropFirst())
  let lookup = PublishedPortLookup(
    container: container,
    listenPort: 12345,
    daemon: Endpoint(address: .v4(0xC000_0201), port: 4243),
    responseLimitBytes: 16 * 1024
  )
  let whole = outcome(lookup, answer, pieces: answer.count)
  let cut = outcome(lookup, answer, pieces: Int(size) + 1)
  check(whole == cut, "whole \(whole), in pieces of \(Int(size) + 1) \(cut)")
  switch whole {
  case .success(let port):
    check(port != 0, "port 0")
  case .failure(let failure):
    let sentence = failure.sentence
    check(!sentence.isEmpty && sentence.utf8.count < 2000, "a sentence of \(sentence.utf8.count)")
    check(sentence.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }, sentence)
  }
}

private func outcome(
  _ lookup: PublishedPortLookup,
  _ answer: [UInt8],
  pieces: Int
) -> Result<UInt16, LookupFailure> {
  var lookup = lookup
  var start = 0
  while start < answer.count {
    let end = min(start + pieces, answer.count)
    if case .done(let result) = lookup.receive(answer.span.extracting(start..<end)) {
      check(lookup.connectionClosed() == result, "another result at the end")
      return result
    }
    start = end
  }
  return lookup.connectionClosed()
}
