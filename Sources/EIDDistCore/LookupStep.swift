// SPDX-License-Identifier: Apache-2.0

/// What a ``PublishedPortLookup`` wants after some bytes.
public enum LookupStep: Equatable, Sendable {
  /// More bytes, or the news that there are none.
  case more
  /// Nothing more: this is the published port, or why there is none.
  case done(Result<UInt16, LookupFailure>)
}
