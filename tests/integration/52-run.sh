#!/bin/bash
# ctrctl run: a container in the foreground, of a folder or a bundle.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
needs ctrctl jq busybox

at_exit rm -rf /srv/tree /srv/bundle
make_busybox_tree /srv/tree
run() {
    ctrctl run --rootfs /srv/tree "$@"
}
left() {
    find /run/ctrd/adhoc /run/ctr-oci -mindepth 1 2> /dev/null
    systemctl list-units --all --plain --no-legend 'ctr-*.scope'
}

check_equal "stdout is the command's" hello "$(run -- echo hello)"
check_equal "so is stdin" HELLO "$(printf hello | run -- tr a-z A-Z)"
check_equal "so is stderr" oops "$(run -- sh -c 'echo oops >&2' 2>&1 > /dev/null)"
check_status "it ends with the command's code" 7 run -- sh -c 'exit 7'
check_status "or with 128 + N" 137 run -- sh -c 'kill -9 $$; sleep 5; exit 137'
check_equal "the command is PID 1 in namespaces of its own" "1 1" "$(run -- sh -c 'echo $$ $(ls -d /proc/[0-9]* | grep -c "/1$")')"
check_equal "it sees nothing but loopback" lo "$(run -- ls /sys/class/net | xargs)"
check_contains "--network=host is the host's" "$(hostname)" "$(run --hostname "$(hostname)" --network=host -- hostname)"
check_equal "user, folder, variable and host name" "65534 /tmp v box" \
    "$(run -u nobody -w /tmp -e A=v --hostname box -- sh -c 'echo $(id -u) $PWD $A $(hostname)')"
check_status "--read-only" 1 run --read-only -- touch /x
check_equal "the command's own options are its own" "--name -t" "$(run -- echo --name -t)"
check_status "a command that is not there is 127" 127 run -- /bin/nosuch
check_status "one that can't be executed is 126" 126 run -- /etc/passwd

# --- a bundle --------------------------------------------------------------------------------------------------------
mkdir /srv/bundle
ln -s /srv/tree /srv/bundle/rootfs
jq -n '{ociVersion: "1.0.2", root: {path: "/srv/tree"}, process: {cwd: "/", args: ["echo", "from the bundle"], env: ["PATH=/bin"]},
    linux: {namespaces: [{type: "pid"}, {type: "mount"}]}}' > /srv/bundle/config.json
before=$(sha256sum /srv/bundle/config.json)
check_equal "a bundle's own command is the default" "from the bundle" "$(ctrctl run --bundle /srv/bundle)"
check_equal "another one takes its place" "mine" "$(ctrctl run --bundle /srv/bundle -- echo mine)"
check_equal "a path may be relative" "from the bundle" "$(cd /srv && ctrctl run --bundle bundle)"
check_equal "the bundle is not written to" "$before" "$(sha256sum /srv/bundle/config.json)"

# --- while it runs ---------------------------------------------------------------------------------------------------
ctrctl run --name box --rootfs /srv/tree -- sh -c 'trap "echo heard; exit 5" TERM; echo up; while :; do sleep 0.05; done' > output &
pid=$!
check "it runs" wait_for 10 grep -q up output
check_equal "it is a scope in machine.slice" "machine.slice active" \
    "$(systemctl show --value -p Slice ctr-box.scope) $(systemctl is-active ctr-box.scope)"
check_equal "its bundle is private" "700 600" "$(stat -c %a /run/ctrd/adhoc/box /run/ctrd/adhoc/box/config.json | xargs)"
check_status "its name is taken" 1 run --name box -- true
check_contains "and the message says by whom" "the name 'box' is already in use by another 'ctrctl run'" "$output"
check_equal "which does it no harm" active "$(systemctl is-active ctr-box.scope)"
kill -TERM $pid
wait $pid
check_equal "a signal is the command's, and so is the code" 5 $?
check_equal "it was heard" "up heard" "$(xargs < output)"
check "nothing of it is left" wait_for 5 sh -c '! systemctl is-active -q ctr-box.scope'
check_equal "nothing of any is left" "" "$(left)"

# --- killed by force -------------------------------------------------------------------------------------------------
ctrctl run --name box --rootfs /srv/tree -- sh -c 'trap exit TERM; echo up; while :; do sleep 0.0876; done' > output &
pid=$!
at_exit ctr-oci delete --force box
wait_for 10 grep -q up output
kill -KILL $pid
wait $pid 2> /dev/null
check "the container of a killed ctrctl is told to end" wait_for 15 sh -c '! systemctl is-active -q ctr-box.scope'
check "its name is free again" wait_for 10 ctrctl run --name box --rootfs /srv/tree -- true
check "nothing of it is left" wait_for 5 sh -c '[ -z "$(find /run/ctrd/adhoc -mindepth 1)" ]'

# --- without ctrd, without the bus -----------------------------------------------------------------------------------
systemctl stop ctrd.service
check_equal "it needs no ctrd" hello "$(run -- echo hello)"
check_equal "and starts none" inactive "$(systemctl is-active ctrd.service)"
without_systemd() { # in a mount namespace where /run/systemd is empty, as on a machine without systemd
    unshare -m sh -c 'mount -t tmpfs none /run/systemd && exec "$@"' sh "$@"
}
check_equal "it needs no systemd" hello "$(without_systemd ctrctl run --rootfs /srv/tree -- echo hello)"
check_status "and has the command's code there too" 9 without_systemd ctrctl run --rootfs /srv/tree -- sh -c 'exit 9'
check_equal "nothing of any is left" "" "$(left)"
