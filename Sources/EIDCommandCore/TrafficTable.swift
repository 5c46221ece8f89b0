// SPDX-License-Identifier: Apache-2.0

/// What `eid top` shows: what each connection carried between two samples.
package enum TrafficTable {
  private static let microsecondsPerSecond = 1_000_000

  /// The lines; without an earlier sample there are no rates yet.
  package static func lines(_ sample: TrafficSample, since earlier: TrafficSample?) -> [String] {
    var table = TextTable([
      ("node", .left), ("peer", .left), ("msg/s in", .right), ("out", .right),
      ("bytes/s in", .right), ("out", .right), ("queue", .right), ("busy", .right),
      ("round trip", .right),
    ])
    for connection in sample.connections {
      let before = earlier?.connections.first {
        $0.node == connection.node && $0.peer == connection.peer
      }
      let time = earlier.map { sample.microseconds - $0.microseconds } ?? 0
      func rate(_ counter: KeyPath<TrafficSample.Connection, UInt64>) -> String {
        guard let before, time > 0 else { return "-" }
        let (now, then) = (connection[keyPath: counter], before[keyPath: counter])
        // A connection that was made anew counts from zero.
        let count = now >= then ? now - then : now
        return amount(count.multipliedFullWidth(by: 1_000_000), per: UInt64(time))
      }
      let busy: String
      if let before, time > 0 {
        let micro =
          connection.busyMicroseconds >= before.busyMicroseconds
          ? connection.busyMicroseconds - before.busyMicroseconds : connection.busyMicroseconds
        busy = "\(min(100, micro / max(1, UInt64(time) / 100)))%"
      } else {
        busy = connection.isBusy ? "now" : "-"
      }
      table.add([
        connection.node, connection.peer, rate(\.receivedPackets), rate(\.sentPackets),
        rate(\.receivedBytes), rate(\.sentBytes), short(connection.queuedBytes), busy,
        connection.roundTripMicroseconds.map { "\($0) us" } ?? "-",
      ])
    }
    return sample.connections.isEmpty ? ["no connections"] : table.lines
  }

  private static func amount(_ product: (high: UInt64, low: UInt64), per time: UInt64) -> String {
    guard product.high < time else { return "-" }
    return short(time.dividingFullWidth((product.high, product.low)).quotient)
  }

  /// A number of at most four digits, with k, M, G or T.
  static func short(_ number: UInt64) -> String {
    var (value, tenths, suffix) = (number, UInt64(0), "")
    for next in ["k", "M", "G", "T"] {
      guard value >= 10_000 || (!suffix.isEmpty && value >= 1000) else { break }
      tenths = value % 1000 / 100
      (value, suffix) = (value / 1000, next)
    }
    return suffix.isEmpty || value >= 100 ? "\(value)\(suffix)" : "\(value).\(tenths)\(suffix)"
  }
}
