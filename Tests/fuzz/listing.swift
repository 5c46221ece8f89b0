// SPDX-License-Identifier: Apache-2.0

/// Docker's list of containers, whole and in pieces.
func run(_ input: [UInt8]) {
  guard let size = input.first else { return }
  let answer = Array(input.dropFirst())
  let query = ContainerListingQuery(
    listenPort: 12345,
    daemon: Endpoint(address: .v4(0xC000_0201), port: 4243),
    responseLimitBytes: 16 * 1024
  )
  let whole = outcome(query, answer, pieces: answer.count)
  let cut = outcome(query, answer, pieces: Int(size) + 1)
  check(whole == cut, "whole \(whole), in pieces of \(Int(size) + 1) \(cut)")
  switch whole {
  case .success(let containers):
    for container in containers {
      check(container.id.utf8.count <= 1000, "an ID of \(container.id.utf8.count) bytes")
      switch container.publishedPort {
      case .success(let port): check(port != 0, "port 0")
      case .failure(let failure): checkSentence(failure.sentence)
      }
    }
  case .failure(let failure):
    checkSentence(failure.sentence)
  }
}

private func checkSentence(_ sentence: String) {
  check(!sentence.isEmpty && sentence.utf8.count < 2000, "a sentence of \(sentence.utf8.count)")
  check(sentence.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }, sentence)
}

private func outcome(
  _ query: ContainerListingQuery,
  _ answer: [UInt8],
  pieces: Int
) -> Result<[ListedContainer], LookupFailure> {
  var query = query
  var start = 0
  while start < answer.count {
    let end = min(start + pieces, answer.count)
    if case .done(let result) = query.receive(answer.span.extracting(start..<end)) {
      check(query.connectionClosed() == result, "another result at the end")
      return result
    }
    start = end
  }
  return query.connectionClosed()
}
