#!/bin/bash
# ctrctl image: archives into the store, what it shows of them, and what a hostile one can't do.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
needs ctrctl jq umoci

work=$(mktemp -d /var/tmp/images.XXXXXX)
at_exit rm -rf "$work"
cd "$work" || exit 1
images() {
    local verb=$1
    shift
    ctrctl image "$verb" --store "$work/store" "$@"
}

# docker_archive FILE NAME TREE: as `docker save` writes it.
docker_archive() {
    rm -rf a && mkdir a
    tar -C "$3" -cf a/l.tar .
    jq -n --arg id "sha256:$(sha256sum < a/l.tar | cut -d' ' -f1)" '{architecture: "amd64", os: "linux",
        config: {Cmd: ["/bin/sh"], User: "7"}, rootfs: {type: "layers", diff_ids: [$id]}}' > a/c.json
    jq -n --arg name "$2" '[{Config: "c.json", RepoTags: [$name], Layers: ["l.tar"]}]' > a/manifest.json
    tar -C a -cf "$1" c.json manifest.json l.tar
}

mkdir -p tree/etc tree/deep
echo hello > tree/etc/motd
touch tree/suid tree/deep/group
chown 12:34 tree/deep tree/deep/group
chmod 2775 tree/deep
chmod 4755 tree/suid
ln -s /etc/shadow tree/link
ln tree/etc/motd tree/hard
mkfifo tree/fifo
mknod tree/null c 1 3

# --- in ---------------------------------------------------------------------------------------------------------------
docker_archive docker.tar host.example/web:1 tree
check "an archive of 'docker save' is loaded" images load docker.tar
check_contains "its name and digest are said" "host.example/web:1@sha256:" "$(cat "$_work/output")"
check "from stdin too, compressed as a whole" sh -c "gzip < docker.tar | ctrctl image load --store store - host.example/piped:1"
check "a tar of a file system becomes an image" images import a/l.tar host.example/tree:1 --command /bin/sh --command -c

umoci init --layout oci && umoci new --image oci:one && umoci insert --image oci:one --rootless tree /srv > /dev/null
check "an OCI layout is loaded from its folder" images load oci host.example/oci:1
tar -C oci -cf oci.tar .
check "and from a tar of it, which is the same image" images load oci.tar host.example/same:1
check_equal "with the same digest" 1 "$(images list --json | jq '[.[] | select(.name | test("oci|same")) | .digest] | unique | length')"

# --- what is there ----------------------------------------------------------------------------------------------------
state() { # FOLDER: type, mode, owner, time and links of all in it
    (cd "$1" && find . -printf '%P %y %m %U:%G %T@ %n %l\n' | sort)
}
chain=$(images inspect host.example/web:1 | jq -r '.layers[0].chainId' | tr : -)
check_equal "the unpacked tree has the modes, owners, times and links of the one that was packed" \
    "$(state tree | sed 's/\.[0-9]* / /')" "$(state "store/layers/$chain" | sed 's/\.[0-9]* / /')"
check_equal "the store is root's alone" 700 "$(stat -c %a store)"
check_equal "the image's config is shown" '/bin/sh 7' "$(images inspect host.example/web:1 | jq -r '.config.command[0] + " " + .config.user')"
check_contains "images share a layer" host.example/piped:1 "$(images tree host.example/web:1)"
check_status "an image that is not there is 3" 3 images inspect host.example/none

# --- hostile ----------------------------------------------------------------------------------------------------------
cp docker.tar lies.tar
printf X | dd of=lies.tar bs=1 seek=$(($(grep -abo hello docker.tar | head -n 1 | cut -d: -f1))) conv=notrunc 2> /dev/null
check_status "a layer that was changed on its way is refused" 1 images load lies.tar host.example/lies:1
check_contains "and the message says so" "as the image's config says" "$(cat "$_work/output")"
mkdir evil out
tar -C tree -cf up.tar --transform 's,^,../../../../../../../../'"$work"'/out/,' etc/motd -P
check_status "a file above the root is refused" 1 images import up.tar host.example/up:1
ln -s "$work/out" evil/l
tar -C evil -cf through.tar l
rm evil/l && mkdir evil/l && echo x > evil/l/f
tar -C evil -rf through.tar l/f
check_status "a file through a link out of it is refused" 1 images import through.tar host.example/through:1
check_equal "nothing was written outside" "" "$(ls -A out)"
head -c 300M /dev/zero > evil/zeros
tar -C evil -czf bomb.tar zeros
check_status "a bomb is refused" 1 images import bomb.tar host.example/bomb:1
check_equal "nothing of all that has a name" 0 "$(images list --quiet | grep -cE 'lies|up|through|bomb')"
check_equal "and nothing is left in tmp" "" "$(ls -A store/tmp)"

# --- killed -----------------------------------------------------------------------------------------------------------
head -c 20M /dev/urandom > tree/large
docker_archive large.tar host.example/large:1 tree
# either_form: layers that come are folders, or EROFS files.
either_form() {
    rm -f /etc/ctrd/images.toml
    [ $((RANDOM % 2)) = 0 ] || echo 'layers = "erofs"' > /etc/ctrd/images.toml
}
mkdir -p /etc/ctrd && at_exit rm -f /etc/ctrd/images.toml
for _ in $(seq "${CTRD_TEST_CYCLES:-12}"); do
    either_form
    { timeout -s KILL "0.$((RANDOM % 300 + 10))" ctrctl image load --store store large.tar --replace; } > /dev/null 2>&1
done
check "after SIGKILLs at any moment the next load ends well" images load large.tar --replace
check "and the store is whole" images verify

# kill_soon MOST WORDS...: ctrctl, killed within so many milliseconds. Counts those that were in time.
killed=0
kill_soon() {
    local most=$1 status
    shift
    either_form
    { timeout -s KILL "$(printf '0.%03d' $((RANDOM % most + 1)))" ctrctl "$@" --store store; } > /dev/null 2>&1
    status=$?
    [ $status -ne 137 ] || killed=$((killed + 1))
}
tar -C tree -cf large-tree.tar .
for _ in $(seq "${CTRD_TEST_CYCLES:-6}"); do kill_soon 300 image import large-tree.tar host.example/imported:1; done
check "after SIGKILLs of imports, too" images import large-tree.tar host.example/imported:1
check "and the store is whole" images verify
images rm host.example/imported:1
images rm host.example/large:1
images prune > /dev/null
contents() { (cd store && find blobs layers tags partial tmp | sort); }
before=$(contents)
killed=0 cycles=${CTRD_TEST_CYCLES:-6}
for ((tries = 0; killed < cycles && tries < 10 * cycles; tries++)); do # how long one takes is the machine's business
    either_form
    images load large.tar --replace > /dev/null 2>&1
    images rm host.example/large:1
    kill_soon 40 image prune
done
rm -f /etc/ctrd/images.toml
check_equal "so many prunes were killed in the middle" "$cycles" "$killed"
check "after SIGKILLs of prunes at any moment the store is whole" images verify
check "the next one" images prune
check_equal "takes what they have left, and nothing else" "$before" "$(contents)"
check "and what was removed half is loaded again" images load large.tar
check "whole" images verify

# --- read from a pipe -------------------------------------------------------------------------------------------------
contents_now=$(contents)
check_status "an archive whose reader is cut in the middle is refused" 1 sh -c "head -c 9000000 large.tar | ctrctl image load --store store - host.example/cut:1"
check_contains "and the message says so" "damaged" "$output"
check_status "one that is compressed as a whole, too" 1 sh -c "gzip -1 < large.tar | head -c 9000000 | ctrctl image load --store store - host.example/cut:1"
check_contains "and the message says so" "ends too early" "$output"
mkfifo slow
{ head -c 9000000 large.tar; sleep 3133337; } > slow &
writer=$!
ctrctl image load --store store - host.example/cut:1 < slow > /dev/null 2> cut.log &
reader=$!
check "one that comes no further" wait_for 60 sh -c 'test "$(stat -c %s store/tmp/*/archive 2> /dev/null)" -ge 8000000'
kill -INT $reader
wait $reader
check_equal "is ended by ^C" 130 $?
kill "$(pgrep -P $writer)"
wait $writer 2> /dev/null
check_equal "nothing of them is left" "$contents_now" "$(contents)"

# --- no room ----------------------------------------------------------------------------------------------------------
mkdir full && mount -t tmpfs -o size=30m tmpfs full && at_exit umount -l "$work/full"
check "a small disk holds a small image" ctrctl image load --store full/store docker.tar
check_status "and not a large one" 1 ctrctl image load --store full/store large.tar
check_contains "which is said" "No space left on device" "$output"
check_equal "nothing is left of it" "" "$(ls -A full/store/tmp full/store/partial | grep -v :)"
check "what was there is whole" ctrctl image verify --store full/store
check "and has room again" dd if=/dev/zero of=full/file bs=1M count=25
umount full

# --- max-size ---------------------------------------------------------------------------------------------------------
mkdir -p /etc/ctrd && at_exit rm -f /etc/ctrd/images.toml
echo 'max-size = "10M"' > /etc/ctrd/images.toml
bounded() { ctrctl image "$1" --store bounded "${@:2}"; }
check "a store with a bound takes what fits" bounded load docker.tar
contents_now=$(find bounded | sort)
check_status "and not what does not" 1 bounded load large.tar
check_contains "which is said, and what to do" "'max-size' in /etc/ctrd/images.toml allows" "$output"
check_equal "it is as it was" "$contents_now" "$(find bounded | sort)"
check "and whole" bounded verify
echo 'max-sise = 1' > /etc/ctrd/images.toml
check_status "a mistake in the file is an error" 1 bounded load docker.tar
check_contains "with its place" "/etc/ctrd/images.toml:1:1: unknown key 'max-sise'" "$output"
echo 'max-size = "200M"' > /etc/ctrd/images.toml
check "with more room it is taken" bounded load large.tar
check_contains "prune --all would take names that no container has" "would remove the name 'host.example/large:1'" "$(bounded prune --all -n)"
check "one that was just given is not old enough" bounded prune --all --until 1h
check "and stays" bounded inspect host.example/large:1
check "without that it goes" bounded prune --all
check_equal "with all that it led to" "" "$(find bounded/blobs bounded/layers -mindepth 2)"
check_status "a duration that is none" 2 bounded prune --all --until soon
rm /etc/ctrd/images.toml

# --- damaged ----------------------------------------------------------------------------------------------------------
images import a/l.tar host.example/gone:1 --command /bin/gone > /dev/null
images rm host.example/gone:1 # there is something for prune to take
for what in digest config; do
    blob=store/blobs/$(images inspect host.example/oci:1 | jq -r "if \"$what\" == \"digest\" then .digest else .config.digest end" | tr : /)
    mv "$blob" aside && echo '{"schemaVersion": 2, "damaged": ' > "$blob"
    contents_now=$(contents)
    check_status "while an image is damaged prune removes nothing ($what)" 1 images prune
    check_contains "and says what to do" "'ctrctl image verify' says what is damaged" "$output"
    check_equal "nor does it" "$contents_now" "$(contents)"
    check_status "which verify finds" 1 images verify
    check_contains "by its name" host.example/oci:1 "$output"
    check "an image that is whole runs on its way" images inspect host.example/web:1
    mv aside "$blob"
    check "whole again" images verify
done

# What runs is the unpacked layer: a change that no digest of a blob shows.
layer=$(find store/layers -mindepth 2 -maxdepth 2 -type f -size +1k -printf '%h\n' | head -n 1)
file=$(find "$layer" -maxdepth 1 -type f -size +1k | head -n 1)
damaged() { # SENTENCE WHAT
    check_status "$1 is found" 1 images verify
    check_contains "and named" "'${file##*/}': $2" "$output"
    check_contains "and what to do is said" "'ctrctl image verify --repair'" "$output"
    rm -f "$file" && cp -a aside "$file"
    touch -r folder "$layer"
    check "and is whole as it was" images verify
}
cp -a "$file" aside
cp -a --no-target-directory "$layer" folder
printf X | dd of="$file" conv=notrunc status=none && touch -r aside "$file"
damaged "a byte of a file that has its size and time" "its content"
chmod u+s "$file"
damaged "a mode" "its mode"
chown 7 "$file"
damaged "an owner" "its owner"
touch -d @1 "$file"
damaged "a time" "its time"
python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.x", b"y")' "$file"
damaged "an attribute" "its attributes"
rm "$file" && touch -r folder "$layer"
damaged "a file that is gone" "it is missing"
touch "$layer/more" && touch -r folder "$layer"
check_status "a file too many is found" 1 images verify
check_contains "and named, too" "'more': it is not of this layer" "$output"
rm "$layer/more" && touch -r folder "$layer"
printf X | dd of="$file" conv=notrunc status=none && touch -r aside "$file"
check "--quick reads no layer, so it does not see what no size and no fs-verity shows" images verify --quick
check "what was damaged is made anew from its blob" images verify --repair
check_contains "which is said" "repaired 'host.example/" "$output"
check "and is as it was" cmp aside "$file"
check_equal "with owner, mode and time" "$(stat -c '%u:%g %a %Y' aside)" "$(stat -c '%u:%g %a %Y' "$file")"
check "the whole store" images verify
rm "$file" && touch "$layer/more"
check_equal "in JSON it is said, too" true "$(images verify --repair --json=short | jq -r '.[0].repaired')"
check "and whole again" images verify
blob=store/blobs/$(images inspect host.example/web:1 | jq -r '.layers[0].blob' | tr : /)
printf X | dd of="$blob" conv=notrunc status=none
check_status "a blob that came from a file can't be fetched again" 1 images verify --repair
check_contains "which says where it came from" "it came from 'stdin', not from a registry" "$output"
check_contains "and what to do" "'ctrctl image load'" "$output"
check "what is unpacked is still there" test -d "$layer"
check "loaded again" images load docker.tar
check "it is whole" images verify
check_equal "where nothing is wrong JSON is an empty list" "[]" "$(images verify --json=short)"
check_equal "and nothing of it is left" "" "$(ls -A store/tmp)"

# --- out --------------------------------------------------------------------------------------------------------------
check "a name goes" images rm host.example/large:1
check "and what it alone led to goes with prune" images prune
check_equal "blobs, too" "" "$(find store/blobs -size +10M)"
check "the rest is whole" images verify
