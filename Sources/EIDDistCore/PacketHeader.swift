// SPDX-License-Identifier: Apache-2.0

/// The big-endian length that goes before each packet.
public enum PacketHeader {
  /// In the handshake.
  public static let handshakeBytes = 2
  /// In data mode.
  public static let dataBytes = 4
  /// The longest packet of the data mode: what the VM itself sends at most.
  ///
  /// erts/emulator/beam/dist.c, `dist_port_commandv`, ends the VM above INT_MAX.
  public static let maxPacketBytes = 0x7fff_ffff
}
