// SPDX-License-Identifier: Apache-2.0

/// Docker's description of a container, of which it keeps what a lookup needs while the
/// JSON goes by.
///
/// It follows the path of every value, so that the same text elsewhere (in labels, in the
/// environment, in `HostConfig.PortBindings`) means nothing. A field that it needs may
/// stand there only once: of two, no reader could say which one is meant.
struct ContainerInspection {
  /// So many other published ports are named where the listen port is not among them.
  static let maxInstead = 8
  /// `65535/sctp` is the longest that Docker has.
  private static let maxPortKeyBytes = 10

  /// The fields that are needed, by their keys.
  private enum Field: String {
    case id = "Id"
    case name = "Name"
    case state = "State"
    case status = "Status"
    case running = "Running"
    case paused = "Paused"
    case restarting = "Restarting"
    case dead = "Dead"
    case hostConfig = "HostConfig"
    case networkMode = "NetworkMode"
    case networkSettings = "NetworkSettings"
    case ports = "Ports"
    case hostIP = "HostIp"
    case hostPort = "HostPort"
  }

  /// An object or array that the scanner is in.
  private enum Place {
    case container
    case state
    case hostConfig
    case networkSettings
    case ports
    case bindings(ofListenPort: Bool)
    case binding
    case elsewhere
  }

  /// What the next value is.
  private enum Slot: Equatable {
    case container
    case field(Field)
    case bindings(ofListenPort: Bool)
    case binding
    case unneeded
  }

  private let container: ContainerReference
  private let target: LookupTarget
  private let portKey: [UInt8]
  private var places: [Place] = []
  private var slot = Slot.container
  /// The key that ``Slot/bindings(ofListenPort:)`` is for.
  private var currentPort: [UInt8] = []
  private var seen: Set<Field> = []
  private var seenListenPort = false

  private var texts: [Field: [UInt8]] = [:]
  private var flags: [Field: Bool] = [:]
  private var choice: BindingChoice
  private var instead: [String] = []

  init(container: ContainerReference, target: LookupTarget) {
    self.container = container
    self.target = target
    portKey = Array("\(target.listenPort)/tcp".utf8)
    choice = BindingChoice(target: target)
  }

  /// Takes the scanner's next event, and the text of a key or string.
  mutating func take(_ event: JSONEvent, text: [UInt8]) throws(LookupFailure) {
    switch event {
    case .key:
      try takeKey(text)
      return
    case .beginObject:
      try beginObject()
      return
    case .beginArray:
      try beginArray()
      return
    case .endObject, .endArray:
      try endPlace()
    case .string:
      try takeString(text)
    case .bool(let flag):
      try takeFlag(flag)
    case .null:
      try takeNull()
    case .number:
      try refuseUnlessUnneeded()
    }
    slot = slotOfNextElement
  }

  /// What the container, now that it is described, gives: the published port.
  func publishedPort() throws(LookupFailure) -> UInt16 {
    guard let id = texts[.id] else { throw .unexpectedJSON(target, field: "Id") }
    guard let name = texts[.name] else { throw .unexpectedJSON(target, field: "Name") }
    guard container.matches(id: id, name: name) else {
      throw .wrongContainer(
        target,
        id: String(sanitizing: id),
        name: String(sanitizing: name.drop { $0 == UInt8(ascii: "/") })
      )
    }
    try checkState()

    let networkMode = texts[.networkMode] ?? []
    if networkMode.elementsEqual("host".utf8) { return target.listenPort }
    guard seen.contains(.ports) else {
      throw .unexpectedJSON(target, field: "NetworkSettings.Ports")
    }
    // Podman lists here what the container publishes whose network this one shares.
    if let port = try choice.publishedPort() { return port }
    let shared = Array("container:".utf8)
    if networkMode.starts(with: shared) {
      throw .sharesNetwork(
        target,
        with: String(sanitizing: networkMode.dropFirst(shared.count))
      )
    }
    throw .notPublished(target, instead: instead)
  }

  private func checkState() throws(LookupFailure) {
    guard let isRunning = flags[.running] else {
      throw .unexpectedJSON(target, field: "State.Running")
    }
    // Docker counts restarting and paused containers as running, so these come first.
    if flags[.restarting] == true { throw .restarting(target) }
    if flags[.paused] == true { throw .paused(target) }
    if flags[.dead] == true { throw .dead(target) }
    guard isRunning else {
      throw .notRunning(target, status: String(sanitizing: texts[.status] ?? []))
    }
  }

  // MARK: Following the path

  private mutating func takeKey(_ key: [UInt8]) throws(LookupFailure) {
    switch places.last {
    case .container: try takeKey(key, of: [.id, .name, .state, .hostConfig, .networkSettings])
    case .state: try takeKey(key, of: [.status, .running, .paused, .restarting, .dead])
    case .hostConfig: try takeKey(key, of: [.networkMode])
    case .networkSettings: try takeKey(key, of: [.ports])
    case .binding: try takeKey(key, of: [.hostIP, .hostPort])
    case .ports:
      let isListenPort = key == portKey
      if isListenPort, seenListenPort {
        throw .unexpectedJSON(target, field: "NetworkSettings.Ports")
      }
      seenListenPort = seenListenPort || isListenPort
      currentPort = key
      slot = .bindings(ofListenPort: isListenPort)
    case .bindings, .elsewhere, nil:
      slot = .unneeded
    }
  }

  private mutating func takeKey(_ key: [UInt8], of fields: [Field]) throws(LookupFailure) {
    guard let field = fields.first(where: { key.elementsEqual($0.rawValue.utf8) }) else {
      slot = .unneeded
      return
    }
    guard seen.insert(field).inserted else { throw unexpected(field) }
    slot = .field(field)
  }

  private mutating func beginObject() throws(LookupFailure) {
    switch slot {
    case .container: places.append(.container)
    case .field(.state): places.append(.state)
    case .field(.hostConfig): places.append(.hostConfig)
    case .field(.networkSettings): places.append(.networkSettings)
    case .field(.ports): places.append(.ports)
    case .binding: beginBinding()
    case .unneeded: places.append(.elsewhere)
    case .field, .bindings: throw unexpectedSlot
    }
  }

  private mutating func beginBinding() {
    places.append(.binding)
    (texts[.hostIP], texts[.hostPort]) = (nil, nil)
    seen.subtract([.hostIP, .hostPort])
  }

  private mutating func beginArray() throws(LookupFailure) {
    switch slot {
    case .bindings(let ofListenPort): places.append(.bindings(ofListenPort: ofListenPort))
    case .unneeded: places.append(.elsewhere)
    case .container, .field, .binding: throw unexpectedSlot
    }
    slot = slotOfNextElement
  }

  private mutating func endPlace() throws(LookupFailure) {
    guard case .binding = places.popLast() else { return }
    guard case .bindings(let ofListenPort) = places.last else { return }
    guard ofListenPort else { return notePublished(currentPort) }
    guard let hostIP = texts[.hostIP] else { throw unexpected(.hostIP) }
    guard let hostPort = texts[.hostPort] else { throw unexpected(.hostPort) }
    choice.consider(hostIP: hostIP, hostPort: hostPort)
  }

  private mutating func notePublished(_ port: [UInt8]) {
    let text = String(sanitizing: port.prefix(Self.maxPortKeyBytes))
    if instead.count < Self.maxInstead, instead.last != text { instead.append(text) }
  }

  /// In an array every value is an element; in an object a key comes first.
  private var slotOfNextElement: Slot {
    if case .bindings = places.last { .binding } else { .unneeded }
  }

  // MARK: Values

  private mutating func takeString(_ text: [UInt8]) throws(LookupFailure) {
    switch slot {
    case .field(let field):
      switch field {
      case .id, .name, .status, .networkMode, .hostIP, .hostPort: texts[field] = text
      case .state, .running, .paused, .restarting, .dead, .hostConfig, .networkSettings, .ports:
        throw unexpected(field)
      }
    case .container, .bindings, .binding, .unneeded:
      try refuseUnlessUnneeded()
    }
  }

  private mutating func takeFlag(_ flag: Bool) throws(LookupFailure) {
    switch slot {
    case .field(let field):
      switch field {
      case .running, .paused, .restarting, .dead: flags[field] = flag
      case .id, .name, .state, .status, .hostConfig, .networkMode, .networkSettings, .ports,
        .hostIP, .hostPort:
        throw unexpected(field)
      }
    case .container, .bindings, .binding, .unneeded:
      try refuseUnlessUnneeded()
    }
  }

  /// No ports at all, or one that is exposed but not published.
  private func takeNull() throws(LookupFailure) {
    switch slot {
    case .field(.ports), .bindings: break
    case .container, .field, .binding, .unneeded: try refuseUnlessUnneeded()
    }
  }

  private func refuseUnlessUnneeded() throws(LookupFailure) {
    if slot != .unneeded { throw unexpectedSlot }
  }

  private var unexpectedSlot: LookupFailure {
    switch slot {
    case .field(let field): unexpected(field)
    case .bindings, .binding: unexpected(.ports)
    case .container, .unneeded: .unexpectedJSON(target, field: "a container")
    }
  }

  private func unexpected(_ field: Field) -> LookupFailure {
    let path =
      switch field {
      case .id, .name, .state, .hostConfig, .networkSettings: field.rawValue
      case .status, .running, .paused, .restarting, .dead: "State.\(field.rawValue)"
      case .networkMode: "HostConfig.\(field.rawValue)"
      case .ports: "NetworkSettings.\(field.rawValue)"
      case .hostIP, .hostPort: "NetworkSettings.Ports.\(field.rawValue)"
      }
    return .unexpectedJSON(target, field: path)
  }
}
