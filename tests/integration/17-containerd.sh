#!/bin/bash
# containerd's shim does with ctr-oci, as its BinaryName, what it does with crun.
. "$(dirname -- "$0")/lib.sh"
needs containerd ctr podman
. "$(dirname -- "$0")/peers.sh"

systemctl start containerd
at_exit systemctl stop containerd
wait_for 30 ctr version || give_up "containerd answers" "$(journalctl -u containerd | tail)"
make_busybox_archive
podman import --quiet --change CMD=/bin/sh - bb < bb.tar > /dev/null
podman save --quiet --format oci-archive --output bb.oci bb
podman rmi --force bb > /dev/null
image=localhost/bb:latest
check "ctr imports an image" ctr images import --snapshotter native bb.oci
at_exit ctr images remove $image

# The bed has no cpu controller for the shares that ctr sets by itself.
run() { # [OPTION...] ID PROGRAM...
    local options=()
    while [[ $1 = -* ]]; do options+=("$1"); shift; done
    ctr run --snapshotter native --runc-binary "$runtime" --cpu-shares 0 "${options[@]}" $image "$@"
}
compare "run: the program's status" ends_with 7 run --rm t sh -c 'exit 7'
compare "run: its output" eval 'equal hello "$(run --rm t echo hello)"'
no_program() { local said; ! said=$(run --rm t /nope 2>&1) && has "OCI runtime create failed" "$said" && has "No such file or directory" "$said"; }
compare "run: create fails for a program that is not there, and says why" no_program
nothing_left() { equal "" "$(ctr tasks list -q)" && { ctr containers remove t 2> /dev/null; true; } && equal "" "$(ls -A "/run/containerd/runc/default" 2> /dev/null)"; }
compare "and leaves nothing" nothing_left
terminal() { has /dev/pts/0 "$(script -qec "ctr run --snapshotter native --runc-binary $runtime --cpu-shares 0 --rm --tty $image t tty" /dev/null)"; }
compare "run --tty: a terminal of its own" terminal
compare "run: --read-only" run --rm --read-only t sh -c '! touch /x'
compare "run: --env --cwd" eval 'equal "b /tmp" "$(run --rm --env=A=b --cwd=/tmp t sh -c "echo \$A \$PWD")"'
compare "run: the profile is in force with --seccomp" run --rm --seccomp t grep $'Seccomp:\t2' /proc/self/status
compare "run: --privileged" run --rm --privileged t grep $'Seccomp:\t0' /proc/self/status
compare "run: --mount" run --rm "--mount=type=bind,src=$PWD/tree,dst=/v,options=rbind:ro" t sh -c 'test -e /v/filled/file && ! touch /v/x'

tasks() { ctr tasks "$@"; }
in_background() { # COMMAND...: with task `t`
    run --detach t sh -c 'trap "exit 3" TERM; while :; do sleep 0.05; done' && "$@"
    local status=$?
    tasks kill --signal KILL t 2> /dev/null
    wait_for 10 status_is STOPPED
    tasks delete t > /dev/null 2>&1
    ctr containers delete t
    return $status
}
status_is() { [ "$(tasks list | awk '$1 == "t" { print $3 }')" = "$1" ]; }
compare "exec: the program's status" in_background ends_with 5 tasks exec --exec-id e t sh -c 'exit 5'
exec_terminal() { has /dev/pts/ "$(script -qec "ctr tasks exec --tty --exec-id e t tty" /dev/null)"; }
compare "exec --tty: a terminal" in_background exec_terminal
exec_fails() { local said; ! said=$(tasks exec --exec-id e t /nope 2>&1) && has "OCI runtime exec failed" "$said" && has "No such file or directory" "$said"; }
compare "exec: fails for a program that is not there, and says why" in_background exec_fails
compare "exec: as another user, elsewhere" in_background eval 'equal "5 /tmp" "$(tasks exec --exec-id e --user 5 --cwd /tmp t sh -c "echo \$(id -u) \$PWD")"'
paused() { tasks pause t && status_is PAUSED && tasks resume t && status_is RUNNING && tasks exec --exec-id e t true; }
compare "pause, resume" in_background paused
listed() { equal 1 "$(tasks ps t | tail -n +2 | awk '{ print $1 }' | grep -cxF "$(tasks list | awk '$1 == "t" { print $2 }')")"; }
compare "ps" in_background listed
stopped() { tasks kill --signal TERM t && wait_for 10 status_is STOPPED && has "non-zero exit code 3" "$(tasks delete t 2>&1)"; }
compare "kill, delete: the program's status" in_background stopped
compare "metrics" in_background tasks metrics t
compare "nothing is left" nothing_left
