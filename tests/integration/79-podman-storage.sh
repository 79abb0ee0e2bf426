#!/bin/bash
# Images out of Podman's storage, without Podman: what comes, what is told, and what a changed storage can't do.
. "$(dirname -- "$0")/lib.sh"
needs ctrctl jq podman python3
. "$(dirname -- "$0")/images.sh"

work=$(mktemp -d /var/lib/containers/podman-storage.XXXXXX) # in the test bed not on an overlay
at_exit rm -rf "$work"
cd "$work" || exit 1
driver=overlay
pod() { podman --root "$work/$driver" --runroot "/run/pod-$driver" --storage-driver $driver "$@"; }
pull() { ctrctl image pull --store "$work/store" "containers-storage:[$work/$driver]$1"; }
# All of a tree; of a device, which is a deleted file's mark, not when it was made.
tree() { (cd "$1" && find . -mindepth 2 \( -type c -printf '%P %y %m\n' -o -printf '%P %y %m %U:%G %s %T@ %n %l\n' \) | sort && tar --sort=name --mtime=@0 -cf - ./* | sha256sum); }
at_exit sh -c "umount '$work'/*/overlay 2> /dev/null; rm -rf /run/pod-overlay /run/pod-vfs"

# What tars are awkward about, in the second of three layers.
layered_trees
long=$(printf 'long%.0s' {1..45})
mkdir -p "two/$long"
echo in > "two/$long/file"
ln "two/$long/file" two/hard
ln -s "$long/file" two/soft
: > two/empty
echo odd > "two/$(printf 'not-utf8-\377')"
truncate -s 3M two/sparse && echo end >> two/sparse
head -c 300000 /dev/urandom > two/random
chown 1234:5678 two/random
chmod 4755 two/random
tar -C two -cf two.tar .
docker_archive web.tar host.example/team/web:1 '{"Cmd": ["/bin/true"], "Env": ["A=b"]}' one.tar two.tar three.tar
ctrctl image load --store direct web.tar > /dev/null || give_up "an image is loaded"

for driver in overlay vfs; do
    pod load -q -i web.tar > /dev/null || give_up "podman loads it ($driver)"
    check "an image comes from Podman's storage ($driver)" pull host.example/team/web:1
    check_contains "under its name there ($driver)" "host.example/team/web:1@sha256:" "$output"
    check_equal "with the same layers ($driver)" "$(ls direct/layers)" "$(ls store/layers)"
    check "the same to their bytes, owners and times ($driver)" diff <(tree direct/layers) <(tree store/layers)
    check "and the store is whole ($driver)" ctrctl image verify --store store
    check_equal "and has nothing half done ($driver)" "" "$(ls store/tmp)"
    check_equal "where it came from is remembered ($driver)" "containers-storage:$work/$driver" \
        "$(ctrctl image inspect --store store host.example/team/web:1 | jq -r .source)"
    rm -rf store
done

driver=overlay
# --- names ------------------------------------------------------------------------------------------------------------
id=$(pod image inspect host.example/team/web:1 | jq -r '.[0].Id')
check "the end of its name will do" pull web:1
check_contains "it is stored under the whole one" "host.example/team/web:1@" "$output"
check "and the beginning of its id" pull "${id:0:12}"
pod tag host.example/team/web:1 localhost/other/web:1 localhost/latest
check "latest is what a name without a tag means" pull latest
check_status "what could be two is refused" 1 pull web:1
check_contains "and both are named" "'host.example/team/web:1', 'localhost/other/web:1'" "$output"
check_status "an image that is not there is an error" 1 pull nothing:1
check_contains "that says so" "no image there is called 'nothing:1'" "$output"
check_status "a folder without a storage, too" 1 ctrctl image pull --store store "containers-storage:[$work/two]web:1"
check_contains "with what it was looked for" "no images of the drivers overlay and vfs" "$output"
check_status "a registry's options say nothing about it" 2 ctrctl image pull --tls-verify "containers-storage:web:1"
check_status "a folder must be absolute" 2 ctrctl image pull "containers-storage:[overlay@x]web:1"
printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\n' "$work/overlay" > storage.conf
check "storage.conf says where the storage is" \
    env CONTAINERS_STORAGE_CONF="$work/storage.conf" ctrctl image pull --store store containers-storage:latest

# --- an image made there ----------------------------------------------------------------------------------------------
mkdir context
echo new > context/new
printf 'FROM scratch\nCOPY new /new\nCOPY new /etc/a\n' > context/Containerfile
check "Podman builds an image" pod build -q -t localhost/built:2 context
check "which comes, too" pull built:2
check_equal "as the very same one" "$(pod image inspect localhost/built:2 | jq -r '.[0].Digest')" \
    "$(ctrctl image inspect --store store localhost/built:2 | jq -r .digest)"

# --- while Podman writes ----------------------------------------------------------------------------------------------
python3 -c '
import fcntl, sys, time
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()' overlay/overlay-layers/layers.lock < <(until [ -e unlock ]; do sleep 0.1; done) > locked &
wait_for 30 test -s locked
pull latest > pulled 2>&1 &
sleep 2
check_equal "a pull waits while Podman writes" "" "$(cat pulled)"
touch unlock
check "and goes on when it has" wait_for 30 grep -q localhost/latest pulled
wait

# --- a storage that was changed ---------------------------------------------------------------------------------------
layer=$(jq -r --arg id "$id" '.[] | select(.id == $id).layer' overlay/overlay-images/images.json)
layer=$(jq -r --arg id "$layer" '.[] | select(.id == $id).parent' overlay/overlay-layers/layers.json)
rm -rf store
refused() { # SENTENCE PART
    check_status "$1" 1 pull host.example/team/web:1
    check_contains "which the message says" "$2" "$output"
    check_equal "and nothing is stored" "" "$(find store/layers store/tags -mindepth 1)"
}
cp -a overlay/overlay/"$layer"/diff/random kept
printf X | dd of=overlay/overlay/"$layer"/diff/random bs=1 seek=3000 conv=notrunc 2> /dev/null
refused "a file that was changed there is noticed" "not what its manifest says"
echo short > overlay/overlay/"$layer"/diff/random
refused "one that was cut" "is shorter than it was"
ln -sf /etc/shadow overlay/overlay/"$layer"/diff/random
refused "a link in a file's place leads nowhere" "random' of a layer: Too many levels of symbolic links"
rm overlay/overlay/"$layer"/diff/random
mkfifo overlay/overlay/"$layer"/diff/random
refused "a pipe in a file's place" "is not a file any more"
rm overlay/overlay/"$layer"/diff/random
cp -a kept overlay/overlay/"$layer"/diff/random
config=$(grep -l '"A=b"' overlay/overlay-images/"$id"/=*)
cp -a "$config" kept.config
sed -i 's/"A=b"/"A=c"/' "$config"
refused "a config that was changed there is noticed" "the image's config is not"
cp -a kept.config "$config"
check "and as it was, it comes" pull host.example/team/web:1
check "the built one, too" pull built:2
mv overlay/overlay-layers/"$layer".tar-split.gz kept.gz
ctrctl image pull --store third "containers-storage:[$work/overlay]host.example/team/web:1" > third.text 2>&1
check_contains "where the list of a layer is missing, there is another way" "podman save" "$(cat third.text)"
check "which is one" sh -c "mv kept.gz '$work/overlay/overlay-layers/$layer.tar-split.gz'; podman --root '$work/overlay' \
    --runroot /run/pod-overlay --storage-driver overlay save -q --format oci-archive host.example/team/web:1 | ctrctl image load --store third -"
check_equal "to the same layers" "$(ls direct/layers)" "$(ls third/layers)"

# --- what came there compressed ---------------------------------------------------------------------------------------
pod save -q --format oci-archive -o compressed.tar localhost/built:2
pod rmi -f localhost/built:2 > /dev/null
pod load -q -i compressed.tar > /dev/null
check_contains "an image that Podman has from compressed layers" gzip "$(cat overlay/overlay-images/*/manifest)"
check "comes from its storage" ctrctl image pull --store fourth "containers-storage:[$work/overlay]built:2"
check_equal "with the same layers" "$(ctrctl image inspect --store store localhost/built:2 | jq -c '[.layers[].chainId]')" \
    "$(ctrctl image inspect --store fourth localhost/built:2 | jq -c '[.layers[].chainId]')"
sed -i 's/"created":"20/"created":"19/' overlay/overlay-images/"$(pod image inspect localhost/built:2 | jq -r '.[0].Id')"/=*
check_status "but not where its config was changed there" 1 ctrctl image pull --store fifth "containers-storage:[$work/overlay]built:2"
check_contains "which the message says" "the image's config is not" "$output"
