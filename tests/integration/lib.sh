# For tests/integration/*.sh and tests/vm/*.sh. Source it first:
#
#     . "$(dirname -- "$0")/../integration/lib.sh"
#
# A test file is a program that prints one line for each thing it has found out:
#
#     ok - SENTENCE | not ok - SENTENCE | skip - SENTENCE (WHY)
#
# It runs as root in a fresh folder, in a machine that is its own. It is over after five minutes (CTRD_TEST_TIMEOUT).
# Status 0 and at least one line are expected; afterwards nothing of a container may be left (tests/run-file).
#
# CTRD_SOURCE is the source tree, CTRD_BUILD the build folder, both read-only.
# shellcheck shell=bash
set -uo pipefail
CTRD_SOURCE=${CTRD_SOURCE:-$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)}
CTRD_BUILD=${CTRD_BUILD:-$CTRD_SOURCE/build}
export CTRD_SOURCE CTRD_BUILD

_work=$(mktemp -d)
_cleanups=()

_finish() {
    local status=$? i
    for ((i = ${#_cleanups[@]} - 1; i >= 0; i--)); do
        eval "${_cleanups[i]}" > /dev/null 2>&1 < /dev/null
    done
    rm -rf -- "$_work"
    exit "$status"
}
trap _finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# at_exit COMMAND...: run it when the test ends, however it ends; the last one first.
at_exit() {
    _cleanups+=("$(printf '%q ' "$@")")
}

pass() { # SENTENCE
    printf 'ok - %s\n' "$1"
}

fail() { # SENTENCE [DETAIL...]
    local sentence=$1
    shift
    printf 'not ok - %s\n' "$sentence"
    [ $# -eq 0 ] || printf '%s\n' "$@" | sed 's/^/    /'
    return 0
}

skip() { # SENTENCE WHY
    printf 'skip - %s (%s)\n' "$1" "$2"
}

# check SENTENCE COMMAND...: ok when COMMAND succeeds. Its output is shown when it does not, and is in $output after.
# It runs in this shell, so COMMAND may be a function that sets variables. check itself always succeeds.
check() {
    local sentence=$1 status
    shift
    "$@" > "$_work/output" 2>&1 < /dev/null
    status=$?
    output=$(< "$_work/output")
    if [ $status -eq 0 ]; then
        pass "$sentence"
    else
        fail "$sentence" "status $status of: $*" "$output"
    fi
}

# check_status SENTENCE STATUS COMMAND...: ok when COMMAND ends with exactly this status.
check_status() {
    local sentence=$1 expected=$2 status
    shift 2
    "$@" > "$_work/output" 2>&1 < /dev/null
    status=$?
    output=$(< "$_work/output")
    if [ $status -eq "$expected" ]; then
        pass "$sentence"
    else
        fail "$sentence" "status $status instead of $expected of: $*" "$output"
    fi
}

check_equal() { # SENTENCE EXPECTED ACTUAL
    if [ "$2" = "$3" ]; then
        pass "$1"
    else
        fail "$1" "expected: $2" "but got:  $3"
    fi
}

check_contains() { # SENTENCE PART WHOLE
    if [[ $3 == *"$2"* ]]; then
        pass "$1"
    else
        fail "$1" "expected: $2" "inside:   $3"
    fi
}

check_not_contains() { # SENTENCE PART WHOLE
    if [[ $3 != *"$2"* ]]; then
        pass "$1"
    else
        fail "$1" "unexpected: $2" "inside:     $3"
    fi
}

# give_up SENTENCE [DETAIL...]: fail, and end the file, since nothing after this can work.
give_up() {
    fail "$@"
    exit 1
}

# wait_for SECONDS COMMAND...: until COMMAND succeeds; false when it does not in time.
wait_for() {
    local until=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
    shift
    until "$@" > /dev/null 2>&1 < /dev/null; do
        [ "${EPOCHREALTIME/[.,]/}" -lt $until ] || return 1
        sleep 0.02
    done
}

# needs PROGRAM...: skips the whole file where one is missing.
needs() {
    local program
    for program; do
        command -v "$program" > /dev/null && continue
        skip "$(basename -- "$0")" "'$program' is not installed"
        exit 0
    done
}

# make_busybox_tree DIR: a rootfs with busybox as every usual program, /etc/passwd and the usual empty folders.
make_busybox_tree() {
    mkdir -p "$1"/{bin,sbin,usr/bin,etc,proc,sys,dev,tmp,run,root,var}
    cp -- "$(command -v busybox)" "$1/bin/busybox"
    chroot "$1" /bin/busybox --install -s /bin
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' > "$1/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' > "$1/etc/group"
    chmod 1777 "$1/tmp"
}
