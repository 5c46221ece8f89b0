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
  case .lookup(let lookup):
    check(lookup.container.count <= bytes.count, "a longer name than came")
    _ = try? ContainerReference(lookup.container)
  case .lookupOver(let lookup):
    check(lookup.container.count <= bytes.count, "a longer name than came")
    _ = try? ContainerReference(lookup.container)
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
