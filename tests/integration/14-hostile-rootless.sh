#!/bin/bash
# What the payload of an unprivileged user's container could do to that user's session: it is root of a user namespace
# and owns on the host what the user owns. Each attack was seen to succeed against a build without the protection that
# stands in brackets before it.
. "$(dirname -- "$0")/lib.sh"
needs newuidmap

useradd --create-home --uid 1501 other
at_exit userdel --remove other
home=/home/other
make_busybox_tree $home/tree
mkdir $home/bundle
ln -s ../tree $home/bundle/rootfs
chown -R other:other $home
loginctl enable-linger other
at_exit loginctl disable-linger other
session=/sys/fs/cgroup/user.slice/user-1501.slice/user@1501.service
check "the user has a service manager of their own" wait_for 60 test -S /run/user/1501/systemd/private
check_equal "and owns its cgroup" other "$(stat -c %U $session)"
as_me() { # COMMAND...
    (cd $home && setpriv --reuid other --regid other --init-groups env -i HOME=$home PATH="$PATH" XDG_RUNTIME_DIR=/run/user/1501 "$@")
}
as_me ctr-oci spec --rootless --bundle bundle
cp $home/bundle/config.json base.json

# attack FILTER SCRIPT [WRAPPER...]: what a payload with it says.
attack() {
    local filter=$1 script=$2
    shift 2
    jq ".process.terminal = false | $filter | .process.args = [\"/bin/sh\", \"-c\", $(jq -Rs . <<< "$script")]" base.json > $home/bundle/config.json
    as_me "$@" ctr-oci run --bundle bundle hostile 2>&1
}
scope=(systemd-run --quiet --user --scope -p Delegate=yes)
below=${session#/sys/fs/cgroup}
# Who can write there moves its processes out of their limits, freezes or kills the session.
write="cat /sys/fs/cgroup/cgroup.controllers > /dev/null && echo seen
    for d in /sys/fs/cgroup /sys/fs/cgroup$below /sys/fs/cgroup$below/app.slice; do
        mkdir \$d/made && echo LOOT: made in \$d && rmdir \$d/made
        echo 0 > \$d/cgroup.procs && echo LOOT: moved to \$d
    done"

# [protect_cgroups in make_plan.cpp] CVE-2023-25809: /sys is the host's, bound with all below it, "ro" is of its first mount alone.
for how in direct "${scope[0]}"; do
    wrapper=()
    [ "$how" = direct ] || wrapper=("${scope[@]}")
    for filter in . 'del(.linux.namespaces[] | select(.type == "cgroup"))' '(.mounts[] | select(.destination == "/sys")).source = "/sys/"'; do
        output=$(attack "$filter" "$write" "${wrapper[@]}")
        check_not_contains "the session's cgroups can't be written to below a read-only /sys ($how, $filter)" LOOT "$output"
        check_contains "which shows them" seen "$output"
    done
done
check_contains "as is seen where /sys is bound without 'ro'" LOOT \
    "$(attack '(.mounts[] | select(.destination == "/sys")).options -= ["ro"]' "$write" "${scope[@]}")"

# [BindCgroup binds the container's own] Without a cgroup namespace the kernel gives nobody a cgroup2 of their own in a user namespace.
output=$(attack 'del(.linux.namespaces[] | select(.type == "cgroup")) | .mounts += [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]}]' \
    "ls -d /sys/fs/cgroup/*.slice /sys/fs/cgroup/*/*.slice && echo LOOT; cat /sys/fs/cgroup/cgroup.procs > /dev/null && echo seen" "${scope[@]}")
check_not_contains "a cgroup mount of the host's namespace shows no cgroup but the container's own" LOOT "$output"
check_contains "which it shows" seen "$output"
check_equal "and the session is as it was" active "$(as_me systemctl --user is-active default.target)"
