#!/bin/bash
# ctr-oci without root: what an unprivileged user can do, alone, with newuidmap, and with a cgroup of their own.
. "$(dirname -- "$0")/lib.sh"
needs newuidmap

useradd --create-home --uid 1500 me
at_exit userdel --remove me
home=/home/me
make_busybox_tree $home/tree
mkdir $home/bundle
ln -s ../tree $home/bundle/rootfs
subuid=$(awk -F: '$1 == "me" { print $2 }' /etc/subuid)
check "the user has ids of their own to map" [ -n "$subuid" ]
chown -R me:me $home
loginctl enable-linger me
at_exit loginctl disable-linger me
check "the user has a service manager of their own" wait_for 20 test -S /run/user/1500/systemd/private

as_me() { # COMMAND...
    (cd $home && setpriv --reuid me --regid me --init-groups env -i HOME=$home PATH="$PATH" XDG_RUNTIME_DIR=/run/user/1500 "$@")
}
as_me ctr-oci spec --rootless --bundle bundle
cp $home/bundle/config.json plain.json

mapped='.linux.uidMappings = [{"containerID": 0, "hostID": 1500, "size": 1}, {"containerID": 1, "hostID": '$subuid', "size": 1000}] | .linux.gidMappings = .linux.uidMappings'
with() { # FILTER
    jq ".process.terminal = false | .root.readonly = false | $1" plain.json > $home/bundle/config.json
}
shell() { # SCRIPT [FILTER [GLOBAL-OPTION...]]
    with ".process.args = [\"/bin/sh\", \"-c\", $(jq -Rs . <<< "$1")] | ${2:-.}"
    as_me ctr-oci "${@:3}" run --bundle bundle t
}
see() { # SENTENCE EXPECTED SCRIPT [FILTER [GLOBAL-OPTION...]]
    check_equal "$1" "$2" "$(shell "${@:3}" 2>&1)"
}

see "a user runs a container, and is root in it" "0:0 0 1500 1" 'echo $(id -u):$(id -g) $(cat /proc/self/uid_map)'
see "its files are the user's own outside" ok 'echo x > /made && echo ok'
check_equal "and not root's" 1500 "$(stat -c %u $home/tree/made)"
see "with newuidmap there are more users inside" "5:6" 'echo $(id -u):$(id -g)' "$mapped | .process.user = {\"uid\": 5, \"gid\": 6}"
see "which are the user's own ids outside" ok 'echo x > /tmp/by5 && echo ok' "$mapped | .process.user = {\"uid\": 5, \"gid\": 6}"
check_equal "and no others" $((subuid + 4)) "$(stat -c %u $home/tree/tmp/by5)"
check_status "ids that are not the user's can't be mapped" 1 shell 'echo ran' \
    '.linux.uidMappings = [{"containerID": 0, "hostID": 0, "size": 1}] | .linux.gidMappings = .linux.uidMappings'
check_contains "and the message says who decides" "/etc/subuid" "$output"
see "a new network namespace has its loopback" lo 'ls /sys/class/net' '.linux.namespaces += [{"type": "network"}]'
see "devices are the host's, bound" ok 'echo x > /dev/null && head -c 4 /dev/zero | wc -c | grep -q 4 && echo ok'
see "rules for devices don't hinder" ok 'echo ok' '.linux.resources.devices = [{"allow": false, "access": "rwm"}]'
see "a profile is in force" "mkdir: can't create directory '/x': Function not implemented" 'mkdir /x' \
    '.linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}'

# The life of one in the background
with '.process.args = ["/bin/sleep", "1000"]'
check "a user starts one in the background" as_me ctr-oci run -d --bundle bundle life
check_equal "it is listed with its owner" me "$(as_me ctr-oci state life | jq -r .owner)"
check_equal "exec runs one more process in it, as its root" 0 "$(as_me ctr-oci exec life /bin/id -u 2>&1)"
check_equal "root sees none of it in its own list" "[]" "$(ctr-oci list --format json)"
check "it is deleted" as_me ctr-oci delete --force life
check_equal "and nothing of it is left" "" "$(ls /run/user/1500/ctr-oci)"

# In a delegated cgroup, where root could have a filter.
with '.process.args = ["/bin/true"] | .linux.resources.devices = [{"allow": false, "access": "rwm"}]'
check "nor do they there where there is a cgroup" \
    as_me systemd-run --quiet --user --scope -p Delegate=yes ctr-oci run --bundle bundle t

# Limits need a cgroup
limit='.linux.resources = {"pids": {"limit": 50}}'
check_status "limits without a cgroup to set them in are refused" 1 shell 'echo ran' "$limit"
check_contains "and the message says how to get one" "systemd-run --user --scope" "$output"
in_scope() { # GLOBAL-OPTION...: in a scope of the user's own manager, delegated
    with '.process.args = ["/bin/sleep", "1000"]'
    as_me systemd-run --quiet --user --scope -p Delegate=yes ctr-oci "$@" run -d --bundle bundle life
}
check "with a delegated cgroup" in_scope
cgroup=$(sed -n 's/^0:://p' "/proc/$(as_me ctr-oci state life | jq .pid)/cgroup")
check_contains "the container has its own below it" "user@1500.service/" "$cgroup"
check_contains "of its own name" "/ctr-oci-life" "$cgroup"
check "pause and resume work there" as_me sh -c "ctr-oci pause life && ctr-oci resume life"
check "kill --all too" as_me ctr-oci kill --all life KILL
wait_for 5 sh -c '! pgrep -u me -x sleep'
check "and it is deleted" as_me ctr-oci delete life
check "its cgroup is gone" [ ! -e "/sys/fs/cgroup$cgroup" ]
check "with --systemd-cgroup it is a scope of the user's manager" in_scope --systemd-cgroup
check_equal "with its name" active "$(as_me systemctl --user is-active ctr-life.scope)"
check "and it is deleted" as_me ctr-oci delete --force life
check "its scope goes with it" wait_for 5 sh -c '! systemctl --user --machine=me@ is-active ctr-life.scope'
