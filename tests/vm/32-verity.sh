#!/bin/bash
# fs-verity on unpacked layers, on an ext4 that has it: what is sealed, what a look at it finds, and what runs from it.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/../integration/lib.sh"
needs ctrctl jq busybox python3 mkfs.ext4 losetup
. "$(dirname -- "$0")/../integration/declared.sh"
. "$(dirname -- "$0")/../integration/images.sh"

settings=/etc/ctrd/images.toml
mkdir -p /etc/ctrd /var/lib/ctrd && at_exit rm -f $settings
work=$(mktemp -d /var/tmp/verity.XXXXXX)
at_exit rm -rf "$work"
cd "$work" || exit 1

layered_trees
head -c 300000 /dev/urandom > two/data
ln two/data two/linked
touch two/empty
tar -C two -cf two.tar .
docker_archive web.tar host.example/web:1 '{"Entrypoint": ["sh", "-c"]}' one.tar two.tar three.tar

# --- where the file system has none -----------------------------------------------------------------------------------
echo 'verity = "require"' > $settings
check_status "where the file system has no fs-verity 'require' is refused" 1 ctrctl image load --store plain web.tar
check_contains "which says why" "has no fs-verity, which 'verity' in $settings requires" "$output"
check_contains "and what to do" "tune2fs -O verity" "$output"
check_equal "nothing is left of it" "" "$(find plain ! -type d ! -name lock)"
echo 'verity = "auto"' > $settings
check "with 'auto' the image is loaded all the same" ctrctl image load --store plain web.tar
check_equal "and nothing is sealed or recorded" "" "$(lsattr -R plain/layers 2> /dev/null | awk '$1 ~ /V/'; ls -A plain/verity)"

# --- where it has it --------------------------------------------------------------------------------------------------
truncate -s 256M disk
mkfs.ext4 -q -b 4096 -O verity disk
modprobe loop
disk=$(losetup --find --show disk) && at_exit losetup -d "$disk"
mount "$disk" /var/lib/ctrd || give_up "an ext4 with fs-verity is mounted"
at_exit umount -l /var/lib/ctrd
echo 'verity = "require"' > $settings
check "where the file system has it an image is loaded" ctrctl image load web.tar
mapfile -t layers < <(ctrctl image inspect host.example/web:1 | jq -r '.layers[].chainId' | tr : -)
layer=/var/lib/ctrd/layers/${layers[1]}
record=/var/lib/ctrd/verity/${layers[1]}
unsealed() { lsattr -R /var/lib/ctrd/layers 2> /dev/null | awk '/^-/ && $1 !~ /V/ { print $2 }' | while read -r file; do
    [ ! -f "$file" ] || [ -L "$file" ] || echo "${file##*/}"; done; }
check_equal "all of its files are sealed" "" "$(unsealed)"
check_status "nobody writes to one, root neither" 2 sh -c 'echo x >> "$1"' - "$layer/data"
check_contains "since the kernel forbids it" "Operation not permitted" "$output"
check_contains "nor to the record" V "$(lsattr "$record" | cut -d' ' -f1)"

# What fs-verity(7)'s descriptor of a file of one block is: the block's hash is the root of its tree.
measure_of() {
    python3 - "$1" << 'PYTHON'
import hashlib, struct, sys
data = open(sys.argv[1], "rb").read()
root = hashlib.sha256(data.ljust(4096, b"\0")).digest()
print(hashlib.sha256(struct.pack("<BBBBIQ", 1, 1, 12, 0, 0, len(data)) + root.ljust(64, b"\0") + bytes(32 + 144)).hexdigest())
PYTHON
}
echo 2 > z # dir/z of the layer
check_equal "the record has what its content measures" "$(measure_of z) dir/z" "$(tr '\0' '\n' < "$record" | grep -x '.* dir/z')"
check_equal "each of its files once, in order" "data dir/z empty linked" \
    "$(tr '\0' '\n' < "$record" | sed -n 's/^[^ ]* //p' | xargs)"
mkdir sparse && truncate -s 1100M sparse/holes && truncate -s 5000 sparse/small
tar -C sparse --sparse -cf sparse.tar .
check "a file of a GiB of holes" ctrctl image import sparse.tar host.example/sparse:1
check_equal "is not sealed, a small one is" holes "$(unsealed)"
check "which a look knows" ctrctl image verify --quick
ctrctl image rm host.example/sparse:1 && ctrctl image prune > /dev/null
check "a look at the whole store finds it whole" ctrctl image verify

# --- what runs from it ------------------------------------------------------------------------------------------------
check_equal "a container runs from it" "3 2" "$(ctrctl run host.example/web:1 'cat /etc/a /dir/z' | xargs)"
declare_container writes < <(printf '%s\n' 'image = "host.example/web:1"' 'command = ["sleep 3133337"]' 'start = "manual"')
check "one starts" systemctl start ctr@writes
check "and writes to what is sealed below" ctrctl exec writes sh -c 'echo more >> /data; chmod 600 /linked; echo new > /new'
check "which becomes an image" ctrctl commit writes host.example/written:1
chain=$(ctrctl image inspect host.example/written:1 | jq -r '.layers[-1].chainId' | tr : -)
check_contains "whose layer is sealed, too" V "$(lsattr "/var/lib/ctrd/layers/$chain/new" | cut -d' ' -f1)"
check "and which is saved" sh -c 'ctrctl image save -o written.tar host.example/written:1'
check "and loaded elsewhere" ctrctl image load --store /var/lib/ctrd/other written.tar
rm -rf /var/lib/ctrd/other

# --- what a look finds ------------------------------------------------------------------------------------------------
for i in 1 2; do touch -r "/var/lib/ctrd/layers/${layers[i]}" "time.$i"; done
touch -r "/var/lib/ctrd/layers/${layers[2]}/etc" time.3
mv "$layer/data" kept 2> /dev/null # to another file system: a copy
cp -a kept "$layer/data"
cp -a "$layer/linked" "/var/lib/ctrd/layers/${layers[2]}/more"
check_status "a look that reads no file finds damage" 1 ctrctl image verify --quick
check_contains "a file that was replaced by a copy" "'data': it has no fs-verity any more" "$output"
check_contains "and one too many" "'more': it is not of this layer" "$output"
rm "$layer/data" "/var/lib/ctrd/layers/${layers[2]}/more"
mv "/var/lib/ctrd/layers/${layers[2]}/etc/a" "$layer/data"
check_status "other damage, too" 1 ctrctl image verify --quick
check_contains "another file that is sealed" "'data': the kernel measures another content" "$output"
check_contains "and one that is gone" "'etc/a': it is missing" "$output"
mv "$layer/data" "/var/lib/ctrd/layers/${layers[2]}/etc/a"
touch -r time.3 "/var/lib/ctrd/layers/${layers[2]}/etc"
ln "$layer/linked" "$layer/data"
for i in 1 2; do touch -r "time.$i" "/var/lib/ctrd/layers/${layers[i]}"; done
check "put back it is whole" ctrctl image verify --quick

# --- a block that the disk has damaged --------------------------------------------------------------------------------
block=$(python3 - "$layer/data" << 'PYTHON'
import fcntl, struct, sys
with open(sys.argv[1], "rb") as file:
    print(struct.unpack("i", fcntl.ioctl(file, 1, struct.pack("i", 20)))[0])  # FIBMAP: where its block 20 is
PYTHON
)
sync
dd if=/dev/urandom of=disk bs=4096 seek="$block" count=1 conv=notrunc status=none
echo 3 > /proc/sys/vm/drop_caches
check_status "a damaged block is an error to who reads it" 1 md5sum "$layer/data"
check_contains "which is the disk's" "Input/output error" "$output"
check_status "in a container as well" 1 ctrctl run host.example/web:1 'cat /linked > /dev/null'
check_status "a look at the whole store finds it" 1 ctrctl image verify
check_contains "and names it" "'data'" "$output"

check_status "while a container runs from it the layer is not replaced" 1 ctrctl image verify --repair
check_contains "which is said" "container 'writes' runs from it" "$output"
systemctl stop ctr@writes
check "afterwards it is made anew" ctrctl image verify --repair
check "and can be read" cmp two/data "$layer/data"
check_contains "sealed as before" V "$(lsattr "$layer/data" | cut -d' ' -f1)"

# --- layers that came before ------------------------------------------------------------------------------------------
rm $settings
echo 4 > three/etc/more && tar -C three -cf four.tar .
docker_archive before.tar host.example/before:1 '{}' four.tar
ctrctl image load before.tar > /dev/null
check_contains "without the file nothing is sealed" more "$(unsealed)"
echo 'verity = "require"' > $settings
check "with 'require' such a layer is made anew by --repair" ctrctl image verify --quick --repair
check_contains "with the reason" "did not require fs-verity yet" "$output"
check_equal "and sealed" "" "$(unsealed)"

# --- away -------------------------------------------------------------------------------------------------------------
rm /etc/ctrd/containers/writes.toml && systemctl daemon-reload
ctrctl image rm host.example/web:1 host.example/written:1 host.example/before:1
check "what nobody uses goes" ctrctl image prune
check_equal "with its records" "" "$(ls -A /var/lib/ctrd/verity /var/lib/ctrd/layers | grep -v :)"
