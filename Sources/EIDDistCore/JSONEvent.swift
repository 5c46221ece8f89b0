// SPDX-License-Identifier: Apache-2.0

/// What a ``JSONScanner`` comes across; of keys and strings the text is in the scanner.
enum JSONEvent: Equatable {
  case beginObject
  case endObject
  case beginArray
  case endArray
  case key
  case string
  case number
  case bool(Bool)
  case null
}
