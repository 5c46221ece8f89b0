// SPDX-License-Identifier: Apache-2.0

/// One HTTP response: what it lets through as its body, and when it ends.
func run(_ input: [UInt8]) {
  let limit = 4096
  var response = HTTPResponseParser(bodyLimitBytes: limit)
  var bodyBytes = 0
  do throws(HTTPFault) {
    for byte in input {
      let wasComplete = response.isComplete
      let bodyByte = try response.take(byte)
      if let bodyByte {
        check(!wasComplete, "a byte of the body after its end")
        check(bodyByte == byte, "another byte")
        check(response.status != nil, "a body without a status")
        bodyBytes += 1
      }
    }
    try response.end()
    check(response.status != nil, "ended well without a status")
  } catch {}
  if let status = response.status { check((100...999).contains(status), "status \(status)") }
  check(bodyBytes <= input.count, "more than came")
}
