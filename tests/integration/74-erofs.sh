#!/bin/bash
# layers = "erofs": layers that are files. What runs from them, with and without a loop device, and what is left afterwards.
# What is in such files is 75-layers.py's.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
needs ctrctl jq busybox losetup mkfs.ext4
. "$(dirname -- "$0")/declared.sh"
. "$(dirname -- "$0")/images.sh"

work=$(mktemp -d /var/tmp/erofs.XXXXXX)
at_exit rm -rf "$work"
cd "$work" || exit 1
settings=/etc/ctrd/images.toml
mkdir -p /etc/ctrd && at_exit rm -f $settings
make_loop_devices

layered_trees
docker_archive web.tar host.example/web:1 '{"Entrypoint": ["/bin/sh", "-c"], "User": "web"}' one.tar two.tar three.tar
cp -a three four && echo 4 > four/etc/four && ln -s /etc four/link && tar -C four -cf four.tar .
docker_archive more.tar host.example/more:1 '{"Entrypoint": ["/bin/sh", "-c"]}' one.tar two.tar three.tar four.tar

inside() { ctrctl exec "$1" sh -c "$2"; }
layer_kinds() { find /var/lib/ctrd/layers -mindepth 1 -maxdepth 1 -printf '%y\n' | sort | uniq -c | xargs; }
mounts_of_erofs() { grep -c ' - erofs ' /proc/self/mountinfo; }

run_all() { # KIND LOOPS: with LOOPS loop devices while a container of three layers runs
    local kind=$1 loops=$2 before i
    before=$(mounts_of_erofs)
    echo 'layers = "erofs"' > $settings
    check "$kind: an image is loaded" ctrctl image load web.tar
    check_equal "$kind: its layers are files" "3 f" "$(layer_kinds)"
    check_equal "$kind: which only root sees" "600 0:0" "$(stat -c '%a %u:%g' /var/lib/ctrd/layers/* | sort -u)"
    check_equal "$kind: a run sees them stacked: deleted, hidden, written over; and its user" "33 x dir=z k=1 3" \
        "$(ctrctl run host.example/web:1 'echo $(id -u) $(test -e /etc/b || echo x) dir=$(ls /dir) k=$(cat /keep/k) $(cat /etc/a)')"
    check_equal "$kind: it may write, for itself" "new x" "$(ctrctl run -u 0 host.example/web:1 'echo new > /etc/a; cat /etc/a'
        ) $(ctrctl run -u 0 host.example/web:1 'grep -q new /etc/a || echo x')"
    check_equal "$kind: each file has a number of its own, on one file system" "ok" "$(ctrctl run -u 0 host.example/web:1 \
        'test $(stat -c %d / /etc/a /keep/k /dir/z | sort -u | wc -l) = 1 && test $(stat -c %i /etc/a /keep/k /dir/z | sort -u | wc -l) = 3 && echo ok')"
    check_equal "$kind: detached, too" "3" "$(name=$(ctrctl run -d -u 0 host.example/web:1 'cat /etc/a; sleep 3133337') && sleep 0.2
        ctrctl exec "$name" cat /etc/a; ctrctl rm -f "$name" > /dev/null)"

    printf 'image = "host.example/web:1"\ncommand = ["sleep 3133337"]\nuser = "0"\nstart = "manual"\n' > plain.toml
    declare_container plain < plain.toml
    declare_container private < <(cat plain.toml; echo 'private-users = "pick"')
    declare_container forgets < <(cat plain.toml; echo 'volatile = "overlay"')
    declare_container fixed < <(cat plain.toml; echo 'read-only = true')
    check "$kind: a declared one starts" systemctl start ctr@plain
    check_equal "$kind: from as many loop devices as it needs" "$loops" "$(loops_of /var/lib/ctrd/layers | wc -l)"
    check "$kind: and writes" inside plain 'echo mine > /etc/mine; rm /keep/k; echo over >> /dir/z'
    check "$kind: it is started again" systemctl restart ctr@plain
    check_equal "$kind: and what it wrote is there" "mine gone 2 over" \
        "$(inside plain 'cat /etc/mine; test -e /keep/k || echo gone; cat /dir/z' | xargs)"
    check "$kind: one with users of its own starts" systemctl start ctr@private
    check_equal "$kind: the image's ids are its own there" "0:0 7:8 33" "$(inside private 'stat -c %u:%g /bin /home/web/.. | sort -u
        stat -c %u:%g /keep > /dev/null; mkdir /own && chown 7:8 /own && stat -c %u:%g /own; id -u web' | xargs)"
    check_equal "$kind: and outside they are not the host's" yes \
        "$([ "$(stat -c %u "/var/lib/ctrd/containers/private/"*/upper/own)" = 7 ] && awk '{ if ($2 >= 524288) print "yes" }' \
            "/proc/$(property private MainPID)/uid_map")"
    check "$kind: one that forgets" systemctl start ctr@forgets
    check "$kind: writes" inside forgets 'echo x > /etc/mine'
    check "$kind: one that is read-only" systemctl start ctr@fixed
    check_status "$kind: does not" 1 inside fixed 'echo x > /etc/mine'
    check_equal "$kind: what they run from can't be written to by anybody in it" "" \
        "$(inside plain 'awk "/ erofs /" /proc/mounts; ls -d /dev/loop* 2> /dev/null')"

    check_equal "$kind: the differences are those that were made" "C /dir/z A /etc/mine D /keep/k" \
        "$(ctrctl diff plain | grep -e ' /dir/' -e mine -e ' /keep/' | xargs)"
    check "$kind: they become an image" ctrctl commit plain host.example/mine:1
    check_equal "$kind: whose layer is a file" "4 f" "$(layer_kinds)"
    check_equal "$kind: and which runs" "mine gone 2 over" \
        "$(ctrctl run -u 0 host.example/mine:1 'cat /etc/mine; test -e /keep/k || echo gone; cat /dir/z' | xargs)"
    check_equal "$kind: all of it comes out as a tar" "2 over" "$(ctrctl export plain | tar -xOf - dir/z | xargs)"
    check "$kind: and as an archive" ctrctl image save -o saved.tar host.example/mine:1
    check "$kind: which folders take" ctrctl image load --store "$work/folders" saved.tar
    rm -rf "$work/folders"
    check "$kind: a look finds the store whole" ctrctl image verify

    check "$kind: a container goes on while its image's name moves on" ctrctl image load more.tar
    check "$kind: prune leaves what it runs from" ctrctl image prune --all
    check_equal "$kind: and it reads on" 3 "$(inside plain 'cat /etc/a')"
    for i in plain private forgets fixed; do systemctl stop "ctr@$i"; done
    check_equal "$kind: stopped, no loop device is left" 0 "$(loops_of /var/lib/ctrd/layers | wc -l)"

    # A start that is killed at any moment: the mounts were its own.
    for i in {1..30}; do
        systemctl start --no-block ctr@plain
        sleep "0.0$((RANDOM % 50 + 10))"
        systemctl kill -s KILL ctr@plain 2> /dev/null
        systemctl stop ctr@plain 2> /dev/null
    done
    systemctl reset-failed ctr@plain 2> /dev/null
    wait_for 50 sh -c '[ -z "$(systemctl list-units --plain --no-legend "ctr@plain.service" --state=active,activating,deactivating)" ]'
    check_equal "$kind: 30 starts that are killed leave no loop device" 0 "$(loops_of /var/lib/ctrd/layers | wc -l)"
    check_equal "$kind: and no mount" "$before" "$(mounts_of_erofs)"
    check "$kind: it starts again" systemctl start ctr@plain
    systemctl stop ctr@plain
    rm /etc/ctrd/containers/{plain,private,forgets,fixed}.toml
    check "$kind: all of them go" ctrctl apply
    check "$kind: and the images" ctrctl image prune --all
    check_equal "$kind: of which nothing is left" "" "$(find /var/lib/ctrd/layers /var/lib/ctrd/tmp /var/lib/ctrd/containers -mindepth 1)"
}

# --- on a file system from which the kernel can't mount files ----------------------------------------------------------
mount -t tmpfs -o mode=700 store /var/lib/ctrd && at_exit umount -l /var/lib/ctrd
run_all "through loop devices" 3

ctrctl image load web.tar > /dev/null
mv /dev/loop-control control
check_status "without loop devices a run is refused" 125 ctrctl run host.example/web:1 true
check_contains "which says what is missing" "a loop device: cannot open '/dev/loop-control'" "$output"
check_contains "and why it is wanted" "Linux 6.12" "$output"
mv control /dev/loop-control

# --- on one from which it can ------------------------------------------------------------------------------------------
umount -l /var/lib/ctrd
truncate -s 512M disk
mkfs.ext4 -q disk
mount -o loop disk /var/lib/ctrd || give_up "an ext4 is mounted"
if [ "$(printf '%s\n6.12\n' "$(uname -r)" | sort -V | head -n 1)" = 6.12 ]; then
    run_all "from the file itself" 0
else
    run_all "from a disk, through loop devices" 3
fi
umount -l /var/lib/ctrd
