// SPDX-License-Identifier: Apache-2.0

import EIDCommandCore
import Glibc

/// The few calls on files that the command needs.
enum FileSystem {
  /// All of a file; nil where it cannot be read: open(2), read(2).
  static func read(_ path: String, limit: Int = 1 << 20) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    while bytes.count < limit {
      var got = 0
      let piece = unsafe [UInt8](unsafeUninitializedCapacity: 16 * 1024) { buffer, filled in
        got = unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
        filled = max(0, got)
      }
      if got == 0 { return bytes }
      if got < 0 {
        if errno == EINTR { continue }
        return nil
      }
      bytes += piece
    }
    return bytes
  }

  static func text(_ path: String) -> String? {
    read(path).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The aim of a link: readlink(2).
  static func link(_ path: String) -> String? {
    var length = 0
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, filled in
      length = unsafe buffer.withMemoryRebound(to: CChar.self) {
        unsafe readlink(path, $0.baseAddress!, $0.count)
      }
      filled = max(0, length)
    }
    return length < 0 ? nil : String(decoding: bytes, as: UTF8.self)
  }

  /// The names in a directory: readdir(3).
  static func entries(_ path: String) -> [String] {
    guard let directory = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) {
        unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      names.append(name)
    }
    return names
  }

  /// access(2).
  static func isExecutable(_ path: String) -> Bool { unsafe access(path, X_OK) == 0 }

  /// The path without links of what root alone can write, and whoever is above it; nil for
  /// all else: realpath(3), lstat(2).
  static func rootsAlone(_ path: String) -> String? {
    guard path.hasPrefix("/"), let resolved = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(resolved) }
    let real = unsafe String(cString: resolved)
    for part in FileFacts.chain(real) {
      var found = stat()
      guard unsafe lstat(part, &found) == 0,
        FileFacts(owner: found.st_uid, mode: found.st_mode).isRootsAlone
      else { return nil }
    }
    return real
  }

  static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

  /// A directory of its own in which a file of this name has these bytes, all of it for this
  /// user alone, for a cookie: mkdtemp(3).
  static func makePrivateDirectory(with name: String, _ bytes: [UInt8]) -> String? {
    // Memory first, so that no disk keeps it; Docker gives a container that, even where
    // all else is read-only. It may be full.
    for base in ["/dev/shm", "/tmp"] {
      var template = Array("\(base)/eid.XXXXXX".utf8CString)
      guard unsafe mkdtemp(&template) != nil else { continue }
      let made = String(
        decoding: template.dropLast().map(UInt8.init(bitPattern:)),
        as: UTF8.self
      )
      if writePrivate("\(made)/\(name)", bytes) { return made }
      unsafe unlink("\(made)/\(name)")
      unsafe rmdir(made)
    }
    return nil
  }

  /// Writes a new file that only this user may read.
  private static func writePrivate(_ path: String, _ bytes: [UInt8]) -> Bool {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o400)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return unsafe bytes.withUnsafeBytes {
      unsafe write(descriptor, $0.baseAddress, $0.count) == $0.count
    }
  }
}
