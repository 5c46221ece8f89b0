// SPDX-License-Identifier: Apache-2.0

import EIDDistCore
import Testing

@testable import EIDCommandCore

@Suite struct ListeningSocketTests {
  /// As Linux writes it: one that listens everywhere, one connection, one on an address.
  private static let tcp = """
      sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
       0: 00000000:3039 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 00 100 0 0 10 0
       1: 020011AC:3039 01004D0A:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 00 20 4 30 10 -1
       2: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4713 1 00 100 0 0 10 0
    """
  private static let tcp6 = """
      sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
       0: 00000000000000000000000000000000:3039 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 00 100 0 0 10 0
       1: 000000FD000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 98 1 00 100 0 0 10 0
    """

  @Test func onlyWhatListensIsTaken() {
    let sockets = ListeningSocket.all(in: Self.tcp)
    #expect(sockets.map(\.inode) == [4711, 4713])
    #expect(sockets.map(\.endpoint.text) == ["0.0.0.0:12345", "127.0.0.1:8080"])
    #expect(
      sockets.map(\.reachableEndpoint.text) == ["127.0.0.1:12345", "127.0.0.1:8080"]
    )
  }

  @Test func addressesOfSixteenBytesAreRead() {
    let sockets = ListeningSocket.all(in: Self.tcp6)
    #expect(sockets.map(\.endpoint.text) == ["[::]:12345", "[fd00::1]:80"])
    #expect(sockets.first?.reachableEndpoint.text == "127.0.0.1:12345")
  }

  @Test func socketOfAnotherOnTheSamePortIsNotTaken() {
    let sockets = ListeningSocket.all(
      in: """
          sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 0300007F:3039 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 31 1 0
           1: 0200007F:3039 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 21 1 0
        """
    )
    func address(_ own: Set<UInt64>?, _ port: UInt16 = 12345) -> String? {
      ListeningSocket.first(in: sockets, on: port, own: own)?.endpoint.text
    }
    #expect(address([20, 21]) == "127.0.0.2:12345")
    #expect(address([31]) == "127.0.0.3:12345")
    #expect(address([20]) == nil)
    #expect(address([31], 1) == nil)
    // Where nobody knows whose they are.
    #expect(address(nil) == "127.0.0.3:12345")
  }

  @Test func nonsenseIsLeftOut() {
    #expect(ListeningSocket.all(in: "").isEmpty)
    #expect(ListeningSocket.all(in: "x\ny z\n 0: 00:3039 0 0A 0 0 0 0 0 7").isEmpty)
  }
}
