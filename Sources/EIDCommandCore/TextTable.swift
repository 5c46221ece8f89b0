// SPDX-License-Identifier: Apache-2.0

/// Rows of text in columns, as wide as the widest of their cells.
package struct TextTable {
  package enum Alignment {
    case left
    case right
  }

  private let columns: [(title: String, alignment: Alignment)]
  private var rows: [[String]] = []

  package init(_ columns: [(title: String, alignment: Alignment)]) {
    self.columns = columns
  }

  /// Takes one cell for each column.
  package mutating func add(_ row: [String]) {
    rows.append(row)
  }

  /// The lines, the titles first, two spaces between columns and none at an end.
  package var lines: [String] {
    let all = [columns.map(\.title)] + rows
    let widths = columns.indices.map { column in
      all.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0
    }
    return all.map { row in
      zip(columns.indices, row).map { column, cell in
        switch columns[column].alignment {
        case .left: cell.padded(to: widths[column])
        case .right: String(repeating: " ", count: widths[column] - cell.count) + cell
        }
      }
      .joined(separator: "  ").trimmingEnd
    }
  }
}

extension String {
  func padded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }

  var trimmingEnd: String {
    var text = self[...]
    while text.last == " " { text = text.dropLast() }
    return String(text)
  }
}
