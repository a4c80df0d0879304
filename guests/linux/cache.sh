# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by the build scripts here and in guests/debian: results are built once, under a lock, and
# cached by the hash of what they are made from.

# shellcheck disable=SC2034 # used by who sources this
here=$(dirname "$(readlink -f "$0")")
program=$(basename "$0")
cache=${XDG_CACHE_HOME:-${HOME:?is not set; set it or XDG_CACHE_HOME}/.cache}/fmvm
umask 022

say() { echo "$program: $*" >&2; }

die() {
    say "$*"
    exit 1
}

# require_packages PACKAGE...: names the Debian packages that are missing, and how to get them.
require_packages() {
    local package missing=()
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            missing+=("$package")
    done
    ((${#missing[@]} == 0)) || die "packages are missing: apt-get install ${missing[*]}"
}

# hash_of FILE...: a short hash over standard input and the contents of the files.
hash_of() { cat - "$@" | sha256sum | cut -c1-16; }

# build_once NAME FUNCTION RESULT...: unless all the RESULTs (paths in the cache) exist, runs
# FUNCTION in a new directory, where it must leave an entry of the same name for each of them; then
# these move into place. Whoever comes second waits for the first. FUNCTION's output goes to a log,
# which a failed build leaves behind; its descriptor 3 is our standard error.
build_once() {
    local name=$1 function=$2 log=$cache/$1.log status=0 result reason
    shift 2
    all_exist "$@" && return
    mkdir -p "$cache"
    exec 9>"$cache/$program.lock"
    flock 9
    all_exist "$@" && return
    rm -rf "$cache/$name".work.* # of a build that was killed
    work=$(mktemp -d "$cache/$name.work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    set +e # `|| status=$?` would switch errexit off inside the subshell as well
    (
        set -e
        cd "$work"
        "$function"
    ) 3>&2 >"$log" 2>&1
    status=$?
    set -e
    if ((status != 0)); then
        reason=$(grep -m 1 -iE 'error|failed|does not take' "$log" || tail -n 1 "$log")
        die "the build failed with '$reason'; its log is $log"
    fi
    for result in "$@"; do mv -T "$work/${result##*/}" "$result"; done
    rm -f "$log"
}

all_exist() {
    local path
    for path in "$@"; do [[ -e $path ]] || return 1; done
}
