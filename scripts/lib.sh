# Shell functions that run, test and scripts/* share. Sourced, from the top of the tree.

say() { printf '%s\n' "$*" >&2; }

# A step that takes a while: says what it does, shows the output only when it fails or when VERBOSE is set.
step() {
  local title=$1
  shift
  if [ -n "${VERBOSE:-}" ]; then
    say "== $title"
    "$@"
    return
  fi
  local log
  log=$(mktemp)
  if [ -t 2 ]; then
    "$@" >"$log" 2>&1 &
    local pid=$! started=$SECONDS line
    while kill -0 "$pid" 2>/dev/null; do
      line=$(tail -c 300 "$log" | tr '\r' '\n' | tail -n 1 | cut -c 1-60)
      printf '\r\033[K%s … %ds  %s' "$title" $((SECONDS - started)) "$line" >&2
      sleep 0.2
    done
    printf '\r\033[K' >&2
    wait "$pid"
  else
    say "$title …"
    "$@" >"$log" 2>&1
  fi
  local status=$?
  if [ $status -ne 0 ]; then
    cat "$log" >&2
    say "$title: failed (status $status)"
  fi
  rm -f "$log"
  return $status
}

# The packages that are needed to build, to run, and to test everything.
PACKAGES_BUILD="build-essential cmake ninja-build pkg-config libzydis-dev libfmt-dev libgtest-dev libgmock-dev
  libpng-dev liblzma-dev zlib1g-dev gcc-multilib python3"
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
    if ! command -v sudo >/dev/null || ! { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
      say "These packages are missing:$missing"
      say "Install them as root (apt-get install$missing), or run this where sudo works."
      return 1
    fi
    sudo=sudo
  fi
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
