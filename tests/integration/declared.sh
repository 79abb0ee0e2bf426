# For tests of declared containers as units. Source it after lib.sh.
# shellcheck shell=bash

payload=$CTRD_BUILD/tests/init/payload
_declared=()

# payload_tree DIR: a rootfs with nothing but the test payload.
payload_tree() {
    mkdir -p "$1"/{proc,sys,dev,tmp,run,etc} && cp -- "$payload" "$1/payload"
}

# system_tree DIR: this machine's own installation as a rootfs, unmodified: an overlay over it.
system_tree() {
    mkdir -p "$1" "$1.upper" "$1.work" &&
        mount -t overlay overlay -o "lowerdir=/,upperdir=$1.upper,workdir=$1.work" "$1" && at_exit umount -l "$1"
}

# declare_container NAME < TOML: it is known to systemd afterwards, and gone when the test ends.
declare_container() {
    mkdir -p /etc/ctrd/containers
    cat > "/etc/ctrd/containers/$1.toml" && systemctl daemon-reload
    _declared+=("$1")
}

_forget_declared() {
    local name
    for name in "${_declared[@]}"; do
        systemctl stop "ctr@$name.socket" "ctr@$name.service"
        systemctl reset-failed "ctr@$name.socket" "ctr@$name.service"
        rm -f -- "/etc/ctrd/containers/$name.toml"
    done
    systemctl daemon-reload
}
at_exit _forget_declared

# listening NAME: its socket unit is started.
listening() { systemctl start "ctr@$1.socket"; }

# property UNIT-NAME PROPERTY: of ctr@NAME.service.
property() { systemctl show --value -p "$2" "ctr@$1.service"; }

state_is() { [ "$(property "$1" ActiveState)" = "$2" ]; }

# log_of NAME: what the container and ctr-run have printed.
log_of() {
    journalctl --sync
    journalctl --no-pager -o cat -u "ctr@$1.service"
}

# Not a pipe: grep ends with the first match, and who goes on writing then fails.
log_has() { grep -qF -- "$2" <<< "$(log_of "$1")"; }

# check_log SENTENCE NAME TEXT: its log has TEXT within ten seconds; it may be told a moment later.
check_log() {
    if wait_for 10 log_has "$2" "$3"; then pass "$1"; else fail "$1" "expected: $3" "its log:" "$(log_of "$2" | tail -n 20)"; fi
}

# milliseconds COMMAND...: how long it takes.
milliseconds() {
    local begin=${EPOCHREALTIME/[.,]/}
    "$@" > /dev/null 2>&1
    echo $(((${EPOCHREALTIME/[.,]/} - begin) / 1000))
}

# ask PORT [ADDRESS]: one line from a server.
ask() {
    python3 -c 'import socket, sys
s = socket.create_connection((sys.argv[2], int(sys.argv[1])), 20)
s.settimeout(20)
print(s.makefile().readline().rstrip())' "$1" "${2:-127.0.0.1}"
}

# nothing_left NAME: neither its cgroup nor its run record.
nothing_left() {
    [ ! -e "/run/ctrd/run/$1.json" ] && [ ! -e "/sys/fs/cgroup/machine.slice/ctr@$1.service" ]
}
