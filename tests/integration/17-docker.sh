#!/bin/bash
# Docker does with ctr-oci, by --add-runtime, what it does with crun.
. "$(dirname -- "$0")/lib.sh"
needs dockerd docker containerd
. "$(dirname -- "$0")/peers.sh"

mkdir data
systemctl start containerd
at_exit systemctl stop containerd
systemd-run --quiet --unit=dockerd dockerd --bridge=none --iptables=false --storage-driver=vfs --data-root="$PWD/data" --containerd=/run/containerd/containerd.sock \
    --add-runtime="${peer_path[ctr-oci]##*/}=${peer_path[ctr-oci]}" --add-runtime="${peer_path[crun]##*/}=${peer_path[crun]}"
at_exit systemctl stop dockerd
wait_for 30 docker version || give_up "dockerd answers" "$(journalctl -u dockerd | tail)"
make_busybox_archive
docker import --change 'CMD ["/bin/sh"]' bb.tar bb > /dev/null

d() { docker "$@"; }
run() { docker run --runtime "${runtime##*/}" --rm --network none "$@"; }
compare "run: the program's status" ends_with 7 run bb sh -c 'exit 7'
# Where crun has other words than those that the docker command looks for, or lacks a right in the bed:
runtime=${peer_path[ctr-oci]}
check "run: 127 for a program that is not there" ends_with 127 run bb /nope
check "run: 127 for one that is not in the PATH" ends_with 127 run bb nope
check "run: 126 for a folder" ends_with 126 run bb /etc
check "run: --privileged has no profile" run --privileged bb grep $'Seccomp:\t0' /proc/self/status
compare "run: stdin and stdout" eval 'equal through "$(echo through | run --interactive bb cat)"'
terminal() { has /dev/pts/0 "$(script -qec "docker run --runtime ${runtime##*/} --rm -it --network none bb tty" /dev/null)"; }
compare "run -it: a terminal of its own" terminal
basics() { equal "A=b /new/dir host 5:6" "$(run --env A=b --workdir /new/dir --hostname host --user 5:6 bb sh -c 'echo A=$A $PWD $(hostname) $(id -u):$(id -g)')"; }
compare "run: --env --workdir --hostname --user" basics
compare "run: --read-only --tmpfs" run --read-only --tmpfs /t:size=1m,noexec bb sh -c '! touch /x && touch /t/x'
capabilities() { equal "$1" "$(run "${@:2}" bb awk '$1 ~ /^Cap(Inh|Eff|Bnd)/ { printf "%s ", $2 }' /proc/self/status)"; }
compare "run: --cap-drop all --cap-add chown" capabilities "0000000000000000 0000000000000001 0000000000000001 " --cap-drop all --cap-add chown
compare "run: the profile is in force" run bb grep $'Seccomp:\t2' /proc/self/status
compare "run: --security-opt no-new-privileges" run --security-opt no-new-privileges bb grep $'NoNewPrivs:\t1' /proc/self/status
mkdir host && echo one > host/file
compare "run: --volume DIR:ro" run --volume "$PWD/host:/v:ro" bb sh -c 'test "$(cat /v/file)" = one && ! touch /v/x'
compare "run: a new volume gets what the image has there" run --volume /filled bb test -e /filled/file
compare "run: --init, and the status of a signal" ends_with 143 run --init bb sh -c 'kill $$'

in_background() { # COMMAND...: with container `one`
    d run --runtime "${runtime##*/}" --detach --name one --network none "${options[@]}" bb sh -c 'trap "echo bye; exit 3" TERM; echo hello; while :; do sleep 0.05; done' > /dev/null && "$@"
    local status=$?
    d rm --force one > /dev/null
    return $status
}
options=()
state_is() { [ "$(d inspect --format '{{.State.Status}} {{.State.ExitCode}}' one)" = "$1" ]; }
logged() { [ "$(d logs one)" = hello ]; }
compare "exec: the program's status" in_background ends_with 5 d exec one sh -c 'exit 5'
exec_fails() { local status; d exec one "$1"; status=$?; [ $status -eq 126 ] || [ $status -eq 127 ]; }
compare "exec: fails for a program that is not there" in_background exec_fails /nope
compare "exec: fails for a folder" in_background exec_fails /etc
compare "exec: --env --user --workdir" in_background eval 'equal "b 5 /tmp" "$(d exec --env A=b --user 5 --workdir /tmp one sh -c "echo \$A \$(id -u) \$PWD")"'
exec_terminal() { has /dev/pts/ "$(script -qec "docker exec -it one tty" /dev/null)"; }
compare "exec -it: a terminal" in_background exec_terminal
paused() { d pause one > /dev/null && state_is "paused 0" && d unpause one > /dev/null && state_is "running 0" && d exec one true; }
compare "pause and unpause" in_background paused
compare "logs" in_background wait_for 10 logged
stopped() { wait_for 10 logged && d stop --time 20 one > /dev/null && state_is "exited 3"; }
compare "stop: SIGTERM, and the status that comes of it" in_background stopped
killed() { d kill one > /dev/null && equal 137 "$(d wait one)"; }
compare "kill, wait: 137" in_background killed
compare "restart" in_background d restart --time 0 one
copied() { d cp host/file one:/tmp/x && d exec one grep -q one /tmp/x && d cp one:/filled/file host/back && grep -q image host/back; }
compare "cp, both ways" in_background copied
compare "top" in_background eval 'has sleep "$(d top one)$(d top one)$(d top one)"'
compare "stats" in_background d stats --no-stream one
healthy() { [ "$(d inspect --format '{{.State.Health.Status}}' one)" = "$1" ]; }
options=(--health-cmd true --health-interval 1s)
compare "health: healthy" in_background wait_for 15 healthy healthy
options=(--health-cmd false --health-interval 1s --health-retries 1)
compare "health: unhealthy" in_background wait_for 15 healthy unhealthy
