// SPDX-License-Identifier: Apache-2.0

import EIDDistCore

/// What was found at each step of a connection.
package struct DoctorReport: Equatable {
  package enum Finding: Equatable {
    case ok(String)
    case failed(String)
    case notTried(String)

    var status: String {
      switch self {
      case .ok: "ok"
      case .failed: "failed"
      case .notTried: "not_tried"
      }
    }

    var text: String {
      switch self {
      case .ok(let text), .failed(let text), .notTried(let text): text
      }
    }
  }

  /// When nothing failed, but the cookie could not be tried.
  package static let incompleteStatus: Int32 = 20

  package let node: String
  private var findings: [DoctorStep: Finding] = [:]

  package init(node: String) {
    self.node = node
  }

  package mutating func note(_ step: DoctorStep, _ finding: Finding) {
    findings[step] = finding
  }

  /// The step that failed, and why.
  package var failure: (step: DoctorStep, sentence: String)? {
    for step in DoctorStep.allCases {
      if case .failed(let sentence) = findings[step] { return (step, sentence) }
    }
    return nil
  }

  /// Every step with what was found; after one that failed nothing is tried.
  package var steps: [(step: DoctorStep, finding: Finding)] {
    DoctorStep.allCases.map { ($0, findings[$0] ?? .notTried("")) }
  }

  package var isCookieAccepted: Bool {
    if case .ok = findings[.cookie] { true } else { false }
  }

  package var exitStatus: Int32 {
    if let failure { return failure.step.exitStatus }
    return isCookieAccepted ? 0 : Self.incompleteStatus
  }

  /// The report as lines for people.
  package func text(colours: Bool) -> String {
    let width = DoctorStep.allCases.map(\.title.count).max() ?? 0
    let lines = steps.map { step, finding in
      let title = step.title.padded(to: width)
      switch finding {
      case .ok(let text):
        return "\(Colour.green.paint("ok        ", colours)) \(title)  \(text)"
      case .failed(let text):
        return "\(Colour.red.paint("FAILED    ", colours)) \(title)  \(text)"
      case .notTried(let text):
        return "\(Colour.dim.paint("not tried ", colours)) \(title)  \(text)".trimmingEnd
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The report as one JSON object on one line.
  package var json: String {
    JSONText.object([
      ("node", JSONText.string(node)),
      ("ok", exitStatus == 0 ? "true" : "false"),
      ("exit_status", String(exitStatus)),
      ("failed", failure.map { JSONText.string($0.step.rawValue) } ?? "null"),
      (
        "steps",
        JSONText.array(
          steps.map { step, finding in
            JSONText.object([
              ("step", JSONText.string(step.rawValue)),
              ("status", JSONText.string(finding.status)),
              ("text", JSONText.string(finding.text)),
            ])
          }
        )
      ),
    ])
  }

  package static func == (left: DoctorReport, right: DoctorReport) -> Bool {
    left.node == right.node && left.findings == right.findings
  }
}
