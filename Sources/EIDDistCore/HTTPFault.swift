// SPDX-License-Identifier: Apache-2.0

/// What keeps bytes from being an HTTP response.
enum HTTPFault: Error, Equatable {
  case notHTTP
  /// A TLS record came in place of a response.
  case tls
  case malformed(String)
  /// The length that the response announces is over the limit.
  case tooLarge
  /// The connection was closed within the response.
  case cutShort
}
