#!/bin/bash
# private-users: containers whose users are not the host's, of images and of folders; what is on the disk stays as it is.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
needs ctrctl jq busybox
. "$(dirname -- "$0")/declared.sh"
. "$(dirname -- "$0")/images.sh"
at_exit sh -c 'rm -rf /var/lib/ctrd/*'
. "$(dirname -- "$0")/private-users.sh"

# --- of a folder ------------------------------------------------------------------------------------------------------
# In the test bed not on an overlay, which can't be mapped.
folder=$(mktemp -d /var/lib/containers/private.XXXXXX) && chmod 755 "$folder"
at_exit rm -rf "$folder"
make_busybox_tree "$folder/tree"
mkdir -p "$folder/data" "$folder/tree/var"
chown 7:8 "$folder/data"
declare_container folder << TOML
rootfs = "$folder/tree"
command = ["/bin/sh", "-c", "echo inside > /var/inside; sleep 3133337"]
start = "manual"
private-users = "700000:3000"
[[mount]]
source = "$folder/data"
target = "/plain"
[[mount]]
source = "$folder/data"
target = "/mapped"
options = ["idmap"]
TOML
check "a container of a folder has the ids that it is given" systemctl start ctr@folder
check_equal "and no more" "0 700000 3000" "$(ctrctl exec folder cat /proc/self/uid_map | xargs)"
check "what it writes is root's on the disk" wait_for 60 test -e "$folder/tree/var/inside"
check_equal "as it sees it" "0:0 0" "$(stat -c %u:%g "$folder/tree/var/inside") $(ctrctl exec folder stat -c %u /var/inside)"
mkdir -p /srv/comes
echo come > /srv/comes/file
check "ctrctl bind makes a place in it" ctrctl bind --mkdir folder /srv/comes /deep/place
check_equal "which is its root's, and shows what was bound" "0:0 come" \
    "$(ctrctl exec folder stat -c %u:%g /deep | xargs) $(ctrctl exec folder cat /deep/place/file)"
check_equal "a folder of the host is nobody's there, unless it is mapped" "65534:65534 7:8" "$(ctrctl exec folder stat -c %u:%g /plain /mapped | xargs)"
check_equal "a run in the foreground has a range of its own" "0 0:0 yes" "$(ctrctl run --private-users=pick --rootfs "$folder/tree" -- /bin/sh -c \
    'echo $(id -u) $(stat -c %u:%g /bin) $(awk "{ if (\$2 >= 524288) print \"yes\" }" /proc/self/uid_map)')"
check_equal "which is given back" "" "$(ls /var/lib/ctrd/users | grep '^run-')"
check_equal "identity: the same ids, and no rights outside" "0 0 65536" \
    "$(ctrctl run --private-users=identity --rootfs "$folder/tree" -- /bin/cat /proc/self/uid_map | xargs)"
check_equal "the host's network, too" "0 yes" \
    "$(ctrctl run --private-users=pick --network=host --rootfs "$folder/tree" -- /bin/sh -c 'echo $(id -u) $(test -e /sys/class/net/lo && echo yes)')"
check_status "the host's root can't be given away" 2 ctrctl run --private-users=0:10 --rootfs "$folder/tree" -- /bin/true
check_contains "and the message says what to write" identity "$output"
