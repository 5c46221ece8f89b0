// SPDX-License-Identifier: Apache-2.0

/// What a node said of its connections at one moment.
package struct TrafficSample: Equatable {
  package struct Connection: Equatable {
    package var node: String
    /// Address and port; the published one, where the node has made the connection.
    package var peer: String
    package var receivedPackets: UInt64
    package var sentPackets: UInt64
    package var receivedBytes: UInt64
    package var sentBytes: UInt64
    package var queuedBytes: UInt64
    package var isBusy: Bool
    package var busyMicroseconds: UInt64
    package var roundTripMicroseconds: UInt64?

    /// Takes a line of eid_command:top/0; nil where it is none.
    init?(_ line: String) {
      let fields = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
      guard fields.count == 10, let receivedPackets = UInt64(fields[2]),
        let sentPackets = UInt64(fields[3]), let receivedBytes = UInt64(fields[4]),
        let sentBytes = UInt64(fields[5]), let queuedBytes = UInt64(fields[6]),
        let isBusy = Bool(fields[7]), let busyMicroseconds = UInt64(fields[8])
      else { return nil }
      node = fields[0]
      peer = fields[1]
      self.receivedPackets = receivedPackets
      self.sentPackets = sentPackets
      self.receivedBytes = receivedBytes
      self.sentBytes = sentBytes
      self.queuedBytes = queuedBytes
      self.isBusy = isBusy
      self.busyMicroseconds = busyMicroseconds
      roundTripMicroseconds = UInt64(fields[9])
    }
  }

  package let microseconds: Int64
  package var connections: [Connection] = []

  /// As JSON, one object on one line.
  package var json: String {
    JSONText.object([
      ("microseconds", String(microseconds)),
      (
        "connections",
        JSONText.array(
          connections.map { connection in
            JSONText.object([
              ("node", JSONText.string(connection.node)),
              ("peer", JSONText.string(connection.peer)),
              ("received_packets", String(connection.receivedPackets)),
              ("sent_packets", String(connection.sentPackets)),
              ("received_bytes", String(connection.receivedBytes)),
              ("sent_bytes", String(connection.sentBytes)),
              ("queued_bytes", String(connection.queuedBytes)),
              ("busy", String(connection.isBusy)),
              ("busy_microseconds", String(connection.busyMicroseconds)),
              (
                "round_trip_microseconds",
                connection.roundTripMicroseconds.map { String($0) } ?? "null"
              ),
            ])
          }
        )
      ),
    ])
  }
}
