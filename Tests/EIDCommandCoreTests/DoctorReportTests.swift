// SPDX-License-Identifier: Apache-2.0

import EIDDistCore
import Testing

@testable import EIDCommandCore

@Suite struct DoctorReportTests {
  private func report(_ findings: [(DoctorStep, DoctorReport.Finding)]) -> DoctorReport {
    var report = DoctorReport(node: "web@10.77.0.2")
    for (step, finding) in findings { report.note(step, finding) }
    return report
  }

  @Test func everyStepIsShownAndWhatFollowsAFailureWasNotTried() {
    let report = report([(.name, .ok("container web")), (.host, .failed("no\"t"))])
    let lines = report.text(colours: false).split(separator: "\n")
    #expect(lines.count == DoctorStep.allCases.count)
    #expect(lines[0] == "ok         node name         container web")
    #expect(lines[1] == "FAILED     host              no\"t")
    #expect(lines[2] == "not tried  Docker API")
    #expect(lines.last == "not tried  way back")
    #expect(report.failure?.step == .host)
    #expect(report.exitStatus == 11)
  }

  @Test func coloursAreOnlyThereWhenWanted() {
    let report = report([(.name, .ok("a")), (.host, .failed("b"))])
    #expect(!report.text(colours: false).contains("\u{1b}"))
    #expect(report.text(colours: true).contains("\u{1b}[31mFAILED"))
  }

  @Test func statusIsZeroOnlyWhenTheCookieWasAccepted() {
    #expect(report([(.cookie, .ok(""))]).exitStatus == 0)
    #expect(report([(.cookie, .notTried("none"))]).exitStatus == 20)
    #expect(report([]).exitStatus == 20)
    #expect(report([(.cookie, .ok("")), (.wayBack, .failed(""))]).exitStatus == 19)
    let statuses = DoctorStep.allCases.map(\.exitStatus)
    #expect(Set(statuses).count == statuses.count)
    #expect(!statuses.contains(DoctorReport.incompleteStatus))
  }

  @Test func jsonHasEachStep() {
    let json = report([(.name, .failed("a\"b\n"))]).json
    #expect(
      json.hasPrefix(
        #"{"node":"web@10.77.0.2","ok":false,"exit_status":10,"failed":"name","steps":["#
          + #"{"step":"name","status":"failed","text":"a\"b\u000a"},{"step":"host","#
      )
    )
  }

  @Test func lookupFailuresBelongToTheirSteps() throws {
    let target = LookupTarget(
      container: try ContainerReference("web".utf8),
      listenPort: 12345,
      daemon: Endpoint(address: .v4(0x0a4d_0002), port: 4243)
    )
    #expect(LookupFailure.invalidContainer("").step == .name)
    #expect(LookupFailure.connectionRefused(target).step == .docker)
    #expect(LookupFailure.wantsTLS(target).step == .docker)
    #expect(LookupFailure.paused(target).step == .container)
    #expect(LookupFailure.loopbackOnly(target).step == .publishedPort)
  }

  @Test func handshakeSentencesNameThePeer() {
    let peer = Endpoint(address: .v4(0x0a4d_0002), port: 32768)
    let failures: [HandshakeFailure] = [
      .refused, .connectTimedOut(seconds: 5), .unreachable(reason: "x"), .closed(afterMessages: 0),
      .closed(afterMessages: 1), .closed(afterMessages: 2), .timedOut(afterMessages: 0),
      .timedOut(afterMessages: 1), .speaksTLS, .notANode, .notAllowed, .status("x"),
      .malformed("x"), .wrongAnswer,
    ]
    #expect(failures.allSatisfy { $0.sentence(peer).contains("10.77.0.2:32768") })
    #expect(Set(failures.map { $0.sentence(peer) }).count == failures.count)
    #expect(Endpoint(address: .v6(1), port: 7).text == "[::1]:7")
  }
}
