// SPDX-License-Identifier: Apache-2.0

/// JSON: what begins also ends, and in its order; text is no longer than what it came from.
func run(_ input: [UInt8]) {
  var scanner = JSONScanner()
  var open: [JSONEvent] = []
  var sinceText = 0
  for byte in input {
    let event: JSONEvent?
    do throws(JSONFault) {
      event = try scanner.take(byte)
    } catch {
      return
    }
    sinceText += 1
    switch event {
    case .beginObject, .beginArray:
      open.append(event!)
      check(open.count <= 4096, "\(open.count) deep")
    case .endObject:
      check(open.popLast() == .beginObject, "an object ends that did not begin")
    case .endArray:
      check(open.popLast() == .beginArray, "an array ends that did not begin")
    case .key:
      check(open.last == .beginObject, "a key outside an object")
      // An escape of six bytes makes three at most.
      check(scanner.text.count <= sinceText, "a key longer than the input")
      sinceText = 0
    case .string:
      check(scanner.text.count <= sinceText, "a string longer than the input")
      sinceText = 0
    case .number, .bool, .null, nil:
      break
    }
    if scanner.isComplete { check(open.isEmpty, "complete, with \(open.count) open") }
  }
}
