// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDCommandCore

@Suite struct StandingTests {
  private func status(_ users: String, groups: String = "", name: String = "beam.smp") -> String {
    "Name:\t\(name)\nUmask:\t0022\nUid:\t\(users)\nGid:\t7\t7\t7\t7\nFDSize:\t256\n"
      + "Groups:\t\(groups)\nNSpid:\t4711\n"
  }

  private func standing(
    _ users: String,
    then: String? = nil,
    program: String? = "/opt/erlang/erts-13/bin/beam.smp",
    reader: UInt32
  ) -> Standing {
    Standing(
      status: status(users),
      statusAfterwards: status(then ?? users),
      program: program,
      reader: reader
    )
  }

  private static let root = "0\t0\t0\t0"
  private static let user = "1000\t1000\t1000\t1000"

  @Test func ownerIsReadWithItsGroups() throws {
    let owner = try #require(ProcessOwner(status: status(Self.user, groups: "7 20 44 ")))
    #expect(owner.user == 1000)
    #expect(owner.group == 7)
    #expect(owner.groups == [7, 20, 44])
    #expect(ProcessOwner(status: "") == nil)
    #expect(ProcessOwner(status: status("1 1 1")) == nil)
    #expect(ProcessOwner(status: status("-1 -1 -1 -1")) == nil)
  }

  @Test func onlyTheReadersOwnVMIsBelieved() {
    #expect(standing(Self.root, reader: 0) == .own)
    #expect(standing(Self.user, reader: 1000) == .own)
    let other = ProcessOwner(status: status(Self.user))
    #expect(standing(Self.user, reader: 0) == .other(other))
    #expect(standing(Self.user, reader: 1001) == .other(other))
    #expect(standing(Self.root, reader: 1000) == .other(ProcessOwner(status: status(Self.root))))
  }

  @Test func programWithTheRightsOfItsFileIsNotBelieved() {
    // The user who started it gave it its command line.
    #expect(standing("1000\t0\t0\t0", reader: 0) == .other(nil))
    #expect(standing("1000\t1000\t0\t1000", reader: 1000) == .other(nil))
    #expect(standing(Self.root, program: "/usr/bin/sudo", reader: 0) == .other(nil))
    #expect(standing(Self.root, program: nil, reader: 0) == .other(nil))
    #expect(standing(Self.user, program: "/tmp/other", reader: 1000) == .other(nil))
    // One with capabilities of its file.
    #expect(standing(Self.user, program: nil, reader: 1000) == .own)
  }

  @Test func processThatBecomesAnotherUsersMeanwhileIsNotBelieved() {
    #expect(standing(Self.user, then: Self.root, reader: 0) == .other(nil))
    #expect(standing(Self.root, then: Self.user, reader: 0) == .other(nil))
  }

  @Test func cookieOfANodeIsItsUsersAlone() throws {
    let other = try #require(ProcessOwner(status: status(Self.user)))
    let root = try #require(ProcessOwner(status: status(Self.root)))
    #expect(Standing.own.withItsCookie(reader: 0) == .reader)
    #expect(Standing.own.withItsCookie(reader: 1000) == .reader)
    #expect(Standing.other(other).withItsCookie(reader: 0) == .owner(other))
    #expect(Standing.other(other).withItsCookie(reader: 1000) == .reader)
    #expect(Standing.other(other).withItsCookie(reader: 1001) == .nobody(1000))
    #expect(Standing.other(root).withItsCookie(reader: 0) == .nobody(0))
    #expect(Standing.other(root).withItsCookie(reader: 1000) == .nobody(0))
    #expect(Standing.other(nil).withItsCookie(reader: 0) == .nobody(nil))
  }

  @Test func fileIsRootsAloneWhereNobodyElseWrites() {
    #expect(FileFacts(owner: 0, mode: 0o100755).isRootsAlone)
    #expect(!FileFacts(owner: 1000, mode: 0o100755).isRootsAlone)
    #expect(!FileFacts(owner: 0, mode: 0o100775).isRootsAlone)
    #expect(!FileFacts(owner: 0, mode: 0o100757).isRootsAlone)
    // /tmp
    #expect(!FileFacts(owner: 0, mode: 0o041777).isRootsAlone)
    #expect(FileFacts.chain("/opt/a/b") == ["/", "/opt", "/opt/a", "/opt/a/b"])
    #expect(FileFacts.chain("/") == ["/"])
  }
}
