// SPDX-License-Identifier: Apache-2.0

/// The requests that Erlang makes of a port through `port_control/3`.
///
/// `eid_socket.erl` holds the other half of this table; a test compares the two.
public enum ControlOpcode: UInt32, CaseIterable, Sendable {
  case opcodes = 1
  case listen = 2
  case accept = 3
  case connect = 4
  case send = 5
  case receive = 6
  case cancel = 7
  case enterDataMode = 8
  case startDelivery = 9
  case tick = 10
  case statistics = 11
  case setOptions = 12
  case getOptions = 13
  case peerName = 14
  case socketName = 15
  case lookup = 16
  case traffic = 17
  case lookupOver = 18
  case feed = 19
  case feedEnd = 20
  case list = 21
  case listOver = 22
  case eventsRequest = 23

  /// The name in Erlang's table.
  public var name: String {
    switch self {
    case .opcodes: "opcodes"
    case .listen: "listen"
    case .accept: "accept"
    case .connect: "connect"
    case .send: "send"
    case .receive: "recv"
    case .cancel: "cancel"
    case .enterDataMode: "enter_data_mode"
    case .startDelivery: "start_delivery"
    case .tick: "tick"
    case .statistics: "getstat"
    case .setOptions: "setopts"
    case .getOptions: "getopts"
    case .peerName: "peername"
    case .socketName: "sockname"
    case .lookup: "lookup"
    case .traffic: "traffic"
    case .lookupOver: "lookup_over"
    case .feed: "feed"
    case .feedEnd: "feed_end"
    case .list: "list"
    case .listOver: "list_over"
    case .eventsRequest: "events_request"
    }
  }
}
