// SPDX-License-Identifier: Apache-2.0

/// Every way in which the lookup of a published port fails.
///
/// Erlang gets ``name`` as an atom, and ``sentence`` for people to read.
public enum LookupFailure: Error, Equatable, Sendable {
  // MARK: Refused before anything is asked

  case invalidContainer(String)
  case upperCaseContainerID(String)
  case invalidLabel(String)

  // MARK: Seen at the socket, by the driver

  /// ECONNREFUSED.
  case connectionRefused(LookupTarget)
  /// EHOSTUNREACH, ENETUNREACH and the like; the reason is the system's text.
  case unreachable(LookupTarget, reason: String)
  /// The deadline passed before the connection was there.
  case connectTimedOut(LookupTarget)
  /// The deadline passed before the first byte of an answer.
  case answerTimedOut(LookupTarget)
  /// The deadline passed within the answer.
  case answerStalled(LookupTarget)
  /// ECONNRESET or EPIPE.
  case connectionReset(LookupTarget)
  /// Any other error of a system call; the reason is the system's text.
  case systemError(LookupTarget, reason: String)

  // MARK: Not an answer of a Docker daemon

  case notHTTP(LookupTarget)
  case malformedHTTP(LookupTarget, what: String)
  case wantsTLS(LookupTarget)
  case cutShort(LookupTarget, afterBytes: Int)
  case answerTooLarge(LookupTarget, limitBytes: Int)
  case malformedJSON(LookupTarget, atByte: Int)
  case tooDeepJSON(LookupTarget)
  /// A field that is missing, twice there, or of another type than Docker gives it.
  case unexpectedJSON(LookupTarget, field: String)
  case tooManyContainers(LookupTarget, limit: Int)

  // MARK: An answer other than 200

  case redirected(LookupTarget, status: Int)
  case forbidden(LookupTarget, status: Int, message: String)
  case noSuchContainer(LookupTarget, message: String)
  case ambiguousContainer(LookupTarget, message: String)
  case unexpectedStatus(LookupTarget, status: Int, message: String)

  // MARK: A container that cannot be reached

  case wrongContainer(LookupTarget, id: String, name: String)
  case notRunning(LookupTarget, status: String)
  case restarting(LookupTarget)
  case paused(LookupTarget)
  case dead(LookupTarget)
  /// The other container's ID, or whatever stands behind `container:`.
  case sharesNetwork(LookupTarget, with: String)
  /// What is published instead, as `8080/tcp`: the first few.
  case notPublished(LookupTarget, instead: [String])
  case loopbackOnly(LookupTarget)
  case ipv4Only(LookupTarget)
  case ipv6Only(LookupTarget)
  case boundElsewhere(LookupTarget, address: String)
  case invalidPublishedPort(LookupTarget, port: String)

  /// The failure as the name of an Erlang atom.
  public var name: String {
    switch self {
    case .invalidContainer: "invalid_container"
    case .upperCaseContainerID: "upper_case_container_id"
    case .invalidLabel: "invalid_label"
    case .connectionRefused: "connection_refused"
    case .unreachable: "unreachable"
    case .connectTimedOut: "connect_timed_out"
    case .answerTimedOut: "answer_timed_out"
    case .answerStalled: "answer_stalled"
    case .connectionReset: "connection_reset"
    case .systemError: "system_error"
    case .notHTTP: "not_http"
    case .malformedHTTP: "malformed_http"
    case .wantsTLS: "wants_tls"
    case .cutShort: "cut_short"
    case .answerTooLarge: "answer_too_large"
    case .malformedJSON: "malformed_json"
    case .tooDeepJSON: "too_deep_json"
    case .unexpectedJSON: "unexpected_json"
    case .tooManyContainers: "too_many_containers"
    case .redirected: "redirected"
    case .forbidden: "forbidden"
    case .noSuchContainer: "no_such_container"
    case .ambiguousContainer: "ambiguous_container"
    case .unexpectedStatus: "unexpected_status"
    case .wrongContainer: "wrong_container"
    case .notRunning: "not_running"
    case .restarting: "restarting"
    case .paused: "paused"
    case .dead: "dead"
    case .sharesNetwork: "shares_network"
    case .notPublished: "not_published"
    case .loopbackOnly: "loopback_only"
    case .ipv4Only: "ipv4_only"
    case .ipv6Only: "ipv6_only"
    case .boundElsewhere: "bound_elsewhere"
    case .invalidPublishedPort: "invalid_published_port"
    }
  }
}
