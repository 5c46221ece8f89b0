# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# For the tests that are shell scripts: source it, call check, end with summary.

# A VM that fails says why; its dump would lie about in the working directory.
export ERL_CRASH_DUMP_SECONDS=0

checks_passed=0
checks_failed=0
checks_dir=$(mktemp -d)
# Canonical, since what is asked of Erlang's code server is so.
checks_dir=$(cd -- "$checks_dir" && pwd -P)

# check NAME COMMAND...: the command succeeds. Its output is shown if it did not.
check() {
  local name=$1 status
  shift
  # Not in a condition: that would turn errexit off inside the command.
  set +e
  (
    set -e
    "$@"
  ) >"$checks_dir/output" 2>&1 </dev/null
  status=$?
  set -e
  if [ "$status" -eq 0 ]; then
    checks_passed=$((checks_passed + 1))
    printf 'ok      %s\n' "$name"
  else
    checks_failed=$((checks_failed + 1))
    printf 'FAILED  %s (exit %d)\n' "$name" "$status"
    tail -n 60 "$checks_dir/output" | sed 's/^/        | /'
  fi
}

# Inside a check: says why it fails.
fail() {
  printf '%s\n' "$*"
  exit 1
}

# same WANTED FOUND
same() {
  [ "$1" = "$2" ] || fail "wanted: $1"$'\n'"found:  $2"
}

# fails_with PATTERN COMMAND...: exits non-zero and says PATTERN (extended
# regular expression) on one line, the only one on stderr.
fails_with() {
  local pattern=$1
  shift
  if "$@" >"$checks_dir/out" 2>"$checks_dir/err"; then
    fail "exited 0: $*"
  fi
  [ "$(wc -l <"$checks_dir/err")" -eq 1 ] ||
    fail "not one line on stderr:"$'\n'"$(cat "$checks_dir/err")"
  grep -qE -- "$pattern" "$checks_dir/err" ||
    fail "no '$pattern' in: $(cat "$checks_dir/err")"
}

# The last line, and the exit status.
summary() {
  printf '%d passed, %d failed\n' "$checks_passed" "$checks_failed"
  [ "$checks_failed" -eq 0 ]
}
