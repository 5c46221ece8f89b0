# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The public base images that the Dockerfiles name, made here, where no registry is: to be sourced
# after ground.sh. A Debian comes from debootstrap, with a package source of its own (/packages),
# since a Docker host of the ground reaches no mirror: what the Dockerfile installs is installed in
# earnest from there. Swift is this machine's.

# What Debian packages the official Swift image has, as far as a build of eid needs them.
BASES_SWIFT=ca-certificates,git,libc6-dev,libcurl4,libedit2,libgcc-12-dev,libncurses6
BASES_SWIFT+=,libsqlite3-0,libstdc++-12-dev,libxml2,tzdata,zlib1g-dev

# What of a Swift toolchain a build of eid does not need; 2 GB.
BASES_WITHOUT=(bin/clangd bin/docc bin/lldb\* bin/sourcekit-lsp bin/swift-build-sdk-interfaces
  bin/swift-format bin/swift-help bin/wasmkit bin/llvm-cov bin/llvm-nm bin/llvm-objdump
  lib/libLTO.so\* lib/libclang.so\* lib/liblldb.so\* lib/libsourcekitdInProc.so
  lib/swift/FrameworkABIBaseline lib/swift/embedded local share)

# bases_packages DOCKERFILE STAGE: what the n-th stage of a Dockerfile installs with apt-get.
bases_packages() {
  awk -v stage="$2" '
    /^FROM/ { n++ }
    n == stage && /--no-install-recommends/ { on = 1; next }
    on && /&&/ { on = 0 }
    on { print $1 }' "$1"
}

# bases_debian NAME PACKAGES DEBS: makes sure that the cache holds a Debian bookworm of minbase and
# PACKAGES (with commas, or empty), whose /packages has DEBS (with spaces) and what they depend on.
# Prints where. Needs root and the network; half a minute the first time.
bases_debian() {
  local name=$1 packages=$2 debs=$3 cache tar root deb
  cache=$(ground_cache)
  tar=$cache/debian-$name-$(printf '%s\n' "$packages" "$debs" | sha256sum | cut -c 1-12).tar
  if [[ ! -s $tar ]]; then
    ((EUID == 0)) || { ground_unable "debootstrap needs root"; return; }
    mkdir -p "$cache"
    root=$(mktemp -d "${TMPDIR:-/tmp}/eid-debian.XXXXXX")
    ground_say "debootstrap of a Debian for $name (once; kept in $cache)" >&2
    if ! bases_debootstrap "$root" "$packages" "$debs" >"$root.log" 2>&1; then
      tail -n 5 "$root.log" >&2
      rm -rf --one-file-system "$root"
      ground_unable "cannot make a Debian for $name: the whole log is $root.log"
      return
    fi
    for deb in "$root"/packages/*.deb; do
      dpkg-deb --field "$deb"
      printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$(basename "$deb")" \
        "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d ' ' -f 1)"
    done >"$root/packages/Packages"
    printf 'deb [trusted=yes] file:/packages ./\n' >"$root/etc/apt/sources.list"
    rm -rf "$root"/etc/apt/sources.list.d/* "$root"/etc/resolv.conf
    tar -C "$root" --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
      --exclude='./usr/share/locale/*' --exclude='./var/cache/*' --exclude='./var/lib/apt/lists/*' \
      --exclude='./dev/*' -cf "$tar.new" .
    rm -rf --one-file-system "$root" "$root.log"
    mv "$tar.new" "$tar"
  fi
  printf '%s\n' "$tar"
}

bases_debootstrap() {
  local root=$1 packages=$2 debs=$3
  debootstrap --variant=minbase ${packages:+"--include=$packages"} bookworm "$root" \
    "$(ground_mirror)"
  mkdir -p "$root/packages/partial"
  # shellcheck disable=SC2086 # one argument for each
  chroot "$root" apt-get -y --no-install-recommends --download-only \
    -o Dir::Cache::archives=/packages install $debs
  rm -rf "$root"/packages/{partial,lock}
}

# bases_import_swift HOST NAME DEBIAN_TAR: that Debian with this machine's Swift as an image.
bases_import_swift() {
  local host=$1 name=$2 tar=$GROUND_DIR/swift.tar toolchain leave=() path sources key value
  toolchain=$(dirname "$(dirname "$(realpath "$(command -v swift)")")")
  for path in "${BASES_WITHOUT[@]}"; do leave+=("--exclude=${toolchain#/}/$path"); done
  cp "$3" "$tar"
  # Where this machine's git reads packages from a directory instead of the network, so does the
  # image's.
  mapfile -t sources < <(git config --get-regexp '^url\./.*\.insteadof$' |
    sed -n 's,^url\.\(/.*\)/\.insteadof .*,\1,p' | sort -u)
  tar -C / "${leave[@]}" -rf "$tar" "${toolchain#/}" "${sources[@]#/}"
  if ((${#sources[@]})); then
    mkdir -p "$GROUND_DIR/git"
    git config --get-regexp '^url\./.*\.insteadof$' | while read -r key value; do
      git config --file "$GROUND_DIR/git/gitconfig" --add "$key" "$value"
    done
    git config --file "$GROUND_DIR/git/gitconfig" --add safe.directory '*'
    tar -C "$GROUND_DIR/git" --transform 's,^,etc/,' -rf "$tar" gitconfig
  fi
  ground_docker "$host" import --change "ENV PATH=$toolchain/bin:$GROUND_IMAGE_PATH" - "$name" \
    <"$tar" >/dev/null
  rm -f "$tar"
}

#-- A terminal ---------------------------------------------------------------------------------

# typed TEXT WORDS COMMAND...: types TEXT, with \n, into the shell of a VM that COMMAND opens in a
# terminal, once it shows its prompt (what is typed before may be lost); waits until WORDS (an
# extended regular expression) are there, and aborts that VM.
# Prints what was to be seen. (q() and halt() would end the node that a remote shell is on.)
typed() {
  local text=$1 words=$2 out=$GROUND_DIR/typed
  shift 2
  : >"$out"
  {
    ground_wait 30 'a prompt' grep -Eq '1> ' "$out" >&2 || true
    printf '%b' "$text"
    ground_wait 30 "a terminal to show $words" grep -Eq "$words" "$out" >&2 || true
    printf '\003'
    sleep 0.5
    printf 'a\n'
  } | timeout 90 script --quiet --flush --command "$*" "$out" >/dev/null || true
  cat "$out"
  grep -Eq "$words" "$out"
}

# What docker is called with to reach a host, for a command line.
docker_on() { printf 'docker --host unix://%s/%s/docker.sock\n' "$GROUND_DIR" "$1"; }
