// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDDistCore

@Suite struct JSONScannerTests {
  @Test func digitsOfANumberAreThereAtTheNextEvent() throws {
    var scanner = JSONScanner()
    var numbers: [String] = []
    for byte in #"{"a":-1.5e3,"b":[0,42]}"#.utf8 {
      if try scanner.take(byte) != nil {
        numbers.append(String(decoding: scanner.number, as: UTF8.self))
      }
    }
    // {, "a", -, "b", [, 0, 4, ], }
    #expect(numbers == ["", "", "-", "-1.5e3", "-1.5e3", "0", "4", "42", "42"])
  }

  /// The events of `json`, keys and strings as texts; nil where it is refused.
  private func scan(_ json: some Sequence<UInt8>) -> (events: [String], isComplete: Bool)? {
    var scanner = JSONScanner()
    var events: [String] = []
    for byte in json {
      let event: JSONEvent?
      do { event = try scanner.take(byte) } catch { return nil }
      switch event {
      case .beginObject: events.append("{")
      case .endObject: events.append("}")
      case .beginArray: events.append("[")
      case .endArray: events.append("]")
      case .key: events.append(String(decoding: scanner.text, as: UTF8.self) + ":")
      case .string: events.append("'\(String(decoding: scanner.text, as: UTF8.self))'")
      case .number: events.append("number")
      case .bool(let flag): events.append("\(flag)")
      case .null: events.append("null")
      case nil: break
      }
    }
    return (events, scanner.isComplete)
  }

  private func string(_ json: String) -> String? {
    guard let (events, isComplete) = scan(json.utf8), isComplete else { return nil }
    return events.first.map { String($0.dropFirst().dropLast()) }
  }

  @Test func everyKindOfValueIsReported() throws {
    let json = " { \"a\" :\t[1, -0.5e+3 ,true,false,null,\"x\",{},[ ]],\r\n\"\":{\"b\":\"\"} } \n"
    let scanned = try #require(scan(json.utf8))
    #expect(scanned.isComplete)
    #expect(
      scanned.events == [
        "{", "a:", "[", "number", "number", "true", "false", "null", "'x'", "{", "}", "[", "]",
        "]", ":", "{", "b:", "''", "}", "}",
      ]
    )
  }

  @Test func noBeginningOfATextIsComplete() throws {
    let json = Array(#"{"a":[1,2.5e3,true,null,"\u20ac\n"],"b":{"c":-0}}"#.utf8)
    for count in 0..<json.count {
      #expect(try #require(scan(json.prefix(count))).isComplete == false, "\(count)")
    }
    #expect(try #require(scan(json)).isComplete)
  }

  @Test(arguments: [
    #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, #"{,}"#, #"{1:2}"#, #"{"a" 1}"#, "[1 2]", "[,1]",
    "[1,]", "[1}", #"{"a":1]"#, "]", "}", ",", ":", "[01]", "[-]", "[1.]", "[.5]", "[1e]",
    "[1e+]", "[+1]", "[0x1]", "[--1]", "[1.2.3]", "[tru]", "[truE]", "[nul ]", "[falsee]",
    "[NaN]", "['a']", #"["\x"]"#, #"["\u12g4"]"#, "[\"\n\"]", "[\"\u{1}\"]", "{} {}", "[][",
    "nulll", "\u{FEFF}{}", "// x\n{}", "[1]1", #"{"a":1 "b":2}"#, #"{"a":1;"b":2}"#,
  ])
  func malformedTextIsRefused(_ json: String) {
    #expect(scan(json.utf8) == nil)
  }

  @Test(arguments: [
    (#""plain""#, "plain"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
    (#""\u0041\u00e9\u20AC\ud83d\udc33""#, "Aé€🐳"), ("\"é€🐳\"", "é€🐳"), (#""\u0000""#, "\u{0}"),
    (#""\ud83d""#, "\u{FFFD}"), (#""\udc33x""#, "\u{FFFD}x"), (#""\ud83dx""#, "\u{FFFD}x"),
    (#""\ud83d\n""#, "\u{FFFD}\n"), (#""\ud83d\u0041""#, "\u{FFFD}A"),
    (#""\ud83d\ud83d\udc33""#, "\u{FFFD}🐳"), (#""\udc33\ud83d""#, "\u{FFFD}\u{FFFD}"),
  ])
  func stringsAreUnescaped(_ json: String, _ text: String) {
    #expect(string(json) == text)
  }

  @Test func halfASurrogatePairDoesNotReachIntoTheNextString() throws {
    let scanned = try #require(scan(#"["\ud83d","\udc33"]"#.utf8))
    #expect(scanned.events == ["[", "'\u{FFFD}'", "'\u{FFFD}'", "]"])
  }

  @Test func depthIsLimited() {
    let deepest = JSONScanner.maxDepth
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    #expect(scan(nested(deepest).utf8)?.isComplete == true)
    var scanner = JSONScanner()
    #expect(throws: JSONFault.tooDeep) {
      for byte in nested(deepest + 1).utf8 { _ = try scanner.take(byte) }
    }
  }

  @Test func longStringsAreCutSoThatMemoryIsBounded() throws {
    var scanner = JSONScanner()
    _ = try scanner.take(UInt8(ascii: "\""))
    for byte in repeatElement("é€🐳x", count: 1000).joined().utf8 { _ = try scanner.take(byte) }
    #expect(try scanner.take(UInt8(ascii: "\"")) == .string)
    #expect(scanner.text.count <= JSONScanner.maxTextBytes)
    #expect(scanner.text.count > JSONScanner.maxTextBytes - 8)
  }
}
