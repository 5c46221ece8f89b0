// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A program that this one starts and waits for.
enum Subprocess {
  /// posix_spawn(3) and waitpid(2). Ctrl-C is left to the program.
  ///
  /// - Returns: its exit status; 128 and the signal's number where a signal has ended it.
  static func run(
    _ program: String,
    _ arguments: [String],
    _ environment: [String],
    onLine: ((String) -> Bool)?
  ) throws(CommandFailure) -> Int32 {
    var pipe: [Int32] = [-1, -1]
    if onLine != nil {
      guard unsafe Glibc.pipe(&pipe) == 0 else { throw failed(program, errno) }
      for descriptor in pipe { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    }
    for signal in [SIGINT, SIGQUIT] { _ = Glibc.signal(signal, SIG_IGN) }
    let pid: pid_t
    do throws(CommandFailure) {
      pid = try spawn(program, arguments, environment, output: onLine == nil ? nil : pipe[1])
    } catch {
      for descriptor in pipe where descriptor >= 0 { close(descriptor) }
      throw error
    }
    if let onLine {
      close(pipe[1])
      if !readLines(pipe[0], onLine) { kill(pid, SIGKILL) }
      close(pipe[0])
    }
    var status: Int32 = 0
    while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
    return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
  }

  private static func spawn(
    _ program: String,
    _ arguments: [String],
    _ environment: [String],
    output: Int32?
  ) throws(CommandFailure) -> pid_t {
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    var defaults = sigset_t()
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawnattr_init(&attributes)
    defer {
      unsafe posix_spawn_file_actions_destroy(&actions)
      unsafe posix_spawnattr_destroy(&attributes)
    }
    if let output { unsafe posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO) }
    unsafe sigemptyset(&defaults)
    for signal in [SIGINT, SIGQUIT] { unsafe sigaddset(&defaults, signal) }
    unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
    var pid: pid_t = 0
    // The copies live until posix_spawn has taken them over.
    var argv = unsafe arguments.map { unsafe strdup($0) } + [nil]
    var envp = unsafe environment.map { unsafe strdup($0) } + [nil]
    defer {
      let copies = unsafe argv + envp
      for index in unsafe copies.indices { unsafe free(copies[index]) }
    }
    let error = unsafe posix_spawn(&pid, program, &actions, &attributes, &argv, &envp)
    guard error == 0 else { throw failed(program, error) }
    return pid
  }

  /// False when `onLine` wanted no more.
  private static func readLines(_ descriptor: Int32, _ onLine: (String) -> Bool) -> Bool {
    var rest: [UInt8] = []
    while true {
      var got = 0
      let piece = unsafe [UInt8](unsafeUninitializedCapacity: 64 * 1024) { buffer, filled in
        got = unsafe read(descriptor, buffer.baseAddress, buffer.count)
        filled = max(0, got)
      }
      if got < 0, errno == EINTR { continue }
      if got <= 0 { return true }
      rest += piece
      while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: rest[..<end], as: UTF8.self)
        rest.removeSubrange(...end)
        if !onLine(line) { return false }
      }
    }
  }

  private static func failed(_ program: String, _ error: Int32) -> CommandFailure {
    CommandFailure(
      "cannot run \(program): \(unsafe String(cString: strerror(error)))",
      status: CommandFailure.unavailable
    )
  }
}
