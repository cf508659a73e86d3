# Shell functions that run, test and scripts/* share. Sourced, from the top of the tree.

say() { printf '%s\n' "$*" >&2; }

# A step that takes a while: says what it does, shows the output only when it fails or when VERBOSE is set. The
# command runs in the foreground, so that Ctrl-C ends it as well, and the progress line behind it.
step() {
  local title=$1 status
  shift
  if [ -n "${VERBOSE:-}" ]; then
    say "== $title"
    "$@"
    return
  fi
  step_log=$(mktemp) || return 1
  step_progress=
  trap step_interrupted INT TERM
  if [ -t 2 ]; then
    show_progress "$title" "$step_log" &
    step_progress=$!
  else
    say "$title …"
  fi
  ("$@") >"$step_log" 2>&1 </dev/null
  status=$?
  end_progress
  trap - INT TERM
  if [ $status -ne 0 ]; then
    cat "$step_log" >&2
    say "$title: failed (status $status)"
  fi
  rm -f "$step_log"
  return $status
}

# One line: the title, the seconds, the last line of the log. Until it is killed, or the script is gone.
show_progress() {
  local title=$1 log=$2 started=$SECONDS line
  while kill -0 $$ 2>/dev/null; do
    line=$(tail -c 300 "$log" 2>/dev/null | tr '\r' '\n' | tail -n 1 | cut -c 1-60)
    printf '\r\033[K%s … %ds  %s' "$title" $((SECONDS - started)) "$line" >&2
    sleep 0.2
  done
}

end_progress() {
  [ -n "$step_progress" ] || return 0
  kill "$step_progress" 2>/dev/null
  wait "$step_progress" 2>/dev/null
  step_progress=
  printf '\r\033[K' >&2
}

# Every step can be repeated: what is half made is made anew.
step_interrupted() {
  end_progress
  rm -f "$step_log"
  say "Interrupted. Start it again to go on."
  trap - INT TERM
  kill -INT $$
}

# The packages that are needed to build, to run, and to test everything.
PACKAGES_BUILD="build-essential cmake ninja-build pkg-config libzydis-dev libfmt-dev libgtest-dev libgmock-dev
  libpng-dev liblzma-dev zlib1g-dev gcc-multilib python3 libseccomp-dev
  libtomlplusplus-dev nlohmann-json3-dev libavcodec-dev libavutil-dev libswscale-dev"
PACKAGES_RUN="seabios"
PACKAGES_LINUX="cpio xz-utils genext2fs e2fsprogs"
PACKAGES_TEST="gdb file mtools syslinux syslinux-common isolinux xorriso grub-rescue-pc ipxe memtest86+ u-boot-qemu
  qemu-system-x86 socat clang-format mandoc"

# Installs those of the named packages that are missing. Quick when there are none.
need_packages() {
  local package missing=""
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    sudo=sudo
    # sudo may ask for a password: now, not behind a progress line.
    if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }; then
      say "These Debian packages are missing:$missing"
      say "They cannot be installed without root or sudo. As root:"
      say "  apt-get update && apt-get install --no-install-recommends$missing"
      return 1
    fi
  fi
  # An installation that was interrupted must be completed before apt starts another.
  step "Looking at installed packages" $sudo dpkg --force-confdef --force-confold --configure -a || return 1
  step "Updating the package lists" $sudo apt-get update -q || return 1
  step "Installing$missing" $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
}

configure() {
  [ -f "build/$1/build.ninja" ] || step "Configuring ($1)" cmake --preset "$1"
}

# configure_and_build PRESET [TARGET…]
configure_and_build() {
  local preset=$1
  shift
  configure "$preset" || return 1
  local targets=()
  [ $# -gt 0 ] && targets=(--target "$@")
  step "Building ($preset)" cmake --build --preset "$preset" "${targets[@]}"
}
