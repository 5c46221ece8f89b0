// SPDX-License-Identifier: Apache-2.0

import EIDCommandCore

extension OwnNode? {
  /// The node that is meant: the one that is named, else the one in this container.
  func target(_ named: String?) throws(CommandFailure) -> NodeName {
    guard let text = named ?? self?.name else { throw .noNode }
    do throws(NodeNameFailure) {
      return try NodeName(text)
    } catch {
      throw CommandFailure(error.sentence)
    }
  }
}
