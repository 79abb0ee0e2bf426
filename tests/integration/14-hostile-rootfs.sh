#!/bin/bash
# A rootfs whose links and files are written by an attacker, and change while a container is made of it. Each attack was
# seen to succeed against a build without the protection that stands in brackets before it.
. "$(dirname -- "$0")/lib.sh"
attack=$CTRD_BUILD/tests/attack/attack
[ -x "$attack" ] || give_up "tests/attack is built"

make_busybox_tree clean
mkdir clean/vol
outside=$PWD/outside # of the host; nothing may ever come into it
mkdir $outside bundle data
echo secret > data/file
ln -s ../tree bundle/rootfs
ctr-oci spec --bundle bundle
mv bundle/config.json base.json

# image COMMAND: a fresh rootfs, changed by a command that runs in it.
image() {
    rm -rf tree
    cp -a clean tree
    (cd tree && eval "$1")
}
with() { # FILTER
    jq ".process.terminal = false | .root.readonly = false | $1" base.json > bundle/config.json
}
payload() { # SCRIPT
    printf '.process.args = ["/bin/sh", "-c", %s]' "$(jq -Rs . <<< "$1")"
}
# contained SENTENCE: starts it; nothing is made outside, mounted on the host, or hangs.
contained() {
    local before after
    before=$(cut -d' ' -f5- /proc/self/mountinfo | sort | sha256sum)
    output=$(timeout 10 ctr-oci run --bundle bundle hostile 2>&1 < /dev/null)
    [ $? -ne 124 ] || output+=$'\nLOOT: it hangs'
    ctr-oci delete --force hostile
    after=$(cut -d' ' -f5- /proc/self/mountinfo | sort | sha256sum)
    [ "$before" = "$after" ] || output+=$'\nLOOT: mounts on the host'
    output+=$(find "$outside" -mindepth 1 -printf '\nLOOT: %p on the host')
    rm -rf -- "${outside:?}"/*
    check_not_contains "$1" LOOT "$output"
}

# [strictness() in steps.cpp] The kernel's file systems on links of the image, wherever they lead: CVE-2019-18837,
# CVE-2019-19921, CVE-2023-27561, CVE-2023-28642.
for name in proc sys dev; do
    for target in vol "$outside" ../../../../../../../..$outside; do
        image "rm -r $name; ln -s $target $name"
        with "$(payload 'echo ran')"
        contained "/$name as a link to ${target/$PWD/HOST} puts nothing on the host"
        check_contains "and is refused" "Too many levels of symbolic links" "$output"
    done
done
# [strictness() and RESOLVE_IN_ROOT together] Without file systems of its own on them, devices and links would be made
# where the image's links lead: CVE-2026-41579, CVE-2026-47766.
bare='.mounts |= map(select(.destination == "/proc"))'
for name in dev dev/pts dev/shm dev/null dev/ptmx dev/fd; do
    image "rm -rf $name; ln -s $outside$([ $name = dev ] || echo /made) $name"
    with "$bare | $(payload 'echo ran')"
    contained "/$name as a link leads to nothing on the host"
done
for target in "$outside/made" /proc/sysrq-trigger; do
    image "ln -s $target dev/console; mkdir dev/pts"
    with ".mounts |= map(select(.destination | IN(\"/proc\", \"/dev/pts\"))) | .process.terminal = true | $(payload 'echo ran')"
    output=$(timeout 10 script -qec 'ctr-oci run --bundle bundle hostile' /dev/null 2>&1)
    check_contains "/dev/console as a link to ${target/$PWD/HOST} is refused (CVE-2025-52565)" "Too many levels of symbolic links" "$output"
done
check_equal "and nothing is made where it leads" "" "$(ls $outside)"

# [RESOLVE_NO_SYMLINKS in open_terminal] What stands in for the container's own terminals: those of a neighbour, for
# one, which an image may be given as a volume; who owns them would read along. The others fail as what they are.
image "mkdir -p other dev/pts; ln -s ../../other/ptmx dev/pts/ptmx"
with "$bare | .mounts += [{\"destination\": \"/other\", \"type\": \"devpts\", \"source\": \"devpts\", \"options\": [\"newinstance\", \"ptmxmode=0666\"]}]
    | .process.terminal = true | $(payload 'echo ran')"
output=$(timeout 10 script -qec 'ctr-oci run --bundle bundle hostile' /dev/null 2>&1)
check_contains "a terminal of another devpts, by a link, is refused" "Too many levels of symbolic links" "$output"
for fake in 'mkfifo dev/pts/ptmx' 'echo > dev/pts/ptmx' 'mknod dev/pts/ptmx c 5 2' 'ln -s ../../vol dev/pts/ptmx'; do
    image "mkdir dev/pts; $fake"
    with "$bare | .process.terminal = true | $(payload 'echo ran')"
    output=$(timeout 10 script -qec 'ctr-oci run --bundle bundle hostile' /dev/null 2>&1)
    check_contains "a terminal from '$fake' is refused" "ctr-oci:" "$output"
done

# [RESOLVE_IN_ROOT, which refuses these even without RESOLVE_NO_MAGICLINKS] Links through procfs: until the pivot,
# /proc/self/root of the child is the host's.
for link in /proc/self/root /proc/1/root /proc/self/cwd /proc/thread-self/root /proc/self/task/1/root; do
    image "ln -s $link$outside gate"
    with ".mounts += [{\"destination\": \"/gate/made\", \"type\": \"bind\", \"source\": \"$PWD/data\", \"options\": [\"bind\"]}] | $(payload 'echo ran')"
    contained "a mount through a link to $link makes nothing on the host"
    with ".process.cwd = \"/gate/made\" | $(payload 'cat ../../data/file; touch LOOT; echo ran')"
    contained "nor does a working folder"
    with ".linux.devices = [{\"type\": \"c\", \"path\": \"/gate/made\", \"major\": 1, \"minor\": 3}] | $(payload 'echo ran')"
    contained "nor a device"
done

# [O_EXCL and O_NOFOLLOW in make_file_raw] Links in what an image brings for the usual mounts: CVE-2024-5154, CVE-2024-9341, CVE-2026-55686.
for target in "$outside/made" ../../../../../../../../../..$outside/made; do
    image "for n in mtab resolv.conf hosts hostname; do ln -sf $target etc/\$n; done; ln -s $(dirname $target) work"
    with "$(for n in mtab resolv.conf hosts hostname; do
        echo -n ".mounts += [{\"destination\": \"/etc/$n\", \"type\": \"bind\", \"source\": \"$PWD/data/file\", \"options\": [\"bind\"]}] | "; done) .process.cwd = \"/work/a/b\" | $(payload 'echo ran')"
    contained "files of /etc that are links to ${target/$PWD/HOST} put nothing on the host"
done

# [RESOLVE_IN_ROOT] CVE-2021-30465, CVE-2024-45310: a folder on the way to a mount point is exchanged for a link while
# the mount point is looked up and made. The attacker has the image's volume in a container of his own.
race() { # DESTINATION TARGET COUNT
    image "mkdir -p vol/dir; ln -s $2 vol/link"
    with ".process.args = [\"/attack\", \"swap\", \"/vol/dir\", \"/vol/link\"]
        | .mounts += [{\"destination\": \"/attack\", \"type\": \"bind\", \"source\": \"$attack\", \"options\": [\"bind\"]},
                      {\"destination\": \"/vol\", \"type\": \"bind\", \"source\": \"$PWD/tree/vol\", \"options\": [\"bind\"]}]"
    mv bundle attacker && mkdir bundle && ln -s ../tree bundle/rootfs
    ctr-oci run --detach --bundle attacker attacker > swapping 2>&1 < /dev/null
    wait_for 5 grep -q swapping swapping
    with ".mounts += [{\"destination\": \"$1/made/here\", \"type\": \"bind\", \"source\": \"$PWD/data\", \"options\": [\"bind\"]},
                      {\"destination\": \"$1/tmpfs\", \"type\": \"tmpfs\", \"source\": \"t\"},
                      {\"destination\": \"$1/file\", \"type\": \"bind\", \"source\": \"$PWD/data/file\", \"options\": [\"bind\"]}]
        | .linux.devices = [{\"type\": \"p\", \"path\": \"$1/node\"}] | .process.cwd = \"$1/cwd\" | .process.args = [\"/bin/true\"]"
    for ((i = 0; i < $3; i++)); do ctr-oci run --bundle bundle victim; done > race 2>&1
    started=$(($3 - $(grep -c ctr-oci: race)))
    check "the attacker exchanges all the while" test "$(ctr-oci state attacker | jq -r .status)" = running
    ctr-oci delete --force attacker
    rm -rf bundle && mv attacker bundle
}
for target in $outside /proc/self/root$outside ../../../../../../../../../../..$outside; do
    race /vol/dir "$target" 100
    check_equal "100 starts beside a link that comes and goes to ${target/$PWD/HOST} make nothing on the host ($started ran)" \
        "" "$(find $outside -mindepth 1 | head -3)"
    check_not_contains "nor mount anything there" "$outside" "$(cat /proc/self/mountinfo)"
    rm -rf -- "${outside:?}"/*
done

# [clone_null_device takes the host's] CVE-2025-31133: what masks a file is not a link of the image's to something that
# the payload would like to have there.
image 'mkdir vol/dev; ln -s /proc/sys/kernel/core_pattern vol/dev/null'
with "$bare | .mounts += [{\"destination\": \"/dev\", \"type\": \"bind\", \"source\": \"$PWD/tree/vol/dev\", \"options\": [\"bind\"]}]
    | .linux.maskedPaths = [\"/proc/keys\"] | $(payload 'test -c /proc/keys || echo LOOT; cat /proc/keys; echo ran')"
contained "a masked file is not covered by what the image has as /dev/null"
check_contains "but by the host's" ran "$output"

# [write_proc has a procfs of its own] CVE-2025-52881: a sysctl that the container may set is written to no other file,
# whatever lies over /proc.
image 'mkdir -p vol/net/ipv4; ln -s ../../secret vol/net/ipv4/ip_forward; echo kept > vol/secret'
echo kept > secret
for over in /proc /proc/sys; do
    mkdir -p tree/vol/sys
    ln -sfn ../net tree/vol/sys/net
    with ".mounts += [{\"destination\": \"$over\", \"type\": \"bind\", \"source\": \"$PWD/tree/vol\", \"options\": [\"bind\"]},
                      {\"destination\": \"/true\", \"type\": \"proc\", \"source\": \"proc\"}]
        | .linux.maskedPaths = [] | .linux.readonlyPaths = [] | .linux.sysctl = {\"net.ipv4.ip_forward\": \"1\"}
        | $(payload 'test $(cat /true/sys/net/ipv4/ip_forward) = 1 || echo LOOT; echo ran')"
    contained "with an attacker's folder over $over a sysctl is set all the same"
    check_contains "and the container starts" ran "$output"
    check_equal "and the attacker's file is as it was" kept "$(cat tree/vol/secret)"
done

# [write_proc] CVE-2019-16884: a security label goes to the kernel or nowhere, never to a file that an image has over /proc.
image 'mkdir -p vol/1/attr/apparmor vol/self/attr; for n in 1/attr/exec 1/attr/apparmor/exec self/attr/exec; do echo kept > vol/$n; done'
with ".mounts += [{\"destination\": \"/proc\", \"type\": \"bind\", \"source\": \"$PWD/tree/vol\", \"options\": [\"bind\"]}]
    | .linux.maskedPaths = [] | .linux.readonlyPaths = [] | .process.apparmorProfile = \"no-such-profile\" | $(payload 'echo LOOT: without its profile')"
contained "with an attacker's folder over /proc a payload does not start without its AppArmor profile"
check_contains "and the message says so" "cannot set the AppArmor profile 'no-such-profile'" "$output"
check_equal "nor is anything written there" kept "$(cat tree/vol/1/attr/exec tree/vol/1/attr/apparmor/exec tree/vol/self/attr/exec | sort -u)"

# [O_PATH in make_file_raw, and no opening of what is there] A mount point that is a FIFO or a device is not opened.
image 'mkfifo etc/hosts vol/fifo; mkdir etc/dir; ln -s /vol/fifo etc/link'
for place in /etc/hosts /etc/link; do
    with ".mounts += [{\"destination\": \"$place\", \"type\": \"bind\", \"source\": \"$PWD/data/file\", \"options\": [\"bind\"]}]
        | $(payload "cat $place; echo ran")"
    contained "a file is bound on a FIFO at $place"
    check_contains "and nothing waits for a writer" "secret" "$output"
done
with ".process.cwd = \"/vol/fifo\" | $(payload 'echo ran')"
contained "a FIFO as the working folder does not hang"
with ".linux.maskedPaths += [\"/vol/fifo\"] | .linux.readonlyPaths += [\"/etc/hosts\"] | $(payload 'echo ran')"
contained "nor does one that is masked"
check_contains "and it starts" ran "$output"
