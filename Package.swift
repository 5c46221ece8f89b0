// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// The Erlang installation whose `erl_driver.h` the driver is compiled against.
///
/// The driver ABI (3.3) is the same in OTP 25 to 29, so any of them will do.
let erlangRoot = Context.environment["ERLANG_ROOT"] ?? "/usr/lib/erlang"
let erlangHeaders = "-I\(erlangRoot)/usr/include"

/// In a release, the core's generics are specialized in the driver (without that every
/// message looks up metadata), and accesses are not checked for exclusivity at run time: all
/// callbacks of a port run under its lock, and such a check could only trap. The tests, built
/// for debugging, do check.
let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .unsafeFlags(["-warnings-as-errors"]),
  .unsafeFlags(
    ["-cross-module-optimization", "-enforce-exclusivity=unchecked"],
    .when(configuration: .release)
  ),
]

let package = Package(
  name: "eid",
  products: [
    .library(name: "EIDDistDriver", type: .dynamic, targets: ["EIDDistDriver"]),
    .executable(name: "eid", targets: ["eid"]),
  ],
  dependencies: [
    // For the command alone: the driver links none of it.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    // erl_driver.h for Swift, and the few things that Swift cannot express.
    .target(name: "CErlDriver", cSettings: [.unsafeFlags([erlangHeaders])]),

    // Pure decisions: no VM, no socket, no clock. Imports nothing.
    .target(name: "EIDDistCore", swiftSettings: strict),

    // The guest in the VM.
    .target(
      name: "EIDDistDriver",
      dependencies: ["CErlDriver", "EIDDistCore"],
      swiftSettings: strict + [.unsafeFlags(["-Xcc", erlangHeaders])]
    ),

    // What the command decides: no socket, no file, no process.
    .target(name: "EIDCommandCore", dependencies: ["EIDDistCore"], swiftSettings: strict),

    // The command, which runs beside the VM or without one.
    .executableTarget(
      name: "eid",
      dependencies: [
        "EIDCommandCore", "EIDDistCore",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/EIDCommand",
      swiftSettings: strict
    ),

    // Recording stand-ins for driver_*, so that the glue is tested without a VM.
    .target(
      name: "CErlDriverStandIns",
      path: "Tests/CErlDriverStandIns",
      cSettings: [.unsafeFlags([erlangHeaders])]
    ),

    .testTarget(
      name: "EIDDistCoreTests",
      dependencies: ["EIDDistCore"],
      exclude: ["Recorded"]
    ),
    .testTarget(name: "EIDCommandCoreTests", dependencies: ["EIDCommandCore", "EIDDistCore"]),
    .testTarget(
      name: "EIDDistDriverTests",
      dependencies: ["EIDDistDriver", "CErlDriver", "CErlDriverStandIns"],
      swiftSettings: [.unsafeFlags(["-Xcc", erlangHeaders])]
    ),
  ],
  swiftLanguageModes: [.v6]
)
