// SPDX-License-Identifier: Apache-2.0

extension LookupFailure {
  /// One line for people: what was looked up, why that failed, and what to do about it.
  public var sentence: String {
    switch self {
    case .invalidContainer(let text):
      return "\"\(text)\" is neither a container ID nor a container's name:"
        + " nodes are named ContainerID@Host, with the 12 or 64 hexadecimal digits of the ID,"
        + " or a name of letters, digits, '_', '.' and '-'"
    case .upperCaseContainerID(let text):
      return "container ID \(text) is in upper case, but Docker's IDs, and the nodes named"
        + " after them, are in lower case: write it in lower case"
    case .invalidLabel(let text):
      return "\"\(text)\" is no label of containers: that is KEY or KEY=VALUE, on one line,"
        + " of at most \(ContainerLabel.maxBytes) bytes"

    case .connectionRefused(let target):
      return target.failed(
        "the connection was refused, so no Docker daemon listens there:"
          + " start dockerd with \(target.listenOption), or set docker_daemon_port to its port"
      )
    case .unreachable(let target, let reason):
      return target.failed(
        "the host cannot be reached (\(String(sanitizing: reason.utf8))):"
          + " check the node name's host part, routes and firewalls"
      )
    case .connectTimedOut(let target):
      return target.failed(
        "nobody answered the attempt to connect: check that the host is up and that no"
          + " firewall drops packets to that port"
      )
    case .answerTimedOut(let target):
      return target.failed(
        "the connection was accepted, but no answer came in time:"
          + " the daemon hangs or is stopped, or is no Docker daemon"
      )
    case .answerStalled(let target):
      return target.failed(
        "the answer began but did not end in time: the daemon hangs, or the network is slow"
      )
    case .connectionReset(let target):
      return target.failed("the daemon reset the connection: see its log, and try again")
    case .systemError(let target, let reason):
      return target.failed(String(sanitizing: reason.utf8))

    case .notHTTP(let target):
      return target.failed(
        "what answers there does not speak HTTP: set docker_daemon_port to the port of the"
          + " Docker daemon"
      )
    case .malformedHTTP(let target, let what):
      return target.failed(
        "the answer is not valid HTTP (\(what)): check that a Docker daemon listens there"
      )
    case .wantsTLS(let target):
      return target.failed(
        "this daemon wants TLS: set docker_tls to true, with its certificates in"
          + " docker_cert_path, or start dockerd with --tls=false on a port that only the nodes"
          + " can reach, and set docker_daemon_port to it"
      )
    case .cutShort(let target, 0):
      return target.failed(
        "the connection was closed without an answer: the daemon is starting or stopping,"
          + " or is no Docker daemon"
      )
    case .cutShort(let target, let bytes):
      return target.failed(
        "the connection was closed within the answer, after \(bytes) bytes:"
          + " the daemon was stopped; try again"
      )
    case .answerTooLarge(let target, let limit):
      return target.failed(
        "the answer is larger than \(limit) bytes: give the container fewer labels and"
          + " environment variables"
      )
    case .malformedJSON(let target, let offset):
      return target.failed(
        "the answer is not valid JSON (at byte \(offset)):"
          + " check that a Docker daemon listens there"
      )
    case .tooDeepJSON(let target):
      return target.failed(
        "the answer's JSON is nested deeper than Docker's ever is:"
          + " check that a Docker daemon listens there"
      )
    case .unexpectedJSON(let target, let field):
      return target.failed(
        "the answer lacks \(field) in the form that Docker gives it:"
          + " check that a Docker daemon listens there"
      )
    case .tooManyContainers(let target, let limit):
      return target.failed("there are more than \(limit)")

    case .redirected(let target, let status):
      return target.failed(
        "the answer is a redirect (status \(status)), which is not followed:"
          + " let docker_daemon_port lead to the Docker daemon itself"
      )
    case .forbidden(let target, let status, let message):
      return target.failed(
        "the daemon, or a proxy before it, forbids it (status \(status)\(quoted(message))):"
          + " allow GET /containers/\(target.container == nil ? "" : "ID/")json"
      )
    case .noSuchContainer(let target, let message):
      return target.failed(
        "there is no such container on that host\(quoted(message)):"
          + " check both parts of the node name against docker ps"
      )
    case .ambiguousContainer(let target, let message):
      return target.failed(
        "more than one container is meant\(quoted(message)):"
          + " name the node after the whole container ID"
      )
    case .unexpectedStatus(let target, let status, let message):
      return target.failed(
        "the answer has status \(status)\(quoted(message)):"
          + " see the daemon's log, and check that it is a Docker daemon"
      )

    case .wrongContainer(let target, let id, let name):
      return target.failed(
        "the daemon knows by that only another container, \(id), named \(name):"
          + " use the 12 or 64 digits of the ID, or the container's whole name"
      )
    case .notRunning(let target, let status):
      return target.failed("the container is not running (\(status)): docker start it")
    case .restarting(let target):
      return target.failed(
        "the container is restarting: see docker logs for why it ended, and try again"
      )
    case .paused(let target):
      return target.failed("the container is paused: docker unpause it")
    case .dead(let target):
      return target.failed("the container is dead: docker rm it, and run a new one")
    case .sharesNetwork(let target, let other):
      return target.failed(
        "the container has the network of container \(other), which does not publish"
          + " the port: run that one with \(target.publishOption),"
          + " or name the node after the one that publishes the port"
      )
    case .notPublished(let target, let instead):
      let others = instead.isEmpty ? "" : ", only \(instead.joined(separator: ", "))"
      return target.failed(
        "the port is not published\(others): docker run \(target.publishOption)"
      )
    case .loopbackOnly(let target):
      return target.failed(
        "the port is published on that host's loopback address only:"
          + " docker run \(target.publishOption), without an address"
      )
    case .ipv4Only(let target):
      return target.failed(
        "the port is published for IPv4 only: use the host's IPv4 address in the node name,"
          + " or docker run -p [::]::\(target.listenPort)"
      )
    case .ipv6Only(let target):
      return target.failed(
        "the port is published for IPv6 only: use the host's IPv6 address in the node name,"
          + " or docker run -p 0.0.0.0::\(target.listenPort)"
      )
    case .boundElsewhere(let target, let address):
      return target.failed(
        "the port is published on \(address) only: use that address in the node name,"
          + " or docker run \(target.publishOption)"
      )
    case .invalidPublishedPort(let target, let port):
      return target.failed(
        "the daemon names \"\(port)\" as the published port, which is none:"
          + " restart the container"
      )
    }
  }

  private func quoted(_ message: String) -> String {
    message.isEmpty ? "" : ", \"\(message)\""
  }
}

extension LookupTarget {
  fileprivate func failed(_ reason: String) -> String {
    let what =
      container.map { "look up port \(listenPort) of container \($0)" } ?? "list the containers"
    return "cannot \(what) at Docker daemon \(daemonText): \(reason)"
  }

  fileprivate var publishOption: String { "-p \(listenPort)" }

  fileprivate var listenOption: String {
    "-H tcp://\(daemon.address.isV6 ? "[::]" : "0.0.0.0"):\(daemon.port)"
  }
}
