#!/bin/bash
# Podman without root does with ctr-oci what it does with crun.
. "$(dirname -- "$0")/lib.sh"
needs podman newuidmap
. "$(dirname -- "$0")/peers.sh"

useradd --create-home --uid 1500 me
at_exit userdel --remove me
loginctl enable-linger me
at_exit loginctl disable-linger me
wait_for 20 test -S /run/user/1500/bus || give_up "the user has a service manager of their own"
home=/home/me
make_busybox_archive
mkdir -p $home/.config/containers
printf '[containers]\npids_limit = 0\n' > $home/.config/containers/containers.conf
cp bb.tar $home
chown -R me:me $home
as_me() { # COMMAND...
    (cd $home && setpriv --reuid me --regid me --init-groups env -i HOME=$home PATH="$PATH" TERM=dumb XDG_RUNTIME_DIR=/run/user/1500 \
        DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1500/bus "$@")
}
as_me podman import --quiet --change CMD=/bin/sh bb.tar bb > /dev/null || give_up "podman imports an image"
at_exit as_me podman system reset --force

manager=cgroupfs
p() { as_me podman --cgroup-manager $manager --runtime "$runtime" "$@"; }
run() { p run --rm --network none "$@"; }

compare "run: the program's status" ends_with 7 run bb sh -c 'exit 7'
compare "run: 127 for a program that is not there" ends_with 127 run bb /nope
compare "run: 126 for a folder" ends_with 126 run bb /etc
map() { equal "0 1500 1" "$(run bb sh -c 'echo $(head -n 1 /proc/self/uid_map)')"; }
compare "run: root inside is the user" map
compare "run: --userns=keep-id" run --userns=keep-id bb sh -c 'test "$(id -u)" = 1500'
compare "run: --user" run --user 5:6 bb sh -c 'test "$(id -u):$(id -g)" = 5:6'
compare "run: --read-only --cap-drop all" run --read-only --cap-drop all bb sh -c '! touch /x && grep "CapBnd:.0000000000000000" /proc/self/status'
compare "run: --volume" run --volume $home:/v:ro bb sh -c 'test -e /v/bb.tar && ! touch /v/x'
compare "run: devices" run bb sh -c 'echo x > /dev/null && head -c 4 /dev/zero | wc -c | grep -q 4'
# Podman itself loses what one that ends at once has written, with any runtime: one in fifty.
in_terminal() {
    has /dev/pts/0 "$(for tries in 1 2 3; do as_me script -qec "podman --runtime $runtime run --rm -it --network none bb tty" /dev/null; done)"
}
compare "run -it: a terminal of its own" in_terminal

state_is() { [ "$(p inspect --format '{{.State.Status}} {{.State.ExitCode}}' c)" = "$1" ]; }
logged() { [ "$(p logs c)" = hello ]; }
in_background() { # COMMAND...: with container `c`
    p run --detach --name c --network none bb sh -c 'trap "exit 3" TERM; echo hello; while :; do sleep 0.05; done' > /dev/null && "$@"
    local status=$?
    p rm --force --time 0 c > /dev/null
    return $status
}
compare "exec: the program's status" in_background ends_with 5 p exec c sh -c 'exit 5'
compare "exec: 127 for a program that is not there" in_background ends_with 127 p exec c /nope
stopped() { wait_for 10 logged && p stop --time 20 c > /dev/null && state_is "exited 3"; }
compare "logs and stop" in_background stopped
copied() { p cp bb.tar c:/tmp/x && p exec c test -s /tmp/x; }
compare "cp" in_background copied
printf 'FROM bb\nRUN echo b > /file\nUSER 5\nRUN test "$(id -u)" = 5\n' > $home/Containerfile
built() { p build --isolation oci --network none --no-cache --quiet --tag built . > /dev/null && run built grep -q b /file; }
compare "build" built

manager=systemd
paused() { p pause c > /dev/null && state_is "paused 0" && p unpause c > /dev/null && state_is "running 0" && p exec c true; }
in_scope() { has "user@1500.service" "$(run --cgroupns host bb grep '^0::.*\.scope' /proc/self/cgroup)"; }
compare "--cgroup-manager systemd: in a scope of the user's manager" in_scope
compare "--cgroup-manager systemd: exec" in_background ends_with 5 p exec c sh -c 'exit 5'
compare "--cgroup-manager systemd: pause" in_background paused
compare "--cgroup-manager systemd: stop" in_background stopped
with_pod() {
    p pod create --name pod --infra-image bb --infra-command 'sleep 1000' --network none > /dev/null &&
        p run --detach --pod pod bb sleep 1000 > /dev/null && equal Running "$(p pod ps --format '{{.Status}}')"
    local status=$?
    p pod rm --force --time 0 pod > /dev/null
    return $status
}
compare "--cgroup-manager systemd: pods" with_pod
