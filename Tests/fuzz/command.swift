// SPDX-License-Identifier: Apache-2.0

/// Control commands, as port_control/3 of any process can send them.
func run(_ input: [UInt8]) {
  guard let opcode = input.first else { return }
  let bytes = Array(input.dropFirst())
  guard let command = ControlCommand(opcode: UInt32(opcode), bytes: bytes.span) else { return }
  check(ControlOpcode(rawValue: UInt32(opcode)) != nil, "a command without an opcode")
  switch command {
  case .send(let packet):
    check(packet == bytes, "another packet")
  case .setOptions(let options), .connect(_, _, let options), .listen(_, _, let options):
    check(options.count <= bytes.count, "more options than bytes")
    var tuning = Tuning()
    for case .tuning(let option, let value) in options {
      tuning.set(option, to: value)
      check(tuning.lowWatermark < tuning.highWatermark, "a busy port would never be ready")
      check(tuning.receiveChunk >= ReceiveBuffer.firstChunkBytes, "no room to receive")
    }
  case .ask(let command, _, _), .askOver(let command):
    switch command.subject {
    case .container(let name):
      check(name.count <= bytes.count, "a longer name than came")
      _ = try? ContainerReference(name)
    case .label(let label):
      checkLabel(label)
    }
  case .eventsRequest(let daemon, let bytes):
    guard let label = try? ContainerLabel(bytes) else { return }
    let lines = String(decoding: label.eventsRequest(to: daemon), as: UTF8.self)
      .split(separator: "\r\n", omittingEmptySubsequences: false)
    check(lines.count == 7 && lines[5].isEmpty && lines[6].isEmpty, "\(lines)")
    check(lines[0].split(separator: " ", omittingEmptySubsequences: false).count == 3, "\(lines)")
  case .feed(let answer):
    check(answer == bytes, "another answer")
  case .feedEnd(let reason):
    check(reason == bytes, "another reason")
  case .opcodes, .accept, .receive, .cancel, .enterDataMode, .startDelivery, .tick, .statistics,
    .traffic,
    .getOptions, .peerName, .socketName:
    break
  }
}

/// Whatever a label has in it, the path of a request is one, and is of ASCII.
private func checkLabel(_ bytes: [UInt8]) {
  guard let label = try? ContainerLabel(bytes) else { return }
  let path = label.listPath
  check(path.utf8.allSatisfy { (0x21...0x7E).contains($0) }, path)
  check(path.hasPrefix("/containers/json?filters=%7B%22label%22%3A%5B%22"), path)
  check(path.hasSuffix("%22%5D%7D"), path)
  check(!path.dropFirst(17).contains { "&#?/".contains($0) }, path)
}
