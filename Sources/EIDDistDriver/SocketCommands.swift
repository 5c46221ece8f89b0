// SPDX-License-Identifier: Apache-2.0

import EIDDistCore

/// The control commands that listeners and connections share.
extension EidPort {
  func setOptions(_ options: [SocketOption], on socket: PolledSocket?) -> ControlReply {
    guard let socket else { return .error("enotconn") }
    do throws(Errno) {
      for option in options { try SocketCalls.set(option, on: socket.descriptor) }
      return .ok
    } catch {
      return .error(error)
    }
  }

  /// Answers `<<Code:8, Length:16, Value/binary>>` for each query that has an answer here.
  func getOptions(
    _ queries: [SocketOption.Query],
    of socket: PolledSocket?,
    _ tuning: Tuning?
  ) -> ControlReply {
    guard let socket else { return .error("enotconn") }
    var answer: [UInt8] = []
    func add(_ code: UInt8, _ value: [UInt8]) {
      answer += [code, UInt8(truncatingIfNeeded: value.count >> 8)]
      answer += [UInt8(truncatingIfNeeded: value.count)] + value
    }
    do throws(Errno) {
      for query in queries {
        switch query {
        case .integer(let kind):
          // inet leaves out what the family does not have; the rest is an error there too.
          guard let value = try? SocketCalls.get(query, of: socket.descriptor) else { continue }
          add(kind.rawValue, value)
        case .linger:
          add(SocketOption.Code.linger, try SocketCalls.get(query, of: socket.descriptor))
        case .raw:
          add(SocketOption.Code.raw, try SocketCalls.get(query, of: socket.descriptor))
        case .tuning(let option):
          guard let tuning else { continue }
          add(option.rawValue, bigEndian(UInt32(clamping: tuning[option])))
        }
      }
      return .ok(answer)
    } catch {
      return .error(error)
    }
  }

  func socketName(of socket: PolledSocket?) -> ControlReply {
    guard let socket else { return .error("enotconn") }
    do throws(Errno) {
      return .ok(try SocketCalls.socketName(socket.descriptor).encoded)
    } catch {
      return .error(error)
    }
  }

  func peerName(of socket: PolledSocket?) -> ControlReply {
    guard let socket else { return .error("enotconn") }
    do throws(Errno) {
      return .ok(try SocketCalls.peerName(socket.descriptor).encoded)
    } catch {
      return .error(error)
    }
  }
}

/// An unsigned number as Erlang's side reads it.
func bigEndian<Number: FixedWidthInteger & UnsignedInteger>(_ number: Number) -> [UInt8] {
  stride(from: Number.bitWidth - 8, through: 0, by: -8).map {
    UInt8(truncatingIfNeeded: number >> Number($0))
  }
}

/// Counters as Erlang's side reads them.
func bigEndian(_ counters: [UInt64]) -> [UInt8] {
  var bytes: [UInt8] = []
  bytes.reserveCapacity(counters.count &* 8)
  for counter in counters {
    unsafe withUnsafeBytes(of: counter.bigEndian) { unsafe bytes.append(contentsOf: $0) }
  }
  return bytes
}
