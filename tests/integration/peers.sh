# For the tests that run the tools of others (Podman, containerd, Docker): each case with crun and with ctr-oci. What
# holds with the one must hold with the other. Source it after lib.sh; then
#
#     compare SENTENCE COMMAND...
#
# runs COMMAND twice, with $runtime set to each. A case that crun fails too is no case: it fails the test as well.
# shellcheck shell=bash
needs crun ctr-oci jq

# crun loads a filter for devices with RLIMIT_MEMLOCK raised, and wants the controller of every group of limits that is
# named, be it empty. Where a machine has neither, its configurations lose their linux.resources; ctr-oci's never do.
peers_crun() {
    command -v crun
    grep -qw pids /sys/fs/cgroup/cgroup.controllers && prlimit --memlock=unlimited true 2> /dev/null && return
    mkdir -p /usr/local/bin
    cat > /usr/local/bin/crun-unlimited << 'SH'
#!/bin/bash
bundle=.
for ((i = 1; i < $#; i++)); do
    next=$((i + 1))
    case ${!i} in --bundle | -b) bundle=${!next} ;; create | run) makes=yes ;; esac
done
if [ -n "${makes:-}" ]; then
    config=$(jq -c 'del(.linux.resources)' "$bundle/config.json") && printf '%s' "$config" > "$bundle/config.json"
fi
exec crun "$@"
SH
    chmod 755 /usr/local/bin/crun-unlimited
    echo /usr/local/bin/crun-unlimited
}

peers=(crun ctr-oci)
declare -A peer_path peer_status
peer_path=([crun]=$(peers_crun | tail -n 1) [ctr-oci]=$(command -v ctr-oci))
at_exit rm -f /usr/local/bin/crun-unlimited

compare() { # SENTENCE COMMAND...
    local sentence=$1 peer
    shift
    for peer in "${peers[@]}"; do
        runtime=${peer_path[$peer]}
        "$@" > "$_work/$peer" 2>&1 < /dev/null
        peer_status[$peer]=$?
    done
    if [ "${peer_status[crun]}" -ne 0 ]; then
        fail "$sentence" "with crun: status ${peer_status[crun]}" "$(< "$_work/crun")" "with ctr-oci: status ${peer_status[ctr-oci]}" "$(< "$_work/ctr-oci")"
    elif [ "${peer_status[ctr-oci]}" -ne 0 ]; then
        fail "$sentence" "with ctr-oci, and not with crun: status ${peer_status[ctr-oci]}" "$(< "$_work/ctr-oci")"
    else
        pass "$sentence"
    fi
}

# For what COMMAND of compare is made of: each says what it has found when it is not that.
equal() { # EXPECTED ACTUAL
    [ "$1" = "$2" ] || { printf "expected '%s', got '%s'\n" "$1" "$2"; return 1; }
}
has() { # PART WHOLE
    [[ $2 == *"$1"* ]] || { printf "expected '%s' in '%s'\n" "$1" "$2"; return 1; }
}
ends_with() { # STATUS COMMAND...
    local expected=$1 status
    shift
    "$@"
    status=$?
    equal "status $expected" "status $status"
}

# bb.tar: busybox as an image's only layer.
make_busybox_archive() {
    make_busybox_tree tree
    mkdir -p tree/filled
    echo 'from the image' > tree/filled/file
    tar -C tree -c . > bb.tar
}
