// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// Where the cookie comes from.
struct Cookie: ParsableArguments {
  @Option(
    name: .customLong("cookie"),
    help: ArgumentHelp(
      "The cookie; ps shows it: better a file, or the environment.",
      valueName: "cookie"
    )
  )
  var given: String?

  @Option(
    name: .customLong("cookie-file"),
    help: ArgumentHelp("A file with the cookie, as ~/.erlang.cookie is one.", valueName: "file")
  )
  var file: String?

  func validate() throws {
    if given != nil, file != nil {
      throw ValidationError("--cookie and --cookie-file: give one of the two")
    }
  }

  /// The cookie: of the options, EID_COOKIE_FILE, EID_COOKIE, the node in this container,
  /// RELEASE_COOKIE, ~/.erlang.cookie; nil where there is none.
  func find(_ own: OwnNode?) throws(CommandFailure) -> String? {
    if let given { return given }
    // A file that was named is the one: another cookie would be refused without a word of it.
    for (file, origin) in [(file, ""), (Environment["EID_COOKIE_FILE"], " (EID_COOKIE_FILE)")] {
      guard let file else { continue }
      guard let cookie = Self.read(file) else {
        throw CommandFailure("cannot read a cookie from \(file)\(origin)")
      }
      return cookie
    }
    return Environment["EID_COOKIE"]
      ?? own?.cookie
      // With a dash it is the entrypoint's: no cookie, but a flag that has none.
      ?? Environment["RELEASE_COOKIE"].flatMap { $0.hasPrefix("-") ? nil : $0 }
      ?? Environment["HOME"].flatMap { Self.read("\($0)/.erlang.cookie") }
  }

  /// What stands in a cookie's file, without the line's end; as OTP's auth:read_cookie/2.
  static func read(_ path: String) -> String? {
    guard let text = FileSystem.text(path) else { return nil }
    let cookie = text.prefix { !$0.isNewline }
    return cookie.isEmpty ? nil : String(cookie)
  }
}
