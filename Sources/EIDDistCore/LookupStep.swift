// SPDX-License-Identifier: Apache-2.0

/// What a ``DaemonQuery`` wants after some bytes.
public enum LookupStep<Answer: Equatable & Sendable>: Equatable, Sendable {
  /// More bytes, or the news that there are none.
  case more
  /// Nothing more: this is the answer, or why there is none.
  case done(Result<Answer, LookupFailure>)
}
