// SPDX-License-Identifier: Apache-2.0

import CErlDriverStandIns
import EIDDistCore
import Testing

extension DriverTests {
  /// Any process that holds a port can ask anything of it. A trap would end the node, and
  /// here the test run.
  @Suite struct HostileTests {
    enum Situation: CaseIterable {
      case freshListener, listening, accepting
      case fresh, connecting, handshake, waiting, silent, data, staged, blocked, ended
      case freshLookup

      func port() -> Port {
        switch self {
        case .freshListener: return .listener()
        case .listening: return .listening()
        case .accepting:
          let port = Port.listening()
          _ = port.control(.accept, big(UInt32(1)))
          return port
        case .fresh: return .connection()
        case .connecting:
          let port = Port.connection()
          _ = port.control(.connect, big(UInt32(1)) + loopback(Peer.listening().1))
          return port
        case .handshake: return Port.accepted().0
        case .waiting:
          let (port, peer) = Port.accepted()
          _ = port.control(.receive, big(UInt32(1)))
          peer.send([0])
          Machine.settle()
          return port
        case .silent:
          let (port, _) = Port.accepted()
          _ = port.control(.enterDataMode)
          return port
        case .data: return Port.inDataMode().0
        case .staged:
          let (port, _) = Port.inDataMode()
          port.output([1])
          return port
        case .blocked:
          let (port, _) = Port.inDataMode()
          _ = port.outputUntilBlocked()
          return port
        case .ended:
          let (port, peer) = Port.accepted()
          peer.close()
          _ = port.control(.receive, big(UInt32(1)))
          Machine.settle()
          return port
        case .freshLookup: return Port("eid_drv lookup")!
        }
      }
    }

    /// A command with at most one byte changed, or random bytes.
    private func bytes(_ opcode: UInt32, _ random: inout Seeded) -> [UInt8] {
      var bytes: [UInt8]
      if Bool.random(using: &random) {
        let request = big(UInt32.random(in: 0...2, using: &random))
        let options = [
          option(.noDelay, 1), option(35, big(UInt32(0))), option(36, big(UInt32.max)),
          option(34, big(Int32(6)) + big(Int32(1)) + [1, 0, 0, 0]), option(33, [0x78]),
          option(37, loopback(0)), option(.sendBuffer, -1), [3],
        ]
        let option = options.randomElement(using: &random)!
        switch ControlOpcode(rawValue: opcode) {
        case .listen: bytes = loopback(0) + big(Int32.random(in: -2...2, using: &random)) + option
        case .connect: bytes = request + loopback(1) + option
        case .accept, .receive, .cancel: bytes = request
        case .setOptions: bytes = option + option
        case .getOptions: bytes = [1, 3, 32, 34, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 1, 0, 35, 36]
        case .lookup: bytes = request + loopback(1) + [0, 0, 0, 9, 0x30, 0x39] + random.bytes(12)
        case .send: bytes = random.bytes(.random(in: 0...300, using: &random))
        default: bytes = []
        }
        if !bytes.isEmpty, Bool.random(using: &random) {
          bytes[.random(in: 0..<bytes.count, using: &random)] = random.bytes(1)[0]
        }
      } else {
        bytes = random.bytes(.random(in: 0...40, using: &random))
      }
      // Whatever they say, the address stays on this machine, at a port where nobody listens.
      let at = opcode == ControlOpcode.listen.rawValue ? 0 : 4
      if bytes.count > at, bytes[at] == 4 || bytes[at] == 6 {
        let endpoint = bytes[at] == 4 ? loopback(1) : v6(1, 1)
        bytes.replaceSubrange(at..<min(at + endpoint.count, bytes.count), with: endpoint)
      }
      return bytes
    }

    @Test(arguments: Situation.allCases) func noCommandTraps(_ situation: Situation) {
      var random = Seeded(UInt64(Situation.allCases.firstIndex(of: situation)!))
      for _ in 0..<12 {
        let port = situation.port()
        for _ in 0..<40 {
          let opcode = UInt32.random(in: 0...18, using: &random)
          _ = port.control(opcode, bytes(opcode, &random))
          switch Int.random(in: 0..<12, using: &random) {
          case 0: standin_ready_input(port.id)
          case 1: standin_ready_output(port.id)
          case 2: standin_fire_timer(port.id)
          case 3: port.output(random.bytes(5))
          default: break
          }
        }
        Machine.settle()
        port.close()
        _ = Machine.messages()
      }
    }

    @Test func nobodyWhoWaitsIsForgottenByARefusedCommand() {
      let (port, peer) = Port.accepted()
      #expect(port.control(.receive, big(UInt32(1))) == .ok)
      for opcode in ControlOpcode.allCases where opcode != .send && opcode != .cancel {
        _ = port.control(opcode, [], by: Machine.bob)
      }
      peer.send(short([1]))
      #expect(Machine.message() == port.reply(1, .ok([1])))
    }
  }
}
