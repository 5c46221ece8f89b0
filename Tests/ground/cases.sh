#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What the cases of several suites on the test ground say: to be sourced after ground.sh. A suite
# has a function "node" that starts one of its nodes.

# expect WHAT WANTED GOT
expect() {
  [[ $2 == "$3" ]] || ground_fail "$1: wanted $2, got $3"
}

# expect_match WHAT EXTENDED_REGULAR_EXPRESSION GOT
expect_match() {
  [[ $3 =~ $2 ]] || ground_fail "$1: wanted something like $2, got $3"
}

# Starts a node for one case, and waits until it is up.
node_up() {
  node "$@"
  ground_wait_up "$2"
}

# name@host as Erlang writes it.
quoted() { printf "'%s'\n" "$(ground_name "$1")"; }

# blocks_of PAGE WORDS: what is in the fenced blocks of docs/how-to/PAGE.md whose info string has these
# words. There must be one.
blocks_of() {
  local text
  text=$(awk -v words=" $2 " '
    /^```/ { inside = !inside; on = inside && index(" " substr($0, 4) " ", words); next }
    on' "$GROUND_SOURCES/../../docs/how-to/$1.md")
  [[ $text ]] || { ground_fail "docs/how-to/$1.md has no block \"$2\""; return; }
  printf '%s\n' "$text"
}

# type_on HOST TEXT: types what a page has on that host, in the directory where one is; the address
# of host 1 in EID_HOST becomes its own.
type_on() {
  DOCKER_HOST=unix://$GROUND_DIR/$1/docker.sock ground_in "$1" bash -euo pipefail -c \
    "${2//EID_HOST=$(ground_address 1)/EID_HOST=$(ground_address "$1")}"
}

# What comes in, without the IDs of containers.
without_ids() { sed -E 's/\b[0-9a-f]{12}([0-9a-f]{52})?\b/ID/g'; }

# check NAME COMMAND...: the command succeeds; its output is shown if it did not. Counts in passed and
# failed; what does not have $only in its name is left out.
check() {
  local name=$1 began status log=${GROUND_DIR:-$work}/check.log
  shift
  # shellcheck disable=SC2053 # a pattern
  [[ -z ${only-} || $name == *$only* ]] || return 0
  began=$(ground_now)
  # Not in a condition: that would turn errexit off in the command.
  set +e
  (
    set -e
    "$@"
  ) >"$log" 2>&1 </dev/null
  status=$?
  set -e
  if ((status == 0)); then
    passed=$((passed + 1))
    printf 'ok      %s (%s s)\n' "$name" "$(ground_since "$began")"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s\n' "$name"
    tail -n 150 "$log" | cut -c 1-600 | sed 's/^/        | /'
  fi
}

# plays PAGE: a page of docs, as it stands, on the Docker hosts of the ground, where no container is.
# What the page leaves there is taken away: containers, Docker's settings, rules of the firewall.
plays() {
  local repository dir host status=0
  repository=$(realpath "$GROUND_SOURCES/../..")
  export GROUND_DIR GROUND_LIBRARY
  rm -rf "$GROUND_DIR/play"
  for dir in "$GROUND_DIR"/[0-9]*/; do
    rm -f "$dir/before.json"
    [[ ! -e $dir/own.json ]] || cp "$dir/own.json" "$dir/before.json"
  done
  # A command of the page may wait without end.
  timeout 600 "$GROUND_SOURCES/play" "$repository/docs/$1" "$GROUND_DIR" || status=$?
  for dir in "$GROUND_DIR"/[0-9]*/; do
    host=$(basename "$dir")
    ground_in "$host" iptables -F INPUT
    ground_in "$host" ip6tables -F INPUT || true
    # No Docker, no containers of it.
    ground_docker "$host" version >/dev/null 2>&1 || continue
    ground_docker "$host" ps --all --quiet | xargs -r \
      docker --host "unix://$dir/docker.sock" rm --force --volumes >/dev/null
    if [[ -e $dir/own.json ]] && ! cmp -s "$dir/own.json" "$dir/before.json"; then
      rm "$dir/own.json"
      [[ ! -e $dir/before.json ]] || cp "$dir/before.json" "$dir/own.json"
      ground_docker_signal "$host" TERM
      ground_docker_start "$host"
    fi
  done
  return "$status"
}
