// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// A program that this one starts and waits for.
enum Subprocess {
  /// The program that runs, and what ends it, for ``passOn``.
  private static let running = Atomic<pid_t>(0)
  private static let endingSignal = Atomic<Int32>(SIGTERM)
  private static let ignored = [SIGINT, SIGQUIT, SIGPIPE]
  /// The last signal that was passed on.
  private static let passed = Atomic<Int32>(0)

  /// How a program ended.
  enum End {
    case exit(Int32)
    /// A signal of the terminal, which is for this one as well.
    case signal(Int32)
  }

  /// The signal that has come for this one to end; 0 where none has.
  static var signal: Int32 { passed.load(ordering: .sequentiallyConsistent) }

  /// posix_spawn(3) and waitpid(2). Ctrl-C is left to the program; a signal that would end
  /// this one ends the program, so that what was made for it can be taken away. Where nobody
  /// reads what this one writes, ``Output`` fails, and no signal comes.
  ///
  /// What is ignored already, as by nohup(1), stays so, for the program as well. When it has
  /// ended, signals do what they did before.
  ///
  /// - Parameters:
  ///   - ending: the signal that ends the program.
  ///   - cleanUp: takes away what was made for it, in any case, and undisturbed by signals.
  /// - Returns: its exit status; 128 and the signal's number where a signal has ended it that
  ///   was for it alone.
  static func run(
    _ program: String,
    _ arguments: [String],
    _ environment: [String],
    ending: Int32,
    onLine: ((String) -> Bool)?,
    cleanUp: () -> Void
  ) throws(CommandFailure) -> End {
    passed.store(0, ordering: .sequentiallyConsistent)
    endingSignal.store(ending, ordering: .sequentiallyConsistent)
    var dispositions = SignalDispositions()
    for signal in ignored { dispositions.set(signal, SIG_IGN) }
    for signal in [SIGTERM, SIGHUP] { dispositions.set(signal, passOn) }
    dispositions.set(SIGALRM, goOn)
    defer {
      cleanUp()
      alarm(0)
      dispositions.restore()
    }
    var pipe: [Int32] = [-1, -1]
    if onLine != nil {
      guard unsafe Glibc.pipe(&pipe) == 0 else { throw failed(program, errno) }
      for descriptor in pipe { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    }
    let pid: pid_t
    do throws(CommandFailure) {
      pid = try spawn(
        program,
        arguments,
        environment,
        output: onLine == nil ? nil : pipe[1],
        defaults: ignored.filter(dispositions.isSet)
      )
    } catch {
      for descriptor in pipe where descriptor >= 0 { close(descriptor) }
      throw error
    }
    running.store(pid, ordering: .sequentiallyConsistent)
    // One that came before there was anybody to pass it on to.
    if passed.load(ordering: .sequentiallyConsistent) != 0 { kill(pid, ending) }
    if let onLine {
      close(pipe[1])
      if !readLines(pipe[0], onLine) { kill(pid, SIGKILL) }
      close(pipe[0])
    }
    // Until it is reaped its number is no other program's.
    var info = unsafe siginfo_t()
    while unsafe waitid(P_PID, id_t(bitPattern: pid), &info, WEXITED | WNOWAIT) < 0,
      errno == EINTR
    {}
    running.store(0, ordering: .sequentiallyConsistent)
    var status: Int32 = 0
    while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
    switch status & 0x7f {
    case 0: return .exit((status >> 8) & 0xff)
    // Of the terminal, which gave it to this one as well.
    case SIGINT, SIGQUIT: return .signal(status & 0x7f)
    case let signal: return .exit(128 + signal)
    }
  }

  /// A signal's handler: all that it calls is safe there (signal-safety(7)).
  private static let passOn: @convention(c) (Int32) -> Void = { signal in
    passed.store(signal, ordering: .sequentiallyConsistent)
    let pid = running.load(ordering: .sequentiallyConsistent)
    if pid > 0 { kill(pid, endingSignal.load(ordering: .sequentiallyConsistent)) }
    // It may have come just before a write that waits for a reader: that one has to be
    // interrupted.
    alarm(1)
  }

  private static let goOn: @convention(c) (Int32) -> Void = { _ in
    if passed.load(ordering: .sequentiallyConsistent) != 0 { alarm(1) }
  }

  private static func spawn(
    _ program: String,
    _ arguments: [String],
    _ environment: [String],
    output: Int32?,
    defaults signals: [Int32]
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
    for signal in signals { unsafe sigaddset(&defaults, signal) }
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
