// SPDX-License-Identifier: Apache-2.0

/// The life of a listener: it accepts one connection for each request, and rests when the
/// machine has no descriptor or memory left for one.
public struct ListenerState: Equatable, Sendable {
  public enum Action: Equatable, Sendable {
    case nothing
    case proceed
    /// Answer the control command with this error.
    case refuse(Refusal)
    /// Try accept(2) now.
    case tryAccept
    /// Ask to be told when a connection comes.
    case watch
    /// Stop watching and try again after ``ListenerState/restMilliseconds``: the connection
    /// that cannot be taken stays readable, and watching it would spin.
    case rest
  }

  public enum Refusal: Equatable, Sendable {
    case notListening
    case alreadyListening
    case alreadyWaiting
  }

  /// How long to rest after EMFILE and its like.
  public static let restMilliseconds: UInt = 100

  private enum State: Equatable, Sendable {
    case fresh
    case idle
    case accepting(request: UInt32)
    case resting(request: UInt32)
  }

  private var state = State.fresh

  public init() {}

  /// The request that waits for a connection.
  public var request: UInt32? {
    switch state {
    case .accepting(let request), .resting(let request): request
    case .fresh, .idle: nil
    }
  }

  public mutating func listen() -> Action {
    switch state {
    case .fresh:
      state = .idle
      return .proceed
    case .idle, .accepting, .resting:
      return .refuse(.alreadyListening)
    }
  }

  public mutating func accept(request: UInt32) -> Action {
    switch state {
    case .idle:
      state = .accepting(request: request)
      return .tryAccept
    case .accepting, .resting:
      return .refuse(.alreadyWaiting)
    case .fresh:
      return .refuse(.notListening)
    }
  }

  public mutating func cancel(request: UInt32) -> Action {
    switch state {
    case .accepting(request), .resting(request):
      state = .idle
      return .proceed
    case .fresh, .idle, .accepting, .resting:
      return .nothing
    }
  }

  /// The socket is readable, or the rest is over.
  public mutating func wake() -> Action {
    switch state {
    case .accepting:
      return .tryAccept
    case .resting(let request):
      state = .accepting(request: request)
      return .tryAccept
    case .fresh, .idle:
      return .nothing
    }
  }

  /// accept(2) gave a connection.
  public mutating func accepted() -> Action {
    switch state {
    case .accepting, .resting:
      state = .idle
      return .proceed
    case .fresh, .idle:
      return .nothing
    }
  }

  /// No connection waits.
  public func wouldBlock() -> Action {
    switch state {
    case .accepting: .watch
    case .fresh, .idle, .resting: .nothing
    }
  }

  /// There is no descriptor or memory for the connection that waits.
  public mutating func exhausted() -> Action {
    switch state {
    case .accepting(let request):
      state = .resting(request: request)
      return .rest
    case .fresh, .idle, .resting:
      return .nothing
    }
  }
}
