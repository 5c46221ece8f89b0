// SPDX-License-Identifier: Apache-2.0

import EIDDistCore

/// What keeps a text from being a node's name.
package enum NodeNameFailure: Error, Equatable {
  case malformed(String)
  case tooLong

  /// One line for people: the cause, and what to do.
  package var sentence: String {
    switch self {
    case .malformed(let text):
      "\"\(String(sanitizing: text.utf8))\" is not a node's name: nodes are named"
        + " ContainerID@Host, as 85cbfa041dbf@10.77.0.1"
    case .tooLong:
      "a node's name has at most \(NodeName.maxBytes) characters"
    }
  }
}
