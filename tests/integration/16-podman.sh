#!/bin/bash
# Podman and Buildah as root do with ctr-oci what they do with crun.
. "$(dirname -- "$0")/lib.sh"
needs podman buildah catatonit
. "$(dirname -- "$0")/peers.sh"

make_busybox_archive
mkdir conf
# The bed has no controller for Podman's own limit.
printf '[containers]\npids_limit = 0\n[engine]\ncgroup_manager = "cgroupfs"\n' > conf/containers.conf
export CONTAINERS_CONF=$PWD/conf/containers.conf
cp /etc/subuid /etc/subgid conf/
at_exit cp "$PWD/conf/subuid" "$PWD/conf/subgid" /etc/
echo containers:500000:655360 | tee -a /etc/subuid >> /etc/subgid
podman import --quiet --change CMD=/bin/sh - bb < bb.tar > /dev/null || give_up "podman imports an image"
at_exit podman system prune --all --force --volumes
at_exit podman rm --all --force --time 0
at_exit podman pod rm --all --force --time 0

p() { podman --runtime "$runtime" "$@"; }
run() { p run --rm --network none "$@"; }
in_terminal() { script -qec "podman --runtime $runtime $*" /dev/null | tr -d '\r'; }
quickly() { p "$@" --time 0 > /dev/null; }

# Once through
compare "run: the program's status" ends_with 7 run bb sh -c 'exit 7'
compare "run: 127 for a program that is not there" ends_with 127 run bb /nope
compare "run: 127 for one that is not in the PATH" ends_with 127 run bb nope
compare "run: 126 for a folder" ends_with 126 run bb /etc
compare "run: 126 for a file without the x bit" ends_with 126 run bb /etc/passwd
init_fails() { p create --name nope bb /nope > /dev/null; ! p init nope; local status=$?; quickly rm --force nope; return $status; }
compare "init: fails at once for a program that is not there" init_fails
stdin_arrives() { equal "through" "$(echo through | run -i bb cat)"; }
compare "run -i: stdin" stdin_arrives
# Podman itself loses what one that ends at once has written, with any runtime: one in fifty.
terminal() { has /dev/pts/0 "$(for tries in 1 2 3; do in_terminal run --rm -it --network none bb tty; done)"; }
compare "run -it: a terminal of its own" terminal
basics() {
    equal "A=b /filled pod 5:6" "$(run --env A=b --workdir /filled --hostname pod --user 5:6 bb sh -c 'echo A=$A $PWD $(hostname) $(id -u):$(id -g)')"
}
compare "run: --env --workdir --hostname --user" basics
entry() { equal "x y" "$(run --entrypoint '["/bin/echo","x"]' bb y)"; }
compare "run: --entrypoint" entry
compare "run: --init, and the status of a signal" ends_with 143 run --init bb sh -c 'kill $$'

# Rights
read_only() { run --read-only bb sh -c '! touch /x && touch /tmp/x && touch /dev/shm/x'; }
compare "run: --read-only, with places to write" read_only
compare "run: --read-only-tmpfs=false leaves none" run --read-only --read-only-tmpfs=false bb sh -c '! touch /tmp/x && ! touch /x'
capabilities() { equal "$1" "$(run "${@:2}" bb awk '$1 ~ /^Cap(Inh|Eff|Bnd)/ { printf "%s ", $2 }' /proc/self/status)"; }
compare "run: --cap-drop all" capabilities "0000000000000000 0000000000000000 0000000000000000 " --cap-drop all
compare "run: --cap-drop all --cap-add chown" capabilities "0000000000000000 0000000000000001 0000000000000001 " --cap-drop all --cap-add chown
compare "run: a user has no effective capabilities" capabilities "0000000000000000 0000000000000000 00000000a80425fb " --user 5
status_line() { has "$1" "$(run "${@:2}" bb cat /proc/self/status)"; }
compare "run: the profile is in force" status_line $'Seccomp:\t2'
compare "run: --security-opt seccomp=unconfined" status_line $'Seccomp:\t0' --security-opt seccomp=unconfined
compare "run: --security-opt no-new-privileges" status_line $'NoNewPrivs:\t1' --security-opt no-new-privileges
compare "run: masked and read-only paths" run bb sh -c 'test -z "$(cat /proc/kcore)" && ! echo 1 > /proc/sys/vm/swappiness'
compare "run: --privileged has no profile" status_line $'Seccomp:\t0' --privileged
id_map() { equal "0 $1" "$(run "${@:2}" bb sh -c 'set -- $(cat /proc/self/uid_map); echo $1 $2 $3')"; }
compare "run: --uidmap" id_map "600000 1000" --uidmap 0:600000:1000
automatic() { has "0 5" "$(run --userns=auto:size=1000 bb sh -c 'echo $(cat /proc/self/uid_map)')"; }
compare "run: --userns=auto" automatic
compare "run: --userns=auto, as a user and with a volume" run --userns=auto --user 5 --volume "$PWD/tree:/v:ro" bb test -e /v/bin
limits() { equal "100 200" "$(run --ulimit nofile=100:200 --ulimit nproc=500:600 bb sh -c 'echo $(ulimit -Sn) $(ulimit -Hn)')"; }
compare "run: --ulimit" limits
sysctl() { equal "1" "$(run --sysctl net.ipv4.ip_forward=1 bb cat /proc/sys/net/ipv4/ip_forward)"; }
compare "run: --sysctl" sysctl

# Mounts and devices
mkdir host owned && echo one > host/file
mounted() { run "${@:1:$#-1}" bb sh -c "${*: -1}"; }
compare "run: --volume DIR:ro" mounted --volume "$PWD/host:/v:ro" 'test "$(cat /v/file)" = one && ! touch /v/x'
compare "run: --volume of a file, written to" mounted --volume "$PWD/host/file:/etc/a/b" 'echo one > /etc/a/b'
compare "run: --volume DIR:U changes its owner in a user namespace" mounted --userns=auto --volume "$PWD/owned:/v:U" 'touch /v/x && test "$(stat -c %u /v)" = 0'
compare "run: --mount bind,bind-propagation=rslave,noexec" mounted --mount "type=bind,src=$PWD/tree/bin,dst=/v,bind-propagation=rslave,noexec" 'test -e /v/busybox && ! /v/busybox true'
compare "run: --tmpfs with options" mounted --tmpfs /t:size=1m,mode=1777,noexec 'test "$(stat -c %a /t)" = 1777 && ! dd if=/dev/zero of=/t/x bs=1M count=2'
named() { run --volume named:/filled bb cat /filled/file && p volume rm named > /dev/null; }
compare "run: a new volume gets what the image has there" named
compare "run: --device" mounted --device /dev/null:/dev/mine:rw 'echo x > /dev/mine && test -c /dev/mine'
compare "run: --shm-size" mounted --shm-size 1m '! dd if=/dev/zero of=/dev/shm/x bs=1M count=2'

# Namespaces of others
same() { equal "$(readlink "/proc/self/ns/$1")" "$(run "--$1=host" bb readlink "/proc/self/ns/$1")"; }
compare "run: --pid=host" same pid
compare "run: --ipc=host" same ipc
compare "run: --uts=host" same uts

# One in the background
start() { # OPTION... -- PROGRAM...: container `c`, which dies at once of SIGTERM
    local options=()
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    p run --detach --name c --network none "${options[@]}" bb "${@:2}" > /dev/null
}
in_background() { # COMMAND...: with container `c`
    start -- sh -c 'trap "echo bye; exit 3" TERM; trap "echo usr1" USR1; echo hello; echo error >&2; while :; do sleep 0.05; done' && "$@"
    local status=$?
    quickly rm --force c
    return $status
}
compare "exec: the program's status" in_background ends_with 5 p exec c sh -c 'exit 5'
compare "exec: 127 for a program that is not there" in_background ends_with 127 p exec c /nope
compare "exec: 126 for a folder" in_background ends_with 126 p exec c /etc
compare "exec: 127 for a folder to be in that is not there" in_background ends_with 127 p exec --workdir /nope c ls
exec_options() { equal "A=b /tmp 5:6" "$(p exec --env A=b --workdir /tmp --user 5:6 c sh -c 'echo A=$A $PWD $(id -u):$(id -g)')"; }
compare "exec: --env --workdir --user" in_background exec_options
exec_terminal() { has /dev/pts/ "$(for tries in 1 2 3; do in_terminal exec -it c tty; done)"; }
compare "exec -it: a terminal" in_background exec_terminal
exec_stdin() { equal through "$(echo through | p exec -i c cat)"; }
compare "exec -i: stdin" in_background exec_stdin
exec_detached() { p exec --detach c touch /tmp/made > /dev/null && wait_for 10 p exec c test -e /tmp/made; }
compare "exec --detach" in_background exec_detached
compare "exec --privileged" in_background p exec --privileged c test -w /sys
logged() { [[ "$(p logs c 2>&1 | sort | xargs)" = "$1" ]]; }
compare "logs: both streams" in_background wait_for 10 logged "error hello"
usr1() { wait_for 10 logged "error hello" && p kill --signal USR1 c > /dev/null && wait_for 10 logged "error hello usr1"; }
compare "kill --signal" in_background usr1
state_is() { [ "$(p inspect --format '{{.State.Status}} {{.State.ExitCode}}' c)" = "$1" ]; }
paused() { p pause c > /dev/null && state_is "paused 0" && ! p exec c true && p unpause c > /dev/null && state_is "running 0" && p exec c true; }
compare "pause and unpause" in_background paused
stopped() { wait_for 10 logged "error hello" && p stop --time 20 c > /dev/null && state_is "exited 3"; }
compare "stop: SIGTERM, and the status that comes of it" in_background stopped
restarted() { wait_for 10 logged "error hello" && p restart --time 0 c > /dev/null && state_is "running 0" && p exec c true; }
compare "restart" in_background restarted
killed() { p kill c > /dev/null && equal 137 "$(p wait c)"; }
compare "kill, wait: 137" in_background killed
listed() { has "c Up" "$(p ps --format '{{.Names}} {{.Status}}')" && has sh "$(p top c args)"; }
compare "ps, top" in_background listed
compare "stats" in_background p stats --no-stream --no-reset c
copied() { echo two > host/two && p cp host/two c:/tmp/two && p exec c grep -q two /tmp/two && p cp c:/filled/file host/back && grep -q image host/back; }
compare "cp, both ways" in_background copied
joined() { run --pid=container:c bb sh -c 'ps | grep -q "[t]rap"' && equal "$(p exec c readlink /proc/self/ns/net)" "$(p run --rm --network=container:c bb readlink /proc/self/ns/net)"; }
compare "run: --pid=container:, --network=container:" in_background joined
committed() { p exec c touch /committed && p commit --quiet c bb2 > /dev/null && run bb2 test -e /committed && has /committed "$(p diff c)"; }
compare "commit, diff" in_background committed
health() { # PROGRAM STATUS
    start --health-cmd "$1" --health-interval disable --health-retries 1 -- sleep 1000
    p healthcheck run c
    local found=$?
    quickly rm --force c
    equal "$2" $found
}
compare "healthcheck run: healthy" health true 0
compare "healthcheck run: unhealthy" health false 1

# Builds
printf 'FROM bb\nARG A\nENV B=c\nWORKDIR /w\nRUN echo "$A $B" > file && test "$PWD" = /w\nUSER 5\nRUN test "$(id -u)" = 5\nCMD ["cat", "/w/file"]\n' > Containerfile
built() { "$@" --runtime "$runtime" --network none --no-cache --quiet --build-arg A=b --tag built . > /dev/null && equal "b c" "$(run built)"; }
compare "podman build" built podman build --isolation oci
compare "buildah build" built buildah build --isolation oci
buildah_run() {
    local container status
    container=$(buildah from bb) && buildah run --runtime "$runtime" --isolation oci --network none "$container" -- sh -c 'exit 4'
    status=$?
    buildah rm "$container" > /dev/null
    equal 4 $status
}
compare "buildah run: the program's status" buildah_run

# systemd's cgroups
p() { podman --cgroup-manager systemd --runtime "$runtime" "$@"; }
in_scope() { has ".scope" "$(run --cgroupns host bb sed -n 's/^0:://p' /proc/self/cgroup)"; }
compare "--cgroup-manager systemd: in a scope" in_scope
compare "--cgroup-manager systemd: exec" in_background ends_with 5 p exec c sh -c 'exit 5'
compare "--cgroup-manager systemd: pause" in_background paused
compare "--cgroup-manager systemd: stop" in_background stopped
# Pods. With cgroupfs Podman 4.3 denies a pod all devices.
with_pod() { # COMMAND...
    p pod create --name pod --infra-image bb --infra-command 'sleep 1000' --share net,ipc,uts > /dev/null &&
        p run --detach --pod pod --name server bb sh -c 'echo answer | nc -l -p 7000; sleep 1000' > /dev/null && "$@"
    local status=$?
    quickly pod rm --force pod
    return $status
}
answered() { [ "$(p run --rm --pod pod bb sh -c 'nc 127.0.0.1 7000 < /dev/null')" = answer ]; }
compare "pods: one network" with_pod wait_for 10 answered
pod_state() { equal "$1" "$(p pod ps --format '{{.Status}}')"; }
pod_life() { pod_state Running && p pod pause pod > /dev/null && pod_state Paused && p pod unpause pod > /dev/null && p pod stop --time 0 pod > /dev/null && pod_state Exited; }
compare "pods: pause, unpause, stop" with_pod pod_life

check "no scope is left" wait_for 10 sh -c '! systemctl list-units --all --plain --no-legend "libpod-*" | grep -q .'
