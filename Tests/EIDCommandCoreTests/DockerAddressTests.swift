// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EIDCommandCore

@Suite struct DockerAddressTests {
  @Test(
    arguments: [
      ("tcp://10.77.0.2:2376", "10.77.0.2", 2376), ("tcp://10.77.0.2:1/", "10.77.0.2", 1),
      ("http://h-2.test:65535", "h-2.test", 65535), ("tcp://[fd00::1]:4243", "fd00::1", 4243),
      ("tcp://[fd00::1]", "fd00::1", 2375), ("tcp://h", "h", 2375),
    ] as [(String, String, UInt16)]
  )
  func addressOfAHostIsUnderstood(_ text: String, _ host: String, _ port: UInt16) {
    let address = DockerAddress(text)
    #expect(address?.host == host)
    #expect(address?.port == port)
  }

  @Test(arguments: [
    "", "tcp://", "tcp://:2375", "unix:///var/run/docker.sock", "ssh://h:22", "https://h:2376",
    "h:2375", "tcp:h:1", "tcp://h:0", "tcp://h:65536", "tcp://h:", "tcp://h:+1", "tcp://h:1/v1",
    "tcp://h/v1", "tcp://[fd00::1", "tcp://[]:1", "tcp://[fd00::1]1", "tcp://h:1:2",
  ])
  func otherAddressIsNone(_ text: String) {
    #expect(DockerAddress(text) == nil)
  }
}
