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
