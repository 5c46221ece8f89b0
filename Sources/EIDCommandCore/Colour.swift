// SPDX-License-Identifier: Apache-2.0

/// How a terminal is told of a colour (ECMA-48, SGR).
package enum Colour: String {
  case red = "31"
  case green = "32"
  case dim = "2"
  case bold = "1"

  package func paint(_ text: String, _ isWanted: Bool) -> String {
    isWanted ? "\u{1b}[\(rawValue)m\(text)\u{1b}[0m" : text
  }
}
