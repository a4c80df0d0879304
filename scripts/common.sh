# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts here; sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
export PYTHONDONTWRITEBYTECODE=1

say() { printf '== %s\n' "$*" >&2; }
die() {
    printf 'fmvm: %s\n' "$*" >&2
    exit 1
}

# install_packages FILE...: installs from Debian what the lists name and this machine lacks.
install_packages() {
    local missing=() package
    for package in $(grep -hv '^#' "$@"); do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing from Debian: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "run as root once, or install: ${missing[*]}"
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -qq || die "apt-get update failed; check this host's Debian sources"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >"$(log_file apt)" 2>&1 ||
        die "apt-get install failed; see $(log_file apt)"
}

# log_file NAME: where a step's output goes.
log_file() {
    mkdir -p "$root/build/log"
    printf '%s/build/log/%s.log' "$root" "$1"
}

# logged NAME COMMAND...: runs quietly; on failure shows the end of the log and stops.
logged() {
    local name=$1 log
    shift
    log=$(log_file "$name")
    if ! "$@" >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        die "$name failed; the whole log is $log"
    fi
}

# stage WHAT COMMAND...: says what is done, and at its end how long it took: on the clock, and in CPU time,
# which does not depend on what else this machine does.
stage() {
    local what=$1 shell=$BASHPID begun=$SECONDS cpu
    shift
    cpu=$(cpu_seconds "$shell")
    say "$what"
    "$@"
    say "$what: done in $((SECONDS - begun)) s, $(($(cpu_seconds "$shell") - cpu)) s of CPU"
}

# cpu_seconds PID: what a process and its ended children have used (proc(5), /proc/PID/stat).
cpu_seconds() {
    local fields
    read -ra fields <"/proc/$1/stat"
    echo $(((fields[13] + fields[14] + fields[15] + fields[16]) / $(getconf CLK_TCK)))
}

# build PRESET [TARGET...]
build() {
    stage "building ($1)" configure_and_build "$@"
}

configure_and_build() {
    local preset=$1
    shift
    logged "configure-$preset" cmake --preset "$preset"
    logged "build-$preset" cmake --build "build/$preset" -j"$(nproc)" ${@:+--target "$@"}
}

need_kvm() {
    [ -e /dev/kvm ] || die "/dev/kvm is missing: load kvm_intel or kvm_amd, or enable virtualisation in the firmware"
    [ -r /dev/kvm ] && [ -w /dev/kvm ] || die "/dev/kvm: permission denied; add this user to its group (usermod -aG kvm $(id -un)) and log in again"
}
