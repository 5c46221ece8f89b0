// SPDX-License-Identifier: Apache-2.0

/// What keeps bytes from being JSON that this module reads.
enum JSONFault: Error, Equatable {
  case malformed
  case tooDeep
}
