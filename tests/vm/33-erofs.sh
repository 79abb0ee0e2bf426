#!/bin/bash
# Layers that are EROFS files on Debian 12's kernel, which mounts them through loop devices; sealed by fs-verity, which holds
# for all of such a layer: names, modes and owners, too.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/../integration/lib.sh"
needs ctrctl jq busybox mkfs.ext4 losetup python3
. "$(dirname -- "$0")/../integration/declared.sh"
. "$(dirname -- "$0")/../integration/images.sh"

settings=/etc/ctrd/images.toml
mkdir -p /etc/ctrd /var/lib/ctrd && at_exit rm -f $settings
work=$(mktemp -d /var/tmp/erofs.XXXXXX)
at_exit rm -rf "$work"
cd "$work" || exit 1
layered_trees
head -c 300000 /dev/urandom > two/data && tar -C two -cf two.tar .
docker_archive web.tar host.example/web:1 '{"Entrypoint": ["sh", "-c"]}' one.tar two.tar three.tar

# --- a kernel that has none -------------------------------------------------------------------------------------------
echo 'install erofs /bin/false' > /etc/modprobe.d/no-erofs.conf && at_exit rm -f /etc/modprobe.d/no-erofs.conf
rmmod erofs 2> /dev/null
echo 'layers = "erofs"' > $settings
check_status "where the kernel has no EROFS it is refused" 1 ctrctl image load --store none web.tar
check_contains "which says why" "this kernel has no EROFS, which 'layers' in $settings asks for" "$output"
check_contains "and what does without" 'layers = "folders"' "$output"
check_equal "nothing is left of it" "" "$(find none ! -type d ! -name lock)"
rm /etc/modprobe.d/no-erofs.conf

# --- sealed -----------------------------------------------------------------------------------------------------------
truncate -s 256M disk
mkfs.ext4 -q -b 4096 -O verity disk
modprobe loop
disk=$(losetup --find --show disk) && at_exit losetup -d "$disk"
mount "$disk" /var/lib/ctrd || give_up "an ext4 with fs-verity is mounted"
at_exit umount -l /var/lib/ctrd
rmmod loop 2> /dev/null # no: it is in use
printf 'layers = "erofs"\nverity = "require"\n' > $settings
check "an image is loaded" ctrctl image load web.tar
check_equal "as files" "erofs erofs erofs" "$(ctrctl image inspect host.example/web:1 | jq -r '.layers[].form' | xargs)"
mapfile -t layers < <(ctrctl image inspect host.example/web:1 | jq -r '.layers[].chainId' | tr : -)
layer=/var/lib/ctrd/layers/${layers[1]}
check_equal "each is sealed" 3 "$(lsattr /var/lib/ctrd/layers | cut -d' ' -f1 | grep -c V)"
check_status "nobody writes to one" 2 sh -c 'echo x >> "$1"' - "$layer"
check_equal "and what it measures is recorded" 2 "$(tr '\0' '\n' < "/var/lib/ctrd/verity/${layers[1]}" | grep -c -E '^([0-9a-f]{64} |end)$')"
check "a look that reads nothing finds it whole" ctrctl image verify --quick
check "one that makes each anew, too" ctrctl image verify

# --- what runs from it ------------------------------------------------------------------------------------------------
check_equal "a container runs from it" "3 2" "$(ctrctl run host.example/web:1 'cat /etc/a /dir/z' | xargs)"
declare_container plain < <(printf '%s\n' 'image = "host.example/web:1"' 'command = ["sleep 3133337"]' 'start = "manual"' 'capabilities = ["ALL"]')
declare_container private < <(printf '%s\n' 'image = "host.example/web:1"' 'command = ["sleep 3133337"]' 'start = "manual"' 'private-users = "pick"')
check "a declared one starts" systemctl start ctr@plain
check_equal "through a loop device for each layer" 3 "$(loops_of /var/lib/ctrd/layers | wc -l)"
check_contains "for which its unit has the right" "loop" "$(property plain DeviceAllow)"
check_status "the container has it not" 1 ctrctl exec plain sh -c 'mknod /l b 7 0 && head -c 1 /l > /dev/null'
check_contains "the kernel forbids it" "Operation not permitted" "$output"
check "one with users of its own starts" systemctl start ctr@private
check_equal "the image's root is its own there" "0:0 7:8" "$(ctrctl exec private sh -c 'mkdir /own && chown 7:8 /own && stat -c %u:%g /bin /own' | xargs)"
check "it writes" ctrctl exec plain sh -c 'echo mine > /etc/mine; echo more >> /data'
check "that becomes an image" ctrctl commit plain host.example/written:1
check_equal "whose layer is sealed, too" 4 "$(lsattr /var/lib/ctrd/layers | cut -d' ' -f1 | grep -c V)"
systemctl stop ctr@plain ctr@private
check_equal "stopped, no loop device is left" 0 "$(loops_of /var/lib/ctrd/layers | wc -l)"

# --- what a look finds ------------------------------------------------------------------------------------------------
mv "$layer" kept
cp kept "$layer"
check_status "a file that was replaced by a copy is found without reading it" 1 ctrctl image verify --quick
check_contains "and named" "the EROFS file: it has no fs-verity any more: it is another file" "$output"
check "it is made anew" ctrctl image verify --repair
check_equal "sealed" 4 "$(lsattr /var/lib/ctrd/layers | cut -d' ' -f1 | grep -c V)"
block=$(python3 - "$layer" << 'PYTHON'
import fcntl, struct, sys
with open(sys.argv[1], "rb") as file:
    print(struct.unpack("i", fcntl.ioctl(file, 1, struct.pack("i", 20)))[0])  # FIBMAP: where its block 20 is
PYTHON
)
sync
dd if=/dev/urandom of=disk bs=4096 seek="$block" count=1 conv=notrunc status=none
echo 3 > /proc/sys/vm/drop_caches
check_status "a block that the disk has damaged is an error in a container" 1 ctrctl run host.example/web:1 'cat /data > /dev/null'
check_contains "and no other bytes" "error" "$output"
check_status "a look at the whole store finds it" 1 ctrctl image verify
check "and it is made anew" ctrctl image verify --repair
check_equal "with what was in it" "$(sha256sum < two/data)" "$(ctrctl run host.example/web:1 'cat /data' | sha256sum)"
rm /etc/ctrd/containers/{plain,private}.toml && systemctl daemon-reload
