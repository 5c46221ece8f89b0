#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds eid and puts it where Erlang finds it. See usage() below.
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# A build of its own, so that its linker flags never meet those of the tests
# and its lock never waits for theirs.
scratch=$(realpath -m -- "${EID_SCRATCH:-$here/.build/driver}")
log=

usage() {
  cat <<'END'
Usage: ./build.sh TARGET        an Erlang environment with eid in it, at TARGET
       ./build.sh --app DIR     only the application, at DIR/eid-VSN
       ./build.sh --priv        only what rebar3 does not make, at ./priv
       ./build.sh --help

./build.sh TARGET
  Builds the driver and the Erlang modules, then, where TARGET is
  - absent or empty: copies the Erlang of this machine to TARGET and adds eid.
    TARGET can be moved, or copied into an image, at any path;
  - what build.sh made before: makes it anew and replaces it as a whole;
  - an Erlang root (as /usr/lib/erlang): adds eid to it in place.
  Anything else is refused. Then
      TARGET/bin/erl -proto_dist eid_tcp -name CONTAINER@HOST
  works with no -pa, the eid application runs, and no epmd is started
  (give -start_epmd true, before -extra, to have one, as inet_tcp wants it), and
  TARGET/bin/eid is the command (see TARGET/bin/eid --help).
  OTP's erlc, dialyzer, typer and ct_run do not run from a path with a space in
  it; erl and escript do.

  What changes in an Erlang root:
  - lib/eid-VSN is added, other versions of eid are removed;
  - bin/eid and bin/eid-entrypoint are added: the command, and images' entrypoint;
  - bin/erl, bin/start, bin/start_erl and the same in erts-*/bin find their
    root by themselves and say -start_epmd false;
  - bin/*.boot, bin/start.script, releases/RELEASES and the boot files and
    scripts in releases/N start eid as well.
  The files as they were are kept: to have them back,
      cp -a TARGET/releases/before_eid/. TARGET/
      rm -r TARGET/releases/before_eid TARGET/lib/eid-* TARGET/bin/eid*

./build.sh --app DIR
  For an image that has its own Erlang/OTP 25 or later: copy DIR/eid-VSN into
  its lib directory, or set ERL_LIBS to where DIR lies, and start erl with
  -start_epmd false. The command is DIR/eid-VSN/priv/bin/eid.

./build.sh --priv
  Called by rebar3 (see rebar.config). With EID_APP set to a DIR that --app left,
  copies from there; then this machine needs no Swift.

What is missing is installed with apt-get (through sudo when not root), save
for Swift 6.2 or later, which must be on PATH.

Environment:
  ERLANG_ROOT   the Erlang to copy (as printed by code:root_dir().) in place of
                that of the erl on PATH
  EID_APP       see --priv
  EID_SCRATCH   where to build, in place of .build/driver in the repository
END
}

die() {
  printf 'build.sh: %s\n' "$*" >&3
  exit 1
}
exec 3>&2

# --- steps ------------------------------------------------------------------

# step TEXT COMMAND...: runs the command with its output in the log; prints the
# text and the time it took, and the end of the log when it failed.
step() {
  local text=$1 began=${EPOCHREALTIME//[!0-9]/} status took
  shift
  printf '%-58s' "$text"
  printf '\n=== %s\n' "$text" >>"$log"
  # Not in a condition: that would turn errexit off inside the command.
  set +e
  (
    set -e
    "$@"
  ) >>"$log" 2>&1 </dev/null
  status=$?
  set -e
  took=$(((${EPOCHREALTIME//[!0-9]/} - began) / 100000))
  if [ "$status" -eq 0 ]; then
    printf '%6d.%d s\n' $((took / 10)) $((took % 10))
    return
  fi
  if [ "$status" -ne 3 ]; then
    printf '  failed\n'
    tail -n 25 "$log" >&2
    cp -- "$log" "$scratch/build.log"
    printf 'build.sh: "%s" failed; the whole output: %s\n' "$text" \
      "$scratch/build.log" >&2
  fi
  exit 1
}

# Inside a step: a failure that is understood, so the log need not be shown.
step_die() {
  printf '\nbuild.sh: %s\n' "$*" >&3
  exit 3
}

# Taken away at the end, whatever happens: the directory in which all is made
# before it goes to its place, and parents of TARGET that were made for it.
stage=
made_parents=()
replaced=
clean_up() {
  local status=$? i
  trap '' INT TERM HUP
  [ "$status" -lt 129 ] ||
    printf '\nbuild.sh: interrupted; nothing is left half-made\n' >&3
  if [ -n "$replaced" ]; then
    # Between the two renames of take_place: the old one back.
    mv -T -- "$stage/replaced" "$replaced" || true
  fi
  if [ -n "$stage" ]; then
    # What was copied may be without write permission.
    chmod -R u+w -- "$stage" 2>/dev/null || true
    rm -rf -- "$stage"
  fi
  if [ "$status" -ne 0 ]; then
    for ((i = ${#made_parents[@]} - 1; i >= 0; i--)); do
      rmdir -- "${made_parents[i]}" 2>/dev/null || true
    done
  fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# make_stage DIR: a place beside what will be made, so that a rename suffices.
make_stage() {
  local dir=$1 missing=()
  while [ ! -e "$dir" ]; do
    missing=("$dir" ${missing[@]+"${missing[@]}"})
    dir=$(dirname -- "$dir")
  done
  for dir in ${missing[@]+"${missing[@]}"}; do
    mkdir -- "$dir" 2>/dev/null ||
      die "cannot make $dir; choose a place you may write to, or run as root"
    made_parents+=("$dir")
  done
  # No - in the name: Erlang takes lib/NAME-VSN for an application.
  stage=$(mktemp -d -- "$1/.eid_build.XXXXXX" 2>/dev/null) ||
    die "cannot write in $1; choose a place you may write to, or run as root"
}

# take_place NEW OLD: NEW gets the name OLD, and what had it is removed.
take_place() {
  trap '' HUP INT TERM
  if [ -d "$2" ] && [ -n "$(ls -A -- "$2")" ]; then
    # rename(2) does not replace a directory that is not empty.
    mv -T -- "$2" "$stage/replaced"
    replaced=$2
  fi
  mv -T -- "$1" "$2" ||
    die "cannot replace $2 (is it a mount point?); choose another place"
  replaced=
}

# --- what the build needs -----------------------------------------------------

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -- "$@"
  else
    step_die "not root, and no sudo; as root: $*"
  fi
}

install_packages() {
  if ! as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "$@"; then
    # Lists that are absent or old.
    as_root apt-get update
    as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y --no-install-recommends "$@"
  fi
}

# need PACKAGE...: asks Debian for them.
need() {
  command -v apt-get >/dev/null ||
    die "not found here: what Debian has in $*; install it (no apt-get here)"
  step "install $*" install_packages "$@"
}

find_swift() {
  local version major minor
  [ "$mode" != priv ] || command -v swift >/dev/null ||
    die "no Swift compiler on PATH; install Swift 6.2 or later" \
      "(https://www.swift.org/install), or set EID_APP to what build.sh --app" \
      "left on a machine that has it"
  command -v swift >/dev/null ||
    die "no Swift compiler on PATH; install Swift 6.2 or later" \
      "(https://www.swift.org/install) and put its usr/bin on PATH"
  version=$(swift --version 2>/dev/null |
    sed -n 's/.*Swift version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p' | head -n 1)
  [ -n "$version" ] ||
    die "$(command -v swift) is not the Swift compiler; put Swift 6.2 or" \
      "later (https://www.swift.org/install) before it on PATH"
  read -r major minor <<<"$version"
  if ((major * 100 + minor < 602)); then
    die "$(command -v swift) is Swift $major.$minor; put Swift 6.2 or later" \
      "(https://www.swift.org/install) on PATH"
  fi
}

# Sets erlang_root to the Erlang that is copied and compiled against.
find_erlang() {
  if [ -n "${ERLANG_ROOT:-}" ]; then
    erlang_root=$(realpath -m -- "$ERLANG_ROOT")
    is_erlang_root "$erlang_root" ||
      die "ERLANG_ROOT=$ERLANG_ROOT is no Erlang root (bin/erl and erts-*)"
  else
    command -v erl >/dev/null || need erlang-base erlang-dev
    # What the VM would be told, without a VM.
    erlang_root=$(erl -emu_args_exit | sed -n '/^-root$/{n;p;q}')
    [ -n "$erlang_root" ] ||
      die "$(command -v erl) does not run; mend it, or set ERLANG_ROOT"
    erlang_root=$(realpath -m -- "$erlang_root")
  fi
  check_erlang "$erlang_root"
  if [ ! -f "$erlang_root/usr/include/erl_driver.h" ]; then
    if [ "$erlang_root" = /usr/lib/erlang ]; then
      need erlang-dev
    else
      die "$erlang_root/usr/include/erl_driver.h is missing; install the" \
        "development files of this Erlang, or set ERLANG_ROOT to another"
    fi
  fi
}

# --- the Erlang at a root -----------------------------------------------------

is_erlang_root() {
  local erts
  erts=("$1"/erts-*/bin/erlexec)
  [ -x "$1/bin/erl" ] && [ -x "${erts[0]}" ]
}

erts_of() {
  local erts=("$1"/erts-*) version
  # Two or more after a release upgrade: the one that would be booted.
  if [ ${#erts[@]} -gt 1 ] &&
    read -r version _ <"$1/releases/start_erl.data" &&
    [ -d "$1/erts-$version" ]; then
    printf '%s\n' "$1/erts-$version"
  else
    printf '%s\n' "${erts[0]}"
  fi
}

# The boot file (without .boot) that starts no eid: an eid that does not start
# must not keep a better one from being installed.
stock_boot_of() {
  if grep -qsa eid_app "$1/bin/start_clean.boot" &&
    [ -f "$1/releases/before_eid/bin/start_clean.boot" ]; then
    printf '%s\n' "$1/releases/before_eid/bin/start_clean"
  else
    printf '%s\n' "$1/bin/start_clean"
  fi
}

# erl_at ROOT ARGUMENT...: the Erlang at ROOT, wherever its own bin/erl points.
erl_at() {
  local root=$1 erts
  erts=$(erts_of "$root")
  shift
  ROOTDIR=$root BINDIR=$erts/bin EMU=beam PROGNAME=erl \
    "$erts/bin/erlexec" -boot "$(stock_boot_of "$root")" -noinput "$@"
}

check_erlang() {
  local release
  # shellcheck disable=SC2016
  release=$(erl_at "$1" -eval \
    'io:format("~s~n", [erlang:system_info(otp_release)]), halt().' \
    2>/dev/null) ||
    die "the Erlang at $1 does not run on this machine;" \
      "use --app, and copy the application into it"
  [[ $release =~ ^(2[5-9]|[3-9][0-9])$ ]] ||
    die "the Erlang at $1 is OTP $release; eid needs OTP 25 or later"
}

# --- the application ----------------------------------------------------------

# Leaves the driver in $1, and the command in $1/bin. One at a time: others may run
# build.sh as well.
build_native() {
  exec 9>"$scratch/build.lock"
  flock 9
  # What Swift built at another path it cannot go on with.
  if [ -e "$scratch/release.yaml" ] &&
    [ "$(cat -- "$scratch/built_at" 2>/dev/null)" != "$scratch" ]; then
    rm -rf -- "$scratch"/*-linux-gnu "$scratch"/*.yaml "$scratch"/build.db
  fi
  printf '%s\n' "$scratch" >"$scratch/built_at"
  # Nothing but driver_init is exported, so the Swift runtime inside meets no
  # other one in the VM; static-stdlib in Package.swift would leak into tests.
  printf '{ global: driver_init; local: *; };\n' >"$scratch/exports.map"
  swift_build EIDDistDriver -Xlinker "--version-script=$scratch/exports.map" 9>&-
  strip --strip-all -o "$1/eid_drv.so" "$scratch/release/libEIDDistDriver.so"
  chmod 644 -- "$1/eid_drv.so"
  # A program exports nothing.
  printf '{ local: *; };\n' >"$scratch/exports.map"
  swift_build eid -Xlinker "--version-script=$scratch/exports.map" 9>&-
  mkdir -p -- "$1/bin"
  strip --strip-all -o "$1/bin/eid" "$scratch/release/eid"
  chmod 755 -- "$1/bin/eid"
}

# Builds product $1, with the Swift runtime in it and further options.
swift_build() {
  # ERLANG_ROOT: Package.swift looks for erl_driver.h there.
  # Without caching, since a plan of other flags would be gone on with.
  # lld: gold, the default, leaves names of Swift types in .dynsym, and its
  # output's path.
  ERLANG_ROOT=$erlang_root swift build -c release --product "$1" \
    --package-path "$here" --scratch-path "$scratch" --disable-local-rpath \
    --disable-build-manifest-caching \
    -Xswiftc -static-stdlib -Xswiftc -use-ld=lld \
    -Xlinker --gc-sections "${@:2}"
}

# Compiles erl_src into $1. r25 and no maybe_expr: a newer Erlang's beams load
# in OTP 25 too.
build_beams() {
  # shellcheck disable=SC2016
  erl_at "$erlang_root" -eval '
    [Source, Ebin] = init:get_plain_arguments(),
    Options = [debug_info, deterministic, warnings_as_errors, report, r25,
               {feature, maybe_expr, disable}, {outdir, Ebin}],
    Files = filelib:wildcard(filename:join(Source, "*.erl")),
    Modules = [case compile:file(File, Options) of
                   {ok, Module} -> Module;
                   error -> halt(1)
               end || File <- Files],
    AppFile = filename:join(Source, "eid.app.src"),
    {ok, [{application, eid, Keys}]} = file:consult(AppFile),
    App = {application, eid,
           lists:keystore(modules, 1, Keys, {modules, lists:sort(Modules)})},
    ok = file:write_file(filename:join(Ebin, "eid.app"),
                         io_lib:format("~tp.~n", [App])),
    halt().' -extra "$here/erl_src" "$1"
}

version() {
  sed -n 's/.*{ *vsn *, *"\([^"]*\)" *}.*/\1/p' "$here/erl_src/eid.app.src"
}

# Leaves the application at $1.
build_app() {
  mkdir -p -- "$1/ebin"
  build_priv "$1/priv"
  step "compile the Erlang modules" build_beams "$1/ebin"
}

# Leaves what the application has in priv at $1.
build_priv() {
  mkdir -p -- "$1"
  step "build the driver and the command" build_native "$1"
  install -m 755 -- "$here/docker/eid-entrypoint" "$1"
}

# The same, from what --app left at $EID_APP.
copy_priv() {
  [ -f "$EID_APP/eid-$vsn/priv/eid_drv.so" ] ||
    die "EID_APP=$EID_APP has no eid-$vsn/priv/eid_drv.so; make it with the" \
      "build.sh of this version: ./build.sh --app $EID_APP"
  cp -R -- "$EID_APP/eid-$vsn/priv" "$1"
}

# --- the environment ----------------------------------------------------------

# Copies the Erlang at $erlang_root to $1, as it was before eid.
copy_erlang() {
  local link aim
  cp -a -- "$erlang_root" "$1"
  chmod 755 -- "$1"
  rm -rf -- "$1"/lib/eid-[0-9]* "$1/bin/eid"
  if [ -d "$1/releases/before_eid" ]; then
    cp -a -- "$1/releases/before_eid/." "$1"
    rm -rf -- "$1/releases/before_eid"
  fi
  # Links that leave the root break when it moves: what they stand for instead.
  while IFS= read -r -d '' link; do
    aim=$(readlink -e -- "$erlang_root/${link#"$1"/}") || continue
    case $(readlink -- "$link"):$aim in
      /*) ;;
      *:"$erlang_root"/*) continue ;;
    esac
    rm -f -- "$link"
    cp -a -- "$aim" "$link"
  done < <(find "$1" -type l -print0)
}

# The start scripts. OTP's have the root's path written in them.
write_scripts() {
  # shellcheck disable=SC2016
  local find_root='# From eid (build.sh): finds its own root, through links too.
case $0 in
    */*) prog=$0 ;;
    *) prog=./$0 ;;
esac
while [ -h "$prog" ]; do
    link=$(readlink "$prog")
    case $link in
        /*) prog=$link ;;
        *) prog=${prog%/*}/$link ;;
    esac
done
dir=$(CDPATH="" cd "${prog%/*}" && pwd -P) || exit 1
if [ -f "$dir/erlexec" ]; then
    ROOTDIR=${dir%/*/*}
else
    ROOTDIR=${dir%/*}
fi'
  # An -start_epmd of the user comes later, and so wins (erlexec.c, main);
  # only what is in ERL_AFLAGS would come before.
  # shellcheck disable=SC2016
  local no_epmd='case " ${ERL_AFLAGS-} " in
    *" -start_epmd "*) ;;
    *) set -- -start_epmd false "$@" ;;
esac'
  cat >"$2/erl" <<END
#!/bin/sh
$find_root
BINDIR="\${ROOTDIR}/$(basename -- "$1")/bin"
ROOTDIR=\${ROOTDIR:-/}
EMU=beam
PROGNAME=\${0##*/}
export BINDIR ROOTDIR EMU PROGNAME
$no_epmd
exec "\$BINDIR/erlexec" "\$@"
END
  cat >"$2/start" <<END
#!/bin/sh
# Usage: start [DATAFILE]: an embedded system, through run_erl and start_erl
$find_root
RELDIR=\${RELDIR:-\$ROOTDIR/releases}
exec "\$ROOTDIR/bin/run_erl" -daemon /tmp/ "\$ROOTDIR/log" \\
    "exec '\$ROOTDIR/bin/start_erl' '\$ROOTDIR' '\$RELDIR' \\
    '\${1:-\$RELDIR/start_erl.data}'"
END
  cat >"$2/start_erl" <<END
#!/bin/sh
# Usage: start_erl ROOTDIR RELDIR DATAFILE [FLAG...], called by run_erl
# From eid (build.sh): as OTP's, without epmd, and with spaces in paths.
ROOTDIR=\$1
RELDIR=\$2
read -r erts release <"\$3" || [ -n "\$release" ] || exit 1
shift 3
BINDIR="\$ROOTDIR/erts-\$erts/bin"
EMU=beam
PROGNAME=\${0##*/}
export BINDIR ROOTDIR EMU PROGNAME RELDIR
$no_epmd
exec "\$BINDIR/erlexec" -boot "\$RELDIR/\$release/start" \\
    -config "\$RELDIR/\$release/sys" "\$@"
END
  chmod 755 -- "$2/erl" "$2/start" "$2/start_erl"
}

# Boot files for the Erlang at $1 with the application at $2, into $3.
# Every path in them is $ROOT/lib/NAME-VSN/ebin (systools_make, cr_path), and
# the VM knows its $ROOT.
write_boots() {
  # shellcheck disable=SC2016
  erl_at "$1" -eval '
    [App, Out] = init:get_plain_arguments(),
    Ebin = filename:join(App, "ebin"),
    true = code:add_patha(Ebin),
    Application = fun(Name) ->
        case application:load(Name) of
            ok -> ok;
            {error, {already_loaded, _}} -> ok
        end,
        {ok, Version} = application:get_key(Name, vsn),
        {Name, Version}
    end,
    Write = fun(Name, Names, Options) ->
        Base = filename:join(Out, Name),
        Release = {release, {"Erlang/OTP", erlang:system_info(otp_release)},
                   {erts, erlang:system_info(version)},
                   [Application(N) || N <- Names]},
        ok = file:write_file(Base ++ ".rel", io_lib:format("~tp.~n", [Release])),
        {ok, _, _} = systools:make_script(
            Base, Options ++ [silent, no_warn_sasl, {outdir, Out},
                              {path, [Ebin]}])
    end,
    Write("start_clean", [kernel, stdlib, eid], []),
    Write("no_dot_erlang", [kernel, stdlib, eid], [no_dot_erlang]),
    Write("start_sasl", [kernel, stdlib, sasl, eid], []),
    ok = release_handler:create_RELEASES(
           Out, filename:join(Out, "start_sasl.rel"), []),
    halt().' -extra "$2" "$3"
}

# put FILE PLACE: in one rename, and OTP's file that it replaces is kept.
put() {
  local new before=$root/releases/before_eid/${2#"$root"/}
  if [ -e "$2" ] && [[ $2 != "$root"/lib/* ]] &&
    ! grep -qaE 'eid_app|\{eid,|From eid' "$2"; then
    mkdir -p -- "$(dirname -- "$before")"
    cp -a -- "$2" "$before"
  fi
  new=$(dirname -- "$2")/.eid_new.$$
  cp -p -- "$1" "$new"
  mv -f -T -- "$new" "$2"
}

# Adds the application at $stage/lib/eid-VSN to the Erlang at $root.
# All that can fail is done before the first file is changed.
add_eid() {
  local vsn=$1 app=$stage/lib/eid-$1 made=$stage/made erts release name file old
  erts=$(erts_of "$root")
  mkdir -- "$made"
  write_boots "$root" "$app" "$made"
  write_scripts "$erts" "$made"
  release=$(sed -n 's/.*"Erlang\/OTP","\([^"]*\)".*/\1/p' "$made/RELEASES")
  if cmp -s -- "$root/bin/start.boot" "$root/bin/start_sasl.boot"; then
    name=start_sasl
  else
    name=start_clean
  fi
  for file in boot script; do
    cp -- "$made/$name.$file" "$made/start.$file"
  done

  # An interruption in here would leave new files next to old ones.
  trap '' HUP INT TERM
  mkdir -p -- "$root/lib/eid-$vsn/ebin" "$root/lib/eid-$vsn/priv/bin" \
    "$root/releases/$release"
  for file in ebin priv priv/bin; do
    for old in "$root/lib/eid-$vsn/$file"/*; do
      [ -e "$app/$file/${old##*/}" ] || rm -rf -- "$old"
    done
    for name in "$app/$file"/*; do
      [ -d "$name" ] || put "$name" "$root/lib/eid-$vsn/$file/${name##*/}"
    done
  done
  ln -sfn -- "../lib/eid-$vsn/priv/bin/eid" "$root/bin/eid"
  for name in start start_clean start_sasl no_dot_erlang; do
    put "$made/$name.boot" "$root/bin/$name.boot"
    for file in rel script boot; do
      [ ! -e "$made/$name.$file" ] ||
        put "$made/$name.$file" "$root/releases/$release/$name.$file"
    done
  done
  put "$made/start.script" "$root/bin/start.script"
  put "$made/RELEASES" "$root/releases/RELEASES"
  for name in erl start start_erl; do
    put "$made/$name" "$erts/bin/$name"
    put "$made/$name" "$root/bin/$name"
  done
  put "$app/priv/eid-entrypoint" "$root/bin/eid-entrypoint"
  for old in "$root"/lib/eid-[0-9]*; do
    [ "$old" = "$root/lib/eid-$vsn" ] || rm -rf -- "$old"
  done
}

# The environment starts, from where it now lies, and the driver loads.
try_out() {
  # shellcheck disable=SC2016
  "$1/bin/erl" -noinput -eval '
    {eid, _, _} = lists:keyfind(eid, 1, application:which_applications()),
    Eid = filename:join([code:root_dir(), "lib", "eid-" ++ lists:last(
            init:get_plain_arguments())]),
    Eid = code:lib_dir(eid),
    case erl_ddll:load(filename:join(Eid, "priv"), "eid_drv") of
        ok -> halt();
        {error, Why} ->
            io:format("~ts~n", [erl_ddll:format_error(Why)]),
            halt(1)
    end.' -extra "$2"
}

# --- main ---------------------------------------------------------------------

mode=environment
case ${1-} in
  --help | -h)
    usage
    exit
    ;;
  --app)
    mode=application
    shift
    ;;
  --priv)
    mode=priv
    shift
    set -- "$here/priv" "$@"
    ;;
  --)
    shift
    ;;
  -*)
    die "unknown option $1; see ./build.sh --help"
    ;;
esac
if [ $# -ne 1 ] || [ -z "$1" ]; then
  die "one directory is wanted, not $#; see ./build.sh --help"
fi
target=$(realpath -m -- "$1")
[ "$target" != / ] || die "/ cannot be the target; name a directory below it"
if [ -e "$target" ] && [ ! -d "$target" ]; then
  die "$target is not a directory; choose another name"
fi

# The Erlang that runs here must not be told by others what to load or do.
unset ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS ERL_COMPILER_OPTIONS ERL_ROOTDIR
export ERL_CRASH_DUMP_SECONDS=0
# What is made is for every user of the image, whatever the umask of this one.
umask 022

if [ "$mode" = environment ] && [ -d "$target" ] &&
  [ -n "$(ls -A -- "$target")" ]; then
  is_erlang_root "$target" ||
    die "$target exists, is not empty and is no Erlang root; choose another" \
      "name, or remove it"
  [ -f "$target/.made_by_eid" ] || mode=in_place
fi
vsn=$(version)
[ -n "$vsn" ] || die "erl_src/eid.app.src has no {vsn, \"...\"}"
case $mode in
  application) make_stage "$target" ;;
  priv)
    make_stage "$(dirname -- "$target")"
    if [ -n "${EID_APP:-}" ]; then
      copy_priv "$stage/priv"
      take_place "$stage/priv" "$target"
      exit
    fi
    ;;
  in_place) make_stage "$target/lib" ;;
  environment) make_stage "$(dirname -- "$target")" ;;
esac
{ mkdir -p -- "$scratch" && : >>"$scratch/build.lock"; } 2>/dev/null ||
  die "cannot write in $scratch; set EID_SCRATCH to a place where you may"
log=$stage/build.log

find_swift
command -v strip >/dev/null || need binutils
find_erlang
if [ "$mode" = environment ]; then
  case $target/ in
    "$erlang_root"/)
      # The only Erlang here is the one that was made before.
      mode=in_place
      ;;
    "$erlang_root"/*)
      die "$target lies inside the Erlang that is copied; choose another place"
      ;;
  esac
fi
[ "$mode" != in_place ] || check_erlang "$target"

if [ "$mode" = priv ]; then
  build_priv "$stage/priv"
  take_place "$stage/priv" "$target"
  exit
fi
mkdir -- "$stage/lib"
build_app "$stage/lib/eid-$vsn"

case $mode in
  application)
    take_place "$stage/lib/eid-$vsn" "$target/eid-$vsn"
    printf '%s/eid-%s is ready\n' "$target" "$vsn"
    ;;
  in_place)
    root=$target
    step "add eid to $root" add_eid "$vsn"
    step "start Erlang and load the driver" try_out "$root" "$vsn"
    ;;
  environment)
    root=$stage/root
    step "copy $erlang_root" copy_erlang "$root"
    printf 'Made by build.sh of eid, which replaces this directory as a whole.\n' \
      >"$root/.made_by_eid"
    step "add eid" add_eid "$vsn"
    step "start Erlang and load the driver" try_out "$root" "$vsn"
    take_place "$root" "$target"
    ;;
esac
if [ "$mode" != application ]; then
  printf '%s is ready:\n  %s/bin/erl -proto_dist eid_tcp -name CONTAINER@HOST\n' \
    "$target" "$target"
fi
