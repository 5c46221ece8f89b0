// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDCommandCore

@Suite struct NodeCommandLineTests {
  private func line(_ text: String) -> NodeCommandLine? {
    NodeCommandLine(
      ["/opt/erlang/erts-13.1.5/bin/beam.smp"] + text.split(separator: " ").map(String.init)
    )
  }

  /// As a container's node has it.
  private static let node =
    "-- -root /opt/erlang -bindir /opt/erlang/erts-13.1.5/bin -progname erl -- -home /root --"
    + " -start_epmd false -noshell -noinput -proto_dist eid_tcp -name 85cbfa041dbf@10.77.0.1"
    + " -setcookie secret -kernel erlang_port 9100 docker_daemon_port 4244"
    + " -pa /app/ebin /lib/ebin -kernel eid_lookup docker -config /etc/sys -extra -name no"

  @Test func allIsTakenFromIt() throws {
    let line = try #require(self.line(Self.node))
    #expect(line.name == "85cbfa041dbf@10.77.0.1")
    #expect(line.cookie == "secret")
    #expect(line.home == "/root")
    #expect(line.root == "/opt/erlang")
    #expect(line.bindir == "/opt/erlang/erts-13.1.5/bin")
    #expect(line.carrier == "eid_tcp")
    #expect(
      line.kernel == ["erlang_port": "9100", "docker_daemon_port": "4244", "eid_lookup": "docker"]
    )
    #expect(line.codePaths == [["-pa", "/app/ebin", "/lib/ebin"]])
    #expect(line.configs == ["/etc/sys"])
    #expect(line.isNode)
  }

  @Test func otherProgramsAreNone() {
    #expect(NodeCommandLine(["/bin/sh", "-name", "a@b"]) == nil)
    #expect(NodeCommandLine([]) == nil)
    #expect(NodeCommandLine([""]) == nil)
  }

  @Test(arguments: [
    "-noinput", "-name undefined@h -remsh a@b", "-name undefined", "-name a@b -remsh c@d",
    "-sname a -dist_listen false", "-name",
  ])
  func shellsAndToolsAreNoNodes(_ text: String) throws {
    #expect(try !#require(self.line(text)).isNode)
  }

  @Test func hostnameCompletesAName() throws {
    #expect(try #require(self.line("-name a@b")).fullName(hostname: "h.d") == "a@b")
    #expect(try #require(self.line("-name a")).fullName(hostname: "h.d") == "a@h.d")
    #expect(try #require(self.line("-sname a")).fullName(hostname: "h.d") == "a@h")
    #expect(try #require(self.line("-noinput")).fullName(hostname: "h.d") == nil)
  }

  @Test func cookieForOneOtherNodeIsNotTheNodes() throws {
    #expect(try #require(self.line("-setcookie a@b x")).cookie == nil)
    // As an Elixir release gets it of the entrypoint.
    #expect(try #require(self.line("-setcookie -eid_cookie_in_file -name a@b")).cookie == nil)
  }

  @Test func processInAContainerIsToldByItsNumbers() {
    func isInOwn(_ numbers: String) -> Bool {
      NodeCommandLine.isInOwnContainer(
        status: "Name:\tbeam.smp\nNgid:\t0\n\(numbers)\nNSpgid:\t4711\t7\n"
      )
    }
    #expect(isInOwn("NSpid:\t4711"))
    #expect(!isInOwn("NSpid:\t4711\t7"))
    #expect(!isInOwn(""))
  }

  @Test func numberIsFoundInAConfiguration() {
    let config = """
      %% {erlang_port, 1}
      [{kernel, [{erlang_port,  9100}, % {erlang_port, 2}
                 {'docker_daemon_port',
                  4244}]}].
      """
    #expect(NodeCommandLine.number("erlang_port", inConfig: config) == 9100)
    #expect(NodeCommandLine.number("docker_daemon_port", inConfig: config) == 4244)
    #expect(NodeCommandLine.number("eid_lookup_timeout", inConfig: config) == nil)
    #expect(NodeCommandLine.number("erlang_port", inConfig: "{erlang_port, many}") == nil)
    #expect(NodeCommandLine.names("erlang_port", inConfig: config))
    #expect(!NodeCommandLine.names("docker_tls", inConfig: config + "% {docker_tls, true}"))
    #expect(NodeCommandLine.number("erlang_port", inConfig: "erlang_port") == nil)
  }
}
