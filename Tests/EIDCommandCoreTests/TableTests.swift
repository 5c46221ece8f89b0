// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDCommandCore
@testable import EIDDistCore

@Suite struct TableTests {
  @Test func columnsAreAsWideAsTheirWidestCell() {
    var table = TextTable([("name", .left), ("n", .right), ("x", .left)])
    table.add(["a", "100", ""])
    table.add(["longer", "1", "y"])
    #expect(table.lines == ["name      n  x", "a       100", "longer    1  y"])
  }

  @Test func hostNodesTellApartWhatIsNotPublished() throws {
    let id = String(repeating: "0123456789abcdef", count: 4)
    let target = LookupTarget(
      container: try ContainerReference("web".utf8),
      listenPort: 12345,
      daemon: Endpoint(address: .v4(0x0a4d_0002), port: 4243)
    )
    let containers = [
      ListedContainer(id: id, name: "web", state: "running", publishedPort: .success(32768)),
      ListedContainer(
        id: String(id.reversed()),
        name: "db",
        state: "running",
        publishedPort: .failure(.notPublished(target, instead: ["80/tcp"]))
      ),
    ]
    #expect(
      HostNodes.lines(containers, host: "10.77.0.2", listenPort: 12345) == [
        "node                    container  published port  state",
        "0123456789ab@10.77.0.2  web                 32768  running",
        "",
        "not reached on port 12345:",
        "container     name  state    why",
        "fedcba987654  db    running  not published, only 80/tcp",
      ]
    )
    #expect(
      HostNodes.lines([], host: "h", listenPort: 7) == ["no container on h publishes port 7"]
    )
    #expect(
      HostNodes.json(containers, host: "h")[1].hasSuffix(
        #""name":"db","state":"running","published_port":null,"reason":"not_published"}"#
      )
    )
  }

  private func sample(_ lines: [String]) -> TrafficSample? {
    var reader = TrafficReader()
    var samples: [TrafficSample] = []
    for line in lines { if let sample = reader.take(line) { samples.append(sample) } }
    return samples.count == 1 ? samples[0] : nil
  }

  @Test func ratesComeFromTwoSamples() throws {
    let first = try #require(
      sample(["sample 1000000", "a@h 10.77.0.2:32768 10 20 1000 2000 0 false 0 94", "end"])
    )
    let second = try #require(
      sample(["sample 3000000", "a@h 10.77.0.2:32768 30 20 41000 2000 7 true 500000 -", "end"])
    )
    #expect(
      TrafficTable.lines(second, since: first) == [
        "node  peer             msg/s in  out  bytes/s in  out  queue  busy  round trip",
        "a@h   10.77.0.2:32768        10    0       20.0k    0      7   25%           -",
      ]
    )
    #expect(
      TrafficTable.lines(first, since: nil)[1]
        == "a@h   10.77.0.2:32768         -    -           -    -      0     -       94 us"
    )
  }

  @Test func connectionMadeAnewCountsFromZero() throws {
    let first = try #require(sample(["sample 0", "a@h p 100 0 0 0 0 false 9000000 1", "end"]))
    let second = try #require(sample(["sample 1000000", "a@h p 5 0 0 0 0 false 0 1", "end"]))
    #expect(TrafficTable.lines(second, since: first)[1].contains(" 5 "))
  }

  @Test func whatIsNoSampleIsLeftOut() {
    #expect(sample(["a@h p 1 1 1 1 1 false 1 1", "end"]) == nil)
    #expect(sample(["sample 1", "a@h p 1 1 -1 1 1 false 1 1", "x", "end"])?.connections == [])
    #expect(
      sample(["sample 1", "end"]).map { TrafficTable.lines($0, since: nil) }
        == ["no connections"]
    )
  }

  @Test func numbersAreShort() {
    #expect(TrafficTable.short(0) == "0")
    #expect(TrafficTable.short(9999) == "9999")
    #expect(TrafficTable.short(10_000) == "10.0k")
    #expect(TrafficTable.short(123_456) == "123k")
    #expect(TrafficTable.short(1_234_567) == "1.2M")
    #expect(TrafficTable.short(UInt64.max) == "18446744T")
  }
}
