#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Several Docker hosts on one machine, for tests and for the demo: to be sourced.
#
# A "host" is a network namespace with its own dockerd and its own containerd; the hosts are
# joined by a bridge in one more namespace. The whole ground lives in a mount and a PID namespace
# of its own, whose PID 1 is the script that uses it: when that script ends, in whatever way, the
# kernel ends every daemon and container and takes every mount away.
#
#   source ground.sh
#   ground_packages                      # installs what is missing
#   ground_enter "$@"                    # from here on: root, inside the ground
#   ground_up 2                          # hosts 1 and 2, at 10.77.0.1 and 10.77.0.2
#   ground_image_from_root eid.tar /path/to/erlang /opt/erlang
#   ground_import eid eid.tar "$GROUND_IMAGE_PATH:/opt/erlang/bin"
#   ground_node 1 a eid                  # a container with a node, on host 1
#   ground_call a 'nodes()'
#
# Exit status 69 means everywhere: this machine cannot run it, and the message says why.

set -euo pipefail
shopt -s inherit_errexit

export LC_ALL=C.UTF-8

GROUND_LIBRARY=$(realpath "${BASH_SOURCE[0]}")
GROUND_SOURCES=$(dirname "$GROUND_LIBRARY")
GROUND_PORT=12345          # kernel erlang_port
GROUND_API_PORT=4243       # kernel docker_daemon_port
GROUND_COOKIE=ground
GROUND_UNABLE=69           # sysexits.h: EX_UNAVAILABLE
GROUND_NET=10.77.0         # only inside the namespaces
GROUND_NET6=fd77:
GROUND_IMAGE_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# What a small image keeps of an Erlang root: the rest is 70 MB that no node here needs.
GROUND_APPS='kernel|stdlib|compiler|crypto|asn1|public_key|ssl|sasl|inets|runtime_tools|tools|eid'

# Variables that must survive sudo, besides the ground's own.
GROUND_CARRY=(PATH HOME TERM TMPDIR XDG_CACHE_HOME EID_CACHE GROUND_STARTED)

# A pipe on which nothing ever comes: the pause of ground_pause.
exec {GROUND_TICK}<> <(:)

GROUND_STARTED=${GROUND_STARTED:-${EPOCHREALTIME/./}}

#-- Saying and waiting -----------------------------------------------------------------------

# Microseconds since the epoch, without a fork.
ground_now() { printf '%s\n' "${EPOCHREALTIME/./}"; }

# Seconds with two decimals since the given ground_now.
ground_since() {
  local us=$((${EPOCHREALTIME/./} - $1))
  printf '%d.%02d\n' $((us / 1000000)) $((us % 1000000 / 10000))
}

# A step, with the time since the start.
ground_say() { printf '%7s s  %s\n' "$(ground_since "$GROUND_STARTED")" "$*"; }

# What went wrong, on stderr. Returns 1, so that "ground_fail ...; return" reads well.
ground_fail() {
  printf '%s\n' "$*" >&2
  return 1
}

# This machine cannot do it, and why.
ground_unable() {
  printf '%s\n' "$*" >&2
  return "$GROUND_UNABLE"
}

# The pause of a poll, without a fork: 20 ms.
ground_pause() { read -r -t 0.02 -u "$GROUND_TICK" || true; }

# ground_wait SECONDS WHAT COMMAND...: until COMMAND succeeds; says what it waited for in vain.
ground_wait() {
  local seconds=$1 what=$2 end
  shift 2
  end=$((${EPOCHREALTIME/./} + seconds * 1000000))
  until "$@"; do
    if ((${EPOCHREALTIME/./} > end)); then
      ground_fail "waited $seconds s in vain for $what"
      return
    fi
    ground_pause
  done
}

# Whether a process is there and not a zombie (PID 1 of some machines never reaps).
ground_alive() {
  local stat
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
  [[ ${stat##*) } != [ZX]* ]]
}

#-- Packages ---------------------------------------------------------------------------------

# ground_packages [COMMAND=PACKAGE...]: installs the packages whose command is missing; with no
# argument, what the ground itself needs.
ground_packages() {
  local pair missing=() sudo=() log
  (($#)) || set -- dockerd=docker.io docker=docker.io containerd=containerd ip=iproute2 \
    iptables=iptables busybox=busybox-static nsenter=util-linux
  PATH=$PATH:/usr/sbin:/sbin
  for pair; do
    if ! command -v "${pair%%=*}" >/dev/null; then
      missing+=("${pair#*=}")
    elif [[ $pair == busybox=* ]] && ldd "$(command -v busybox)" >/dev/null 2>&1; then
      # Debian's other busybox, which needs libraries that an image does not have.
      missing+=("${pair#*=}")
    fi
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null ||
    { ground_unable "missing: ${missing[*]} (Debian's names), and no apt-get here"; return; }
  if ((EUID)); then
    command -v sudo >/dev/null ||
      { ground_unable "missing packages: ${missing[*]}; only root can install, no sudo"; return; }
    sudo=(sudo)
  fi
  log=$(mktemp)
  ground_say "installing ${missing[*]}"
  # From Debian 13 on Docker's client is a package of its own.
  if ! { "${sudo[@]}" apt-get update &&
    if [[ " ${missing[*]} " == *' docker.io '* ]] && apt-cache show docker-cli >/dev/null 2>&1; then
      missing+=(docker-cli)
    fi &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    ground_unable "apt-get could not install ${missing[*]}: the whole log is $log"
    return
  fi
  rm -f "$log"
}

# Where debootstrap's results and other slow things are kept between runs.
ground_cache() { printf '%s\n' "${EID_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/eid}"; }

# Debian's mirror in the machine's apt sources; debootstrap's own default if there is none.
ground_mirror() {
  # shellcheck disable=SC2016 # apt-get's variables
  apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' \
    2>/dev/null | awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }'
}

#-- The namespaces ---------------------------------------------------------------------------

# Whether this shell is PID 1 of a ground.
ground_inside() { [[ $$ == 1 && -n ${GROUND_DIR:-} ]]; }

# Runs the calling script again, from its start, with these arguments, as root and as PID 1 of a
# new ground; then cleans up and exits with its status. Returns at once when already inside.
ground_enter() {
  local status=0
  if ! ground_inside; then
    ground_run "$@" || status=$?
    exit "$status"
  fi
}

# What ground_enter does outside, for who has something to do afterwards: returns the status.
# Where sudo had to be used, the script finds GROUND_AGAIN=1 in its environment.
ground_run() {
  local script complaint base child inner ended=0 status=0 carried=() name
  script=$(realpath "$0")
  for name in "${GROUND_CARRY[@]}"; do
    if [[ -v $name ]]; then carried+=("$name=${!name}"); fi
  done
  if ((EUID)); then
    if ! command -v sudo >/dev/null; then
      ground_unable "Docker hosts need root, and there is no sudo here"
      return
    fi
    sudo env "${carried[@]}" "GROUND_AGAIN=1" bash "$script" "$@"
    return
  fi
  # Asked first, because below unshare is mute: killed, it would complain about itself.
  complaint=$(unshare --mount --net --pid --fork --mount-proc -- true 2>&1) || {
    ground_unable "no namespaces on this machine: $complaint"
    return
  }
  ground_sweep
  base=${TMPDIR:-/tmp}
  [[ $base != /run/* ]] || base=/tmp
  GROUND_DIR=$(mktemp -d "$base/eid-ground.$$.XXXXXX")
  # A process started with & ignores SIGINT: env gives it back. pdeathsig and kill-child: should
  # this shell be killed outright, the ground dies with it.
  # shellcheck disable=SC2016 # the inner shell expands these
  env --default-signal=INT,QUIT "${carried[@]}" "GROUND_DIR=$GROUND_DIR" \
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc -- \
    bash -c 'exec bash "$@" 2>&9 9>&-' - "$script" "$@" <&0 9>&2 2>/dev/null &
  child=$!
  trap 'ended=1; inner=$(ground_child "$child") && kill -KILL "${inner:-$child}" 2>/dev/null || true' \
    INT TERM HUP
  until wait "$child" || status=$?; ! kill -0 "$child" 2>/dev/null; do :; done
  trap '' INT TERM HUP
  ground_remove_cgroups "${GROUND_DIR##*/}"
  ground_wait 10 "$GROUND_DIR to become free" \
    rm -rf --one-file-system "$GROUND_DIR" 2>/dev/null
  trap - INT TERM HUP
  unset GROUND_DIR
  ((ended == 0)) || status=130
  return "$status"
}

# The first child of a process. (For a trap: there, a bare return is not 0.)
ground_child() {
  local file
  for file in /proc/[0-9]*/status; do
    if grep -qs "^PPid:[[:space:]]*$1\$" "$file"; then
      file=${file#/proc/}
      printf '%s\n' "${file%/status}"
      break
    fi
  done
}

# Takes away what a ground left behind whose script was killed outright.
ground_sweep() {
  local left pid
  for left in "${TMPDIR:-/tmp}"/eid-ground.*; do
    pid=${left#*/eid-ground.}
    pid=${pid%%.*}
    if [[ -d $left && $pid =~ ^[0-9]+$ ]] && ! ground_alive "$pid"; then
      ground_remove_cgroups "${left##*/}" || true
      rm -rf --one-file-system "$left" 2>/dev/null || true
    fi
  done
}

# Inside, before all else: what daemons need of a machine, and must not leave on it.
ground_settle() {
  trap 'exit 130' INT TERM HUP
  PATH=$GROUND_DIR/bin:$PATH:/usr/sbin:/sbin
  unset DOCKER_HOST DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
  export DOCKER_CONFIG=$GROUND_DIR/docker-config
  mkdir -p "$GROUND_DIR/bin" "$GROUND_DIR/nodes" "$DOCKER_CONFIG"
  # Each VM sizes its port table by this limit: a million is 100 MB.
  if [[ $(ulimit -n) == unlimited ]] || (($(ulimit -n) > 65536)); then ulimit -n 65536; fi
  # Namespace files, shim sockets and locks stay out of the machine's /run.
  mount -t tmpfs -o mode=755 tmpfs /run
  ground_mount_cgroups
}

# Mounts cgroups where the machine has not: version 2 if it has the controllers, else version 1.
ground_mount_cgroups() {
  local controller
  # What the machine has is used as it is.
  if grep -qE ' /sys/fs/cgroup[^ ]* cgroup2? ' /proc/self/mounts; then return; fi
  mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null &&
    grep -q memory /sys/fs/cgroup/cgroup.controllers && return
  umount /sys/fs/cgroup 2>/dev/null || true
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup ||
    { ground_unable "cannot mount anything at /sys/fs/cgroup"; return; }
  for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
    mkdir -p "/sys/fs/cgroup/$controller"
    mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" 2>/dev/null ||
      rmdir "/sys/fs/cgroup/$controller"
  done
  [[ -d /sys/fs/cgroup/devices ]] ||
    ground_unable "this kernel offers neither cgroup version 2 nor version 1 with devices"
}

# Removes the (empty) cgroups of a ground that has ended, from where cgroups are mounted.
ground_remove_cgroups() {
  # shellcheck disable=SC2016 # the inner shell expands these
  unshare --mount bash -c '
    source "$1"
    ground_mount_cgroups
    ground_wait 10 "the cgroups of $2 to become empty" ground_try_remove_cgroups "$2"' \
    - "$GROUND_LIBRARY" "$1"
}

# One try at it: true when nothing is left.
ground_try_remove_cgroups() {
  local found=()
  mapfile -t found < <(find /sys/fs/cgroup -depth -type d -path "*/$1*" 2>/dev/null)
  ((${#found[@]})) || return 0
  rmdir "${found[@]}" 2>/dev/null
}

# ground_into HOST: leaves in $into what comes before a command that is to run on a host: in its
# network, and with its /etc if it has one of its own.
ground_into() {
  into=(nsenter --net="/run/netns/host$1")
  [[ ! -e $GROUND_DIR/$1/etc.pid ]] ||
    into+=(--mount="/proc/$(<"$GROUND_DIR/$1/etc.pid")/ns/mnt" "--wdns=$PWD")
  into+=(--)
}

# Runs a command on host HOST.
ground_in() {
  local host=$1 into
  shift
  ground_into "$host"
  "${into[@]}" "$@"
}

# Gives a host, before its daemons start, an /etc of its own: a copy of this machine's, in a mount
# namespace that a process holds. (A file that holds it would be refused at times: the kernel takes
# namespaces for a loop whose numbers are not in the order in which they were made.)
ground_own_etc() {
  local dir=$GROUND_DIR/$1
  cp -a /etc "$dir/etc"
  # shellcheck disable=SC2016 # the inner shell expands these
  unshare --mount sh -c 'mount --bind "$1/etc" /etc && echo $$ >"$1/etc.new" &&
    mv "$1/etc.new" "$1/etc.pid" && exec sleep infinity' - "$dir" >"$dir/etc.log" 2>&1 &
  disown
  ground_wait 10 "host $1 to have its own /etc" test -e "$dir/etc.pid"
}

# The addresses of a host.
ground_address() { printf '%s.%s\n' "$GROUND_NET" "$1"; }
ground_address6() { printf '%s:%s\n' "$GROUND_NET6" "$1"; }

# Puts into PATH the iptables that this kernel serves: the default one, nft or legacy.
ground_choose_iptables() {
  local flavour tool
  for flavour in '' -nft -legacy; do
    command -v "iptables$flavour" >/dev/null || continue
    if ground_in 1 sh -c "
      iptables$flavour -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j ACCEPT &&
      iptables$flavour -t nat -A POSTROUTING -j MASQUERADE &&
      iptables$flavour -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT &&
      iptables$flavour -t nat -F && iptables$flavour -F" >"$GROUND_DIR/iptables.log" 2>&1; then
      [[ -z $flavour ]] || for tool in iptables ip6tables; do
        ln -sf "$(command -v "$tool$flavour")" "$GROUND_DIR/bin/$tool"
      done
      return
    fi
  done
  ground_unable "no iptables here can do what Docker needs: $(tail -n 1 "$GROUND_DIR/iptables.log")"
}

# The network: a switch, and N hosts on it.
ground_network() {
  local host
  if ! { ip netns add switch && ip -n switch link add br0 type bridge &&
    ip -n switch link set br0 up; } 2>"$GROUND_DIR/ip.log"; then
    ground_unable "cannot make network namespaces and bridges: $(<"$GROUND_DIR/ip.log")"
    return
  fi
  for ((host = 1; host <= $1; host++)); do
    ip netns add "host$host"
    ip -n "host$host" link set lo up
    ip link add eth0 netns "host$host" type veth peer name "host$host" netns switch
    ip -n switch link set "host$host" master br0 up
    ip -n "host$host" address add "$(ground_address "$host")/24" dev eth0
    ip -n "host$host" address add "$(ground_address6 "$host")/64" dev eth0 nodad 2>/dev/null || true
    ip -n "host$host" link set eth0 up
  done
}

#-- Docker hosts -----------------------------------------------------------------------------

# ground_up N: N Docker hosts, all at once; their API at ADDRESS:4243 of the ground's network.
ground_up() {
  local host
  ground_network "$1"
  ground_choose_iptables
  for ((host = 1; host <= $1; host++)); do
    mkdir -p "$GROUND_DIR/$host"
    ground_containerd_start "$host"
    ground_docker_launch "$host"
  done
  # Meanwhile: the first node will want it.
  if command -v erlc >/dev/null; then ground_compile "$GROUND_SOURCES/ground_probe.erl"; fi
  for ((host = 1; host <= $1; host++)); do ground_docker_wait "$host"; done
}

# Starts a host's containerd; nobody waits for it but its dockerd.
ground_containerd_start() {
  local dir=$GROUND_DIR/$1 into
  ground_into "$1"
  printf '%s\n' 'version = 2' "root = '$dir/containerd'" "state = '$dir/containerd-run'" \
    "disabled_plugins = ['io.containerd.grpc.v1.cri']" '[grpc]' \
    "address = '$dir/containerd.sock'" >"$dir/containerd.toml"
  "${into[@]}" containerd --config "$dir/containerd.toml" \
    >"$dir/containerd.log" 2>&1 &
  disown
}

# Starts a host's dockerd without waiting for it, with GROUND_DOCKERD_OPTIONS besides.
ground_docker_launch() {
  local dir=$GROUND_DIR/$1 any=0.0.0.0 config listen into
  ground_into "$1"
  # Where the kernel has IPv6, [::] is for both.
  if [[ -e /proc/net/if_inet6 ]]; then any='[::]'; fi
  rm -f "$dir/docker.pid"
  # A configuration file of the host's own says where it listens.
  config=$dir/own.json listen=()
  if [[ ! -e $config ]]; then
    config=$dir/daemon.json
    printf '{}\n' >"$config"
    listen=(--host "unix://$dir/docker.sock" --host "tcp://$any:$GROUND_API_PORT" --tls=false)
  fi
  # tls=false: else dockerd sleeps for 15 s over the open port. cgroupfs: no systemd in here.
  # Not through ground_in: a signal to $! must reach dockerd, not a shell around it.
  "${into[@]}" dockerd --config-file "$config" --data-root "$dir/data" \
    --exec-root "$dir/run" --pidfile "$dir/docker.pid" --containerd "$dir/containerd.sock" \
    "${listen[@]}" \
    --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/${GROUND_DIR##*/}/host$1" \
    "${GROUND_DOCKERD_OPTIONS[@]}" \
    >>"$dir/dockerd.log" 2>&1 &
  printf '%s\n' $! >"$dir/dockerd.pid"
  # Else this shell would announce its end.
  disown
}

GROUND_DOCKERD_OPTIONS=()

# Waits until a host's dockerd answers.
ground_docker_wait() {
  local log=$GROUND_DIR/$1/dockerd.log
  ground_wait 30 "host $1's dockerd to answer or to end" ground_docker_settled "$1"
  ground_alive "$(<"$GROUND_DIR/$1/dockerd.pid")" || {
    ground_unable "dockerd cannot run here: $(grep -aE 'level=(error|fatal)|failed' "$log" | tail -n 1)"
  }
}

# True when it answers, and when it is dead.
ground_docker_settled() {
  ground_alive "$(<"$GROUND_DIR/$1/dockerd.pid")" || return 0
  ground_docker "$1" version >/dev/null 2>&1
}

# ground_docker HOST ARGUMENT...: docker's client for a host.
ground_docker() {
  local host=$1
  shift
  docker --host "unix://$GROUND_DIR/$host/docker.sock" "$@"
}

# ground_docker_signal HOST SIGNAL: STOP makes the daemon hang, CONT wakes it, KILL ends it.
ground_docker_signal() {
  local pid
  pid=$(<"$GROUND_DIR/$1/dockerd.pid")
  kill "-$2" "$pid"
  case $2 in
    KILL | TERM) ground_wait 20 "host $1's dockerd to end" ground_dead "$pid" ;;
  esac
}

ground_dead() { ! ground_alive "$1"; }

# Starts a host's dockerd again. (It ends the containers of its last life.)
ground_docker_start() {
  ground_docker_launch "$1"
  ground_docker_wait "$1"
}

#-- Images -----------------------------------------------------------------------------------

# ground_image_from_root TAR ROOT [PATH]: an image's tar from an Erlang root of this machine, to
# lie at PATH in the image: the root without what no node needs, the libraries that it links to,
# and busybox.
ground_image_from_root() {
  local tar=$1 root path=${3:-/usr/lib/erlang} stage app leave=() libraries
  root=$(realpath "$2")
  stage=$(mktemp -d "$tar.XXXXXX")
  for app in "$root"/lib/*/; do
    app=$(basename "$app")
    [[ $app =~ ^($GROUND_APPS)(-[0-9.]+)?$ ]] || leave+=("--exclude=./lib/$app")
  done
  mkdir -p "$stage$path" "$stage"/{bin,etc,tmp,root,proc,sys,dev}
  chmod 1777 "$stage/tmp"
  tar -C "$root" -c "${leave[@]}" --exclude='./lib/*/src' --exclude='./lib/*/doc' \
    --exclude='./lib/*/examples' --exclude='./lib/*/include' --exclude='./erts-*/src' \
    --exclude='./erts-*/lib' --exclude='./erts-*/include' --exclude='./usr' . |
    tar -C "$stage$path" -x
  mapfile -t libraries < <(
    find "$stage$path" -type f \( -name '*.so' -o -perm /111 \) -exec ldd {} + 2>/dev/null |
      grep -o '/[^ ]* (0x' | cut -d ' ' -f 1 | sort -u
  )
  cp --dereference --parents "${libraries[@]}" "$stage"
  cp "$(command -v busybox)" "$stage/bin/busybox"
  chroot "$stage" /bin/busybox --install -s /bin
  printf 'root:x:0:0:root:/root:/bin/sh\n' >"$stage/etc/passwd"
  printf 'root:x:0:\n' >"$stage/etc/group"
  tar -C "$stage" --owner=0 --group=0 -cf "$tar" .
  rm -rf "$stage"
}

# The OTP release of this machine.
ground_own_otp() {
  erl -noinput -boot start_clean -eval \
    'io:format("~s~n", [erlang:system_info(otp_release)]), halt().' 2>/dev/null || true
}

# ground_debian OTP: makes sure that the cache holds a small Debian with this Erlang, and prints
# where. Outside of the ground: it needs the network. About half a minute the first time.
ground_debian() {
  local suite cache tar root
  case $1 in
    25) suite=bookworm ;;
    27) suite=trixie ;;
    29) suite=sid ;;
    *) ground_unable "no Debian known that has OTP $1" || return ;;
  esac
  cache=$(ground_cache)
  tar=$cache/debian-$suite-erlang-eunit.tar
  if [[ ! -s $tar ]]; then
    ((EUID == 0)) || { ground_unable "debootstrap needs root"; return; }
    ground_packages debootstrap=debootstrap >&2 || return
    mkdir -p "$cache"
    root=$(mktemp -d "${TMPDIR:-/tmp}/eid-debian.XXXXXX")
    ground_say "debootstrap $suite (once; kept in $cache)" >&2
    if ! debootstrap --variant=minbase --include=erlang-base,erlang-crypto,erlang-eunit,erlang-ssl \
      "$suite" "$root" "$(ground_mirror)" >"$root.log" 2>&1; then
      tail -n 5 "$root.log" >&2
      rm -rf --one-file-system "$root"
      ground_unable "debootstrap could not make $suite: the whole log is $root.log"
      return
    fi
    tar -C "$root" --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
      --exclude='./usr/share/locale/*' --exclude='./var/cache/*' --exclude='./var/lib/apt/lists/*' \
      --exclude='./dev/*' -cf "$tar.new" .
    rm -rf --one-file-system "$root" "$root.log"
    mv "$tar.new" "$tar"
  fi
  printf '%s\n' "$tar"
}

# ground_image_from_debian TAR DEBIAN_TAR APP: a Debian of ground_debian with the application
# directory APP (eid-VSN) copied to where its Erlang finds it.
ground_image_from_debian() {
  local tar=$1 debian=$2 app=$3
  cp "$debian" "$tar"
  tar -C "$(dirname "$app")" --owner=0 --group=0 --transform 's,^,./usr/lib/erlang/lib/,' \
    -rf "$tar" "$(basename "$app")"
}

# ground_import NAME TAR [PATH]: makes it an image on every host, all at once.
ground_import() {
  local name=$1 tar=$2 path=${3:-$GROUND_IMAGE_PATH} dir pid pids=()
  for dir in "$GROUND_DIR"/[0-9]*/; do
    ground_docker "$(basename "$dir")" import --change "ENV PATH=$path" --change 'CMD ["erl"]' \
      - "$name" <"$tar" >/dev/null &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
}

# ground_image_to_run HOST NAME BASE DOCKERFILE: from the image BASE, which is of an Erlang root with
# eid, one that runs as that of eid's Dockerfile: its user, its entrypoint. Docker sees sooner that
# a node is healthy.
ground_image_to_run() {
  {
    printf 'FROM %s\n' "$3"
    printf 'RUN %s \\\n && %s\n' 'echo erlang:x:1000:1000::/home/erlang:/bin/sh >>/etc/passwd' \
      'mkdir -p /home/erlang && chown 1000:1000 /home/erlang'
    sed -n '/^USER/,$p' "$4" | sed 's/--interval=10s/--interval=1s/'
  } | ground_docker "$1" build --tag "$2" -
}

#-- Containers and the nodes in them ---------------------------------------------------------

# ground_container HOST NAME ARGUMENT...: "docker run --detach ARGUMENT..." on a host; the rest of
# the functions know the container as NAME.
ground_container() {
  local host=$1 name=$2 dir=$GROUND_DIR/nodes/$2
  shift 2
  mkdir -p "$dir/box"
  printf '%s\n' "$host" >"$dir/host"
  ground_docker "$host" run --detach --cidfile "$dir/box/id" "$@" >/dev/null
}

# ground_node HOST NAME IMAGE [DOCKER_OPTION...] [-- ERL_OPTION...]: a container with one Erlang
# node, ContainerID@HostAddress, port published. Does not wait for the node: see ground_wait_up.
#   GROUND_PUBLISH   instead of "-p 12345" (empty: publish nothing)
#   GROUND_NODE_ID   instead of the container's $HOSTNAME, for the container's shell to expand
#                    (/box/id has the whole ID)
#   GROUND_CARRIER   instead of "-proto_dist eid_tcp"
#   GROUND_FILES     files that it finds in /box; modules among them are loaded
ground_node() {
  local host=$1 name=$2 image=$3 box=$GROUND_DIR/nodes/$2/box options=() publish carrier
  shift 3
  while (($#)) && [[ $1 != -- ]]; do
    options+=("$1")
    shift
  done
  (($# == 0)) || shift
  read -ra publish <<<"${GROUND_PUBLISH--p $GROUND_PORT}"
  read -ra carrier <<<"${GROUND_CARRIER--proto_dist eid_tcp}"
  ground_box "$box"
  # shellcheck disable=SC2016 # the container's shell expands these
  ground_container "$host" "$name" "${publish[@]}" --volume "$box:/box" \
    --env "HOST=$(ground_address "$host")" "${options[@]}" "$image" \
    sh -c 'exec erl -noinput -name "'"${GROUND_NODE_ID-\$HOSTNAME}"'@$HOST" "$@"' sh \
    "${carrier[@]}" -setcookie "$GROUND_COOKIE" "$@" \
    -eval 'code:load_abs("/box/ground_probe"), ground_probe:start("/box").'
}

# ground_box DIR: a node's letter box (ground_probe), with the modules that it loads.
ground_box() {
  mkdir -p "$1"
  ground_compile "$GROUND_SOURCES/ground_probe.erl"
  cp "$GROUND_DIR/ground_probe.beam" "${GROUND_FILES[@]}" "$1"
}
GROUND_FILES=()

# Compiles a module into GROUND_DIR, once. Several may try at the same time.
ground_compile() {
  local beam dir
  beam=$(basename "$1" .erl).beam
  [[ ! -f $GROUND_DIR/$beam ]] || return 0
  dir=$(mktemp -d "$GROUND_DIR/compile.XXXXXX")
  erlc -Werror -o "$dir" "$1"
  mv "$dir/$beam" "$GROUND_DIR/$beam"
  rmdir "$dir"
}

ground_host() { cat "$GROUND_DIR/nodes/$1/host"; }
ground_id() { cat "$GROUND_DIR/nodes/$1/box/id"; }

# The Erlang name of a node that is up.
ground_name() { cat "$GROUND_DIR/nodes/$1/box/up"; }

# ground_wait_up NAME...: until the nodes run; shows the log of one that does not.
ground_wait_up() {
  local name
  for name; do
    ground_wait "${GROUND_UP_SECONDS:-30}" "node $name to come up" \
      test -e "$GROUND_DIR/nodes/$name/box/up" || {
      ground_log "$name" | tail -n 15 >&2
      return 1
    }
  done
}

# The TCP sockets that listen in the network namespace of process PID, as ADDRESS:PORT in hex.
ground_listeners() {
  cat "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2>/dev/null | awk '$4 == "0A" { print $2 }'
}

# Whether one of them has PORT.
ground_port_listens() {
  ground_listeners "$1" | grep ":$(printf '%04X' "$2")\$" >/dev/null
}

# The process of a container's first process, as seen here.
ground_pid() {
  ground_docker "$(ground_host "$1")" inspect --format '{{.State.Pid}}' "$(ground_id "$1")"
}

# Whether something listens on PORT inside a container.
ground_listens() {
  ground_port_listens "$(ground_pid "$1")" "${2:-$GROUND_PORT}"
}

# ground_wait_listening NAME [PORT]: for nodes without a letter box.
ground_wait_listening() {
  ground_wait 20 "container $1 to listen on ${2:-$GROUND_PORT}" ground_listens "$@"
}

# The port of the host under which a container's node is published.
ground_published() {
  ground_docker "$(ground_host "$1")" port "$(ground_id "$1")" "$GROUND_PORT/tcp" |
    sed -n '1s/.*://p'
}

# ground_call NAME EXPRESSIONS [SECONDS]: evaluates Erlang in a node (no final dot); prints the
# value on one line. Fails with the reason when they do.
ground_call() {
  local box=$GROUND_DIR/nodes/$1/box letter answer
  letter=$(mktemp -u "$box/XXXXXXXX")
  printf '%s\n' "$2" >"$letter"
  mv "$letter" "$letter.cmd"
  ground_wait "${3:-10}" "node $1 to answer $2" test -e "$letter.out" || return
  answer=$(<"$letter.out")
  rm -f "$letter.out"
  [[ $answer == 'ok '* ]] || { ground_fail "node $1: $2: ${answer#error }"; return; }
  printf '%s\n' "${answer#ok }"
}

# All that a container has written. From Docker's file: a daemon that hangs cannot hide it.
ground_log() {
  local id
  id=$(ground_id "$1")
  sed -e 's/^{"log":"//; s/\(\\n\)\?","stream":"std\(out\|err\)","time":"[^"]*"}$//' \
    -e 's/\\t/\t/g; s/\\"/"/g; s/\\u003c/</g; s/\\u003e/>/g; s/\\u0026/\&/g; s/\\\\/\\/g' \
    "$GROUND_DIR/$(ground_host "$1")/data/containers/$id/$id-json.log" 2>/dev/null || true
}

# ground_docker_node VERB NAME [OPTION...]: docker stop, start, restart, pause, unpause, rm ...
# of a node's container.
ground_docker_node() {
  local verb=$1 name=$2
  shift 2
  case $verb in start | restart) rm -f "$GROUND_DIR/nodes/$name/box"/{up,*.cmd,*.out} ;; esac
  ground_docker "$(ground_host "$name")" "$verb" "$@" "$(ground_id "$name")" >/dev/null
}

# Removes nodes with their containers, all at once.
ground_remove() {
  local name pids=() pid
  for name; do
    ground_docker_node rm "$name" --force --volumes &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  for name; do rm -rf "$GROUND_DIR/nodes/$name"; done
}

# An interactive shell with these functions.
ground_shell() {
  printf 'source %q\nset +eu\nPS1="eid ground \\w\\$ "\n' "$GROUND_LIBRARY" >"$GROUND_DIR/bashrc"
  bash --rcfile "$GROUND_DIR/bashrc" -i
}

if ground_inside; then ground_settle; fi
