// SPDX-License-Identifier: Apache-2.0

/// Makes samples of the lines that eid_command:top/0 prints.
package struct TrafficReader {
  private var sample: TrafficSample?

  package init() {}

  /// Takes a line; returns the sample that ends with it.
  package mutating func take(_ line: String) -> TrafficSample? {
    let words = line.split(separator: " ")
    if words.count == 2, words[0] == "sample", let microseconds = Int64(words[1]) {
      sample = TrafficSample(microseconds: microseconds)
    } else if line == "end" {
      defer { sample = nil }
      return sample
    } else if let connection = TrafficSample.Connection(line) {
      sample?.connections.append(connection)
    }
    return nil
  }
}
