// SPDX-License-Identifier: Apache-2.0

import CErlDriver
import EIDDistCore

/// What the VM calls when it loads the driver: fills in the entry that the VM keeps.
///
/// Each callback finds its port object behind the driver data and calls it, nothing more.
/// Mirrors `driver_init` of erl_driver(3).
@_cdecl("driver_init")
public func driverInit() -> UnsafeMutablePointer<ErlDrvEntry> {
  let entry = unsafe eid_driver_entry()
  unsafe entry.pointee.driver_name = UnsafeMutableRawPointer(
    mutating: driverName.utf8Start
  ).assumingMemoryBound(to: CChar.self)
  unsafe entry.pointee.extended_marker = Int32(bitPattern: UInt32(ERL_DRV_EXTENDED_MARKER))
  unsafe entry.pointee.major_version = ERL_DRV_EXTENDED_MAJOR_VERSION
  unsafe entry.pointee.minor_version = ERL_DRV_EXTENDED_MINOR_VERSION
  unsafe entry.pointee.driver_flags = ERL_DRV_FLAG_USE_PORT_LOCKING | ERL_DRV_FLAG_SOFT_BUSY

  unsafe entry.pointee.start = { handle, command in
    unsafe startPort(DriverPort(handle: handle!), command: command)
  }
  unsafe entry.pointee.stop = { data in
    let port = unsafe Unmanaged<EidPort>.fromOpaque(UnsafeRawPointer(data!))
    // The VM's reference goes; a callback that is under way holds one of its own.
    unsafe port.takeUnretainedValue().stop()
    unsafe port.release()
  }
  unsafe entry.pointee.control = { data, opcode, bytes, count, reply, replyCount in
    let span = unsafe Span(
      _unsafeElements: UnsafeBufferPointer(
        start: UnsafeRawPointer(bytes)?.assumingMemoryBound(to: UInt8.self),
        count: bytes == nil ? 0 : count
      )
    )
    guard let command = ControlCommand(opcode: opcode, bytes: span) else { return -1 }
    return unsafe object(data).control(command).write(to: reply!, capacity: replyCount)
  }
  unsafe entry.pointee.outputv = { data, vector in unsafe object(data).outputv(vector!) }
  unsafe entry.pointee.ready_input = { data, _ in unsafe object(data).readyInput() }
  unsafe entry.pointee.ready_output = { data, _ in unsafe object(data).readyOutput() }
  unsafe entry.pointee.timeout = { data in unsafe object(data).timeout() }
  unsafe entry.pointee.flush = { data in unsafe object(data).flush() }
  unsafe entry.pointee.stop_select = { event, _ in
    Socket.close(Int32(truncatingIfNeeded: Int(bitPattern: event)))
  }
  return unsafe entry
}

/// The port object behind the VM's driver data.
private func object(_ data: ErlDrvData?) -> EidPort {
  unsafe Unmanaged<EidPort>.fromOpaque(UnsafeRawPointer(data!)).takeUnretainedValue()
}

/// Makes the port that `open_port({spawn_driver, "eid_drv ROLE"}, _)` asks for.
private func startPort(
  _ port: DriverPort,
  command: UnsafeMutablePointer<CChar>?
) -> ErlDrvData? {
  guard let command = unsafe command else { return unsafe eid_bad_argument() }
  port.lockDriver()
  port.useBinaryReplies()
  let started: EidPort
  switch unsafe String(cString: command) {
  case "eid_drv listener": started = ListenerPort(port)
  case "eid_drv connection": started = ConnectionPort(port)
  case "eid_drv lookup": started = LookupPort(port)
  default: return unsafe eid_bad_argument()
  }
  return unsafe ErlDrvData(Unmanaged.passRetained(started).toOpaque())
}
