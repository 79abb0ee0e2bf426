#!/bin/bash
# disk-max: a bound for what a container writes to its image, on file systems that count that.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/../integration/lib.sh"
needs ctrctl jq busybox mkfs.ext4 mkfs.xfs losetup
. "$(dirname -- "$0")/../integration/declared.sh"
. "$(dirname -- "$0")/../integration/images.sh"

mkdir -p /etc/ctrd/containers /var/lib/ctrd
work=$(mktemp -d /var/tmp/disk-max.XXXXXX)
at_exit rm -rf "$work"
cd "$work" || exit 1
layered_trees
docker_archive web.tar host.example/web:1 '{"Entrypoint": ["sh", "-c"]}' one.tar two.tar three.tar
modprobe loop

cp "$CTRD_BUILD/tests/attack/attack" . || give_up "tests/attack is built"

bounded() { # NAME [MORE]: declared, not started
    printf 'image = "host.example/web:1"\ncommand = ["sleep 3133337"]\nstart = "manual"\nprivate-users = "pick"\n%s\n' "${2:-}" > "/etc/ctrd/containers/$1.toml"
    _declared+=("$1")
}
inside() { ctrctl exec "$1" sh -c "$2"; }
megabytes() { inside "$1" "dd if=/dev/zero of=$2 bs=1M count=$3 2>&1"; }
# The projects that ctrd has made, and have a limit.
limits() { repquota -P -n /var/lib/ctrd 2> /dev/null | awk '/^#16[0-9]+ / && $5 > 0 { print $5 }' | xargs; }

# --- where nothing is counted -----------------------------------------------------------------------------------------
ctrctl image load web.tar > /dev/null
bounded none 'disk-max = "4M"'
check_status "where the file system counts nothing it is refused" 2 ctrctl apply
check_contains "with the place" "none.toml:5:" "$output"
check_contains "and the reason" "the file system of '/var/lib/ctrd' does not count what a container writes" "$output"
check_contains "and what to do" "tune2fs -O project -Q prjquota" "$output"
rm /etc/ctrd/containers/none.toml && ctrctl apply > /dev/null
ctrctl image rm host.example/web:1 && ctrctl image prune > /dev/null

check_all() { # KIND MESSAGE
    local kind=$1 message=$2
    ctrctl image load web.tar > /dev/null
    bounded a 'disk-max = "4M"'
    bounded b 'disk-max = "10M"'
    bounded c
    check "$kind: bounded containers are applied" ctrctl apply
    for name in a b c; do check "$kind: $name starts" systemctl start "ctr@$name"; done
    check "$kind: one writes what it may" megabytes a /three 3
    check_status "$kind: but not more" 1 megabytes a /more 3
    check_contains "$kind: and is told so" "$message" "$output"
    check "$kind: after it has removed something it may write again" inside a 'rm /more && echo x > /small && cat /small'
    check_status "$kind: what it changes of its image counts" 1 inside a 'cp -r /bin /copy && cp -r /bin /copy2'
    inside a 'rm -rf /copy /copy2'
    check "$kind: another has its own bound" megabytes b /eight 8
    check "$kind: and one without has none" megabytes c /fifteen 15
    check_equal "$kind: the file system knows two limits" "10240 4096" "$(limits | tr ' ' '\n' | sort | xargs)"

    check "$kind: with the next start" systemctl restart ctr@a
    check_status "$kind: the bound is still there" 1 megabytes a /more 3
    inside a 'rm -f /more'
    bounded a 'disk-max = "15M"'
    check "$kind: a larger one" sh -c 'ctrctl apply && systemctl restart ctr@a'
    check "$kind: holds from its start on" megabytes a /more 8
    bounded a 'disk-max = "1M"'
    check "$kind: one that is too small already" sh -c 'ctrctl apply && systemctl restart ctr@a'
    check_status "$kind: lets nothing more be written" 1 inside a 'head -c 100000 /dev/zero > /again'
    bounded a
    check "$kind: without the key" sh -c 'ctrctl apply && systemctl restart ctr@a'
    check "$kind: there is none" megabytes a /fifteen 15

    # What was there before it was bounded.
    inside c 'mkdir -p /deep/er && echo f > /deep/er/f && ln -s f /deep/er/l && mkfifo /deep/pipe && chmod 000 /deep/er/f'
    bounded c 'disk-max = "18M"'
    check "$kind: one that has written is bounded" sh -c 'ctrctl apply && systemctl restart ctr@c'
    check_status "$kind: what it had counts" 1 megabytes c /more 5
    check "$kind: its files can be renamed, its links, too" inside c 'rm -f /more; mv /deep/er/f /deep/g && mv /deep/er/l /l && mv /deep /moved'
    check_equal "$kind: and are as they were" "f 0 yes" "$(inside c 'cat /moved/g; stat -c %a /moved/g; test -L /l -a -p /moved/pipe && echo yes' | xargs)"
    # One that would rather not be counted.
    check "$kind: what attacks comes into it" ctrctl cp "$work/attack" c:/attack
    inside c 'mkdir -p /mine && chmod 755 /attack'
    check_equal "$kind: it can take nothing out of the count" "tried" "$(inside c '/attack project /mine; /attack project /' | grep -e LOOT -e tried | sort -u)"
    check_status "$kind: nor make files without end that take no block" 1 inside c 'mkdir /e && cd /e && i=0; while [ $i -lt 40 ]; do
        j=0; s=; while [ $j -lt 200 ]; do s="$s f$i-$j"; j=$((j + 1)); done; touch $s || exit 1; i=$((i + 1)); done'
    check_contains "$kind: and is told so" "$message" "$output"
    sed '/private-users/d; /disk-max/d' /etc/ctrd/containers/c.toml > d.toml
    declare_container d < d.toml
    check "$kind: one with the host's users, which can't be bounded" systemctl start ctr@d
    ctrctl cp "$work/attack" d:/attack
    check_contains "$kind: could" LOOT "$(inside d 'mkdir -p /mine; chmod 755 /attack; /attack project /mine')"

    for name in a b c d; do systemctl stop "ctr@$name"; rm "/etc/ctrd/containers/$name.toml"; done
    check "$kind: with the containers" sh -c 'ctrctl apply; ctrctl image prune --all'
    check_equal "$kind: their bounds go" "" "$(limits)"
    umount -l /var/lib/ctrd
}

truncate -s 300M ext4 xfs
mkfs.ext4 -q -O project,quota -E quotatype=prjquota ext4
mount -o loop,prjquota ext4 /var/lib/ctrd || give_up "an ext4 with project quotas is mounted" "$(dmesg | tail -n 3)"
at_exit umount -l /var/lib/ctrd
check_all ext4 "Disk quota exceeded"
mkfs.xfs -q xfs
mount -o loop,pquota xfs /var/lib/ctrd || give_up "an xfs with project quotas is mounted" "$(dmesg | tail -n 3)"
at_exit umount -l /var/lib/ctrd
check_all xfs "No space left on device"
