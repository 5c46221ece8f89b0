// SPDX-License-Identifier: Apache-2.0

extension String {
  /// Enough for the longest message that an engine is known to give.
  static let maxForeignTextBytes = 300

  /// Text from outside, fit to stand in a sentence: capped, on one line, and without
  /// characters that a terminal or a log would act upon.
  public init(sanitizing bytes: some Sequence<UInt8>) {
    let kept = Array(bytes.prefix(Self.maxForeignTextBytes + 1))
    let text = String(decoding: kept.prefix(Self.maxForeignTextBytes), as: UTF8.self)
    self = ""
    for scalar in text.unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
        unicodeScalars.append("?")
      default:
        unicodeScalars.append(scalar)
      }
    }
    if kept.count > Self.maxForeignTextBytes { self += "..." }
  }
}
