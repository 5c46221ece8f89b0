// SPDX-License-Identifier: Apache-2.0

/// Docker's list of containers, of which it keeps what says where nodes are while the JSON
/// goes by.
///
/// It follows the path of every value, as ``ContainerInspection`` does: what labels or
/// networks contain means nothing.
struct ContainerListing {
  /// More containers on one host are not what a list is for.
  static let maxContainers = 4096
  /// A state or network mode is a word, a name at most 255 bytes: what is longer is cut.
  private static let maxKeptBytes = 255

  /// The fields that are needed, by their keys.
  private enum Field: String {
    case id = "Id"
    case names = "Names"
    case state = "State"
    case ports = "Ports"
    case hostConfig = "HostConfig"
    case networkMode = "NetworkMode"
    case ip = "IP"
    case privatePort = "PrivatePort"
    case publicPort = "PublicPort"
    case type = "Type"
  }

  /// An object or array that the scanner is in.
  private enum Place: Equatable {
    case list
    case container
    case names
    case hostConfig
    case ports
    case port
    case elsewhere
  }

  private let target: LookupTarget
  private var places: [Place] = []
  /// The field of the value that comes next; nil where the value is not needed.
  private var field: Field?
  /// The field of a number whose digits are still coming.
  private var numberField: Field?
  /// Of the container, and of the port, that the scanner is in.
  private var container: [Field: [UInt8]] = [:]
  private var port: [Field: [UInt8]] = [:]
  /// The fields of both that have come. One that comes twice could mean either.
  private var seen: Set<Field> = []
  private var choice: BindingChoice
  private var instead: [String] = []
  private var listed: [ListedContainer] = []

  init(target: LookupTarget) {
    self.target = target
    choice = BindingChoice(target: target)
  }

  /// Takes the scanner's next event, with the text of a key or string, and the number
  /// that came last.
  mutating func take(
    _ event: JSONEvent,
    text: [UInt8],
    number: [UInt8]
  ) throws(LookupFailure) {
    // Its digits are all there when the next thing begins.
    if let numberField {
      port[numberField] = number
      self.numberField = nil
    }
    switch event {
    case .key:
      field = Self.field(text, in: places.last)
      if let field, !seen.insert(field).inserted {
        throw .unexpectedJSON(target, field: field.rawValue)
      }
      return
    case .beginObject: try begin(isArray: false)
    case .beginArray: try begin(isArray: true)
    case .endObject, .endArray: try end()
    case .string: try takeString(text)
    case .number:
      if field == .privatePort || field == .publicPort {
        numberField = field
      } else {
        try refuseUnlessUnneeded()
      }
    case .null:
      // No names, no ports: Go's way to write an empty list.
      if field != .names, field != .ports, field != .ip { try refuseUnlessUnneeded() }
    case .bool:
      try refuseUnlessUnneeded()
    }
    field = nil
  }

  /// All containers, now that the list has ended.
  var containers: [ListedContainer] { listed }

  private static func field(_ key: [UInt8], in place: Place?) -> Field? {
    let fields: [Field] =
      switch place {
      case .container: [.id, .names, .state, .ports, .hostConfig]
      case .hostConfig: [.networkMode]
      case .port: [.ip, .privatePort, .publicPort, .type]
      case .list, .names, .ports, .elsewhere, nil: []
      }
    return fields.first { key.elementsEqual($0.rawValue.utf8) }
  }

  private mutating func begin(isArray: Bool) throws(LookupFailure) {
    switch (places.last, field, isArray) {
    case (nil, nil, true): places.append(.list)
    case (nil, _, _): throw .unexpectedJSON(target, field: "a list of containers")
    case (.list, nil, false):
      places.append(.container)
      container = [:]
      seen = []
      choice = BindingChoice(target: target)
      instead = []
    case (.container, .names, true): places.append(.names)
    case (.container, .ports, true): places.append(.ports)
    case (.container, .hostConfig, false): places.append(.hostConfig)
    case (.ports, nil, false):
      places.append(.port)
      port = [:]
      seen.subtract([.ip, .privatePort, .publicPort, .type])
    case (.list, _, _): throw .unexpectedJSON(target, field: "a container")
    case (.container, let field?, _), (.hostConfig, let field?, _), (.port, let field?, _):
      throw .unexpectedJSON(target, field: field.rawValue)
    case (.ports, _, _): throw .unexpectedJSON(target, field: Field.ports.rawValue)
    case (.names, _, _): throw .unexpectedJSON(target, field: Field.names.rawValue)
    case (.container, nil, _), (.hostConfig, nil, _), (.port, nil, _), (.elsewhere, _, _):
      places.append(.elsewhere)
    }
  }

  private mutating func end() throws(LookupFailure) {
    switch places.popLast() {
    case .container: try endContainer()
    case .port: takePort()
    case .list, .names, .hostConfig, .ports, .elsewhere, nil: break
    }
  }

  private mutating func takeString(_ text: [UInt8]) throws(LookupFailure) {
    switch (places.last, field) {
    case (.names, _):
      // Links give a container further names, with a slash within; its own one has none.
      let name = text.drop { $0 == UInt8(ascii: "/") }
      if container[.names] == nil, !name.contains(UInt8(ascii: "/")) {
        container[.names] = Array(name.prefix(Self.maxKeptBytes))
      }
    case (.container, .id?), (.container, .state?), (.hostConfig, .networkMode?):
      if let field { container[field] = Array(text.prefix(Self.maxKeptBytes)) }
    case (.port, .ip?), (.port, .type?):
      if let field { port[field] = Array(text.prefix(Self.maxKeptBytes)) }
    case (_, _):
      try refuseUnlessUnneeded()
    }
  }

  private func refuseUnlessUnneeded() throws(LookupFailure) {
    if let field { throw .unexpectedJSON(target, field: field.rawValue) }
    switch places.last {
    case .list: throw .unexpectedJSON(target, field: "a container")
    case .ports: throw .unexpectedJSON(target, field: Field.ports.rawValue)
    case .names: throw .unexpectedJSON(target, field: Field.names.rawValue)
    case nil: throw .unexpectedJSON(target, field: "a list of containers")
    case .container, .hostConfig, .port, .elsewhere: break
    }
  }

  private mutating func takePort() {
    guard let hostPort = port[.publicPort], let containerPort = port[.privatePort] else { return }
    let type = port[.type] ?? Array("tcp".utf8)
    if type.elementsEqual("tcp".utf8), ASCII.decimal(containerPort) == target.listenPort {
      choice.consider(hostIP: port[.ip] ?? [], hostPort: hostPort)
      return
    }
    let text = String(sanitizing: containerPort + [UInt8(ascii: "/")] + type)
    if instead.count < ContainerInspection.maxInstead, !instead.contains(text) {
      instead.append(text)
    }
  }

  private mutating func endContainer() throws(LookupFailure) {
    guard let id = container[.id], id.count == 64,
      let reference = try? ContainerReference(id.prefix(12))
    else { throw .unexpectedJSON(target, field: Field.id.rawValue) }
    guard let state = container[.state] else {
      throw .unexpectedJSON(target, field: Field.state.rawValue)
    }
    guard listed.count < Self.maxContainers else {
      throw .tooManyContainers(target, limit: Self.maxContainers)
    }
    listed.append(
      ListedContainer(
        id: String(sanitizing: id),
        name: String(sanitizing: container[.names] ?? []),
        state: String(sanitizing: state),
        publishedPort: publishedPort(of: reference)
      )
    )
  }

  private func publishedPort(of reference: ContainerReference) -> Result<UInt16, LookupFailure> {
    let target = LookupTarget(
      container: reference,
      listenPort: target.listenPort,
      daemon: target.daemon,
      host: target.host
    )
    let networkMode = container[.networkMode] ?? []
    if networkMode.elementsEqual("host".utf8) { return .success(target.listenPort) }
    var choice = choice
    choice.target = target
    do throws(LookupFailure) {
      if let port = try choice.publishedPort() { return .success(port) }
    } catch {
      return .failure(error)
    }
    let shared = Array("container:".utf8)
    if networkMode.starts(with: shared) {
      let other = String(sanitizing: networkMode.dropFirst(shared.count))
      return .failure(.sharesNetwork(target, with: other))
    }
    return .failure(.notPublished(target, instead: instead))
  }
}
