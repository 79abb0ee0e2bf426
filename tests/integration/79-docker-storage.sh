#!/bin/bash
# Images out of Docker's storage, without its daemon: what comes, what is told, and what a changed storage can't do.
. "$(dirname -- "$0")/lib.sh"
needs ctrctl jq dockerd docker containerd python3
. "$(dirname -- "$0")/images.sh"

work=$(mktemp -d /var/lib/containers/docker-storage.XXXXXX) # in the test bed not on an overlay
at_exit rm -rf "$work"
cd "$work" || exit 1
systemctl start containerd
at_exit systemctl stop containerd
docker_on() { # DRIVER FOLDER
    systemd-run --quiet --unit=dockerd dockerd --bridge=none --iptables=false --storage-driver="$1" --data-root="$2" \
        --containerd=/run/containerd/containerd.sock
    wait_for 30 docker version
}
docker_off() { systemctl stop dockerd; }
at_exit docker_off
pull() { ctrctl image pull --store "$work/store" "docker-storage:[$data]$1"; }
# All of a tree; of a device, which is a deleted file's mark, not when it was made.
tree() { (cd "$1" && find . -mindepth 2 \( -type c -printf '%P %y %m\n' -o -printf '%P %y %m %U:%G %s %T@ %n %l\n' \) | sort && tar --sort=name --mtime=@0 -cf - ./* | sha256sum); }

# What tars are awkward about, in the second of three layers.
layered_trees
long=$(printf 'long%.0s' {1..45})
mkdir -p "two/$long"
echo in > "two/$long/file"
ln "two/$long/file" two/hard
ln -s "$long/file" two/soft
: > two/empty
truncate -s 3M two/sparse && echo end >> two/sparse
head -c 300000 /dev/urandom > two/random
chown 1234:5678 two/random
chmod 4755 two/random
tar -C two -cf two.tar .
docker_archive web.tar host.example/team/web:1 '{"Cmd": ["/bin/true"], "Env": ["A=b"]}' one.tar two.tar three.tar
ctrctl image load --store direct web.tar > /dev/null || give_up "an image is loaded"

for driver in overlay2 vfs; do
    data=$(mktemp -d "/var/lib/containers/docker-$driver.XXXXXX")
    at_exit rm -rf "$data"
    docker_on $driver "$data" || give_up "dockerd answers ($driver)" "$(journalctl -u dockerd | tail)"
    docker load -q -i web.tar > /dev/null || give_up "docker loads it ($driver)"
    docker tag host.example/team/web:1 short:2
    check "an image comes from Docker's storage while its daemon runs ($driver)" pull host.example/team/web:1
    check_contains "under its name there ($driver)" "host.example/team/web:1@sha256:" "$output"
    check_equal "with the same layers ($driver)" "$(ls direct/layers)" "$(ls store/layers)"
    check "the same to their bytes, owners and times ($driver)" diff <(tree direct/layers) <(tree store/layers)
    check "and the store is whole ($driver)" ctrctl image verify --store store
    check_equal "and has nothing half done ($driver)" "" "$(ls store/tmp)"
    check_equal "where it came from is remembered ($driver)" "docker-storage:$data" \
        "$(ctrctl image inspect --store store host.example/team/web:1 | jq -r .source)"
    id=$(docker image inspect --format '{{.Id}}' short:2)
    mkdir -p context && echo new > context/new
    printf 'FROM short:2\nCOPY new /new\nENV C=d\n' > context/Dockerfile
    DOCKER_BUILDKIT=0 docker build -q -t team/built:3 context > /dev/null || give_up "docker builds an image ($driver)"
    docker_off
    rm -rf store
    check "it comes when the daemon is stopped, too ($driver)" pull host.example/team/web:1
    check_equal "as the image that Docker has ($driver)" "$id" \
        "sha256:$(ctrctl image inspect --store store host.example/team/web:1 | jq -r .config.digest | sed s/sha256://)"
    check "one that was built there ($driver)" pull team/built:3
    check_contains "is called what Docker's short name stands for ($driver)" "docker.io/team/built:3@" "$output"
    [ $driver = vfs ] || rm -rf store
done

# --- names ------------------------------------------------------------------------------------------------------------
check "a short name will do" pull short:2
check_contains "and is stored under the whole one" "docker.io/library/short:2@" "$output"
check "the end of a name will do" pull web:1
check "and the beginning of an id" pull "${id:7:12}"
check_status "an image that is not there is an error" 1 pull nothing:1
check_contains "that says so" "no image there is called 'nothing:1'" "$output"
check_status "a folder without a storage, too" 1 ctrctl image pull --store store "docker-storage:[$work/two]web:1"
check_contains "with what it was looked for" "no images of the drivers overlay2, fuse-overlayfs and vfs" "$output"
check_status "a registry's options say nothing about it" 2 ctrctl image pull --tls-verify "docker-storage:web:1"
check_status "a folder must be absolute" 2 ctrctl image pull "docker-storage:[data@x]web:1"
mkdir -p /etc/docker
[ -e /etc/docker/daemon.json ] || at_exit rm -f /etc/docker/daemon.json
printf '{"data-root": "%s"}' "$data" > /etc/docker/daemon.json
check "daemon.json says where the storage is" ctrctl image pull --store store docker-storage:short:2

# --- a storage that was changed ---------------------------------------------------------------------------------------
rm -rf store
refused() { # SENTENCE PART
    check_status "$1" 1 pull host.example/team/web:1
    check_contains "which the message says" "$2" "$output"
    check_equal "and nothing is stored" "" "$(find store/layers store/tags -mindepth 1)"
}
chain=$(cd "$data/image/vfs/layerdb/sha256" && grep -lF "$(sha256sum < "$work/two.tar" | cut -d' ' -f1)" ./*/diff | cut -d/ -f2)
layer=$(< "$data/image/vfs/layerdb/sha256/$chain/cache-id")
file=$data/vfs/dir/$layer/random
cp -a "$file" kept
printf X | dd of="$file" bs=1 seek=3000 conv=notrunc 2> /dev/null
refused "a file that was changed there is noticed" "as the image's config says"
ln -sf /etc/shadow "$file"
refused "a link in a file's place leads nowhere" "random' of a layer: Too many levels of symbolic links"
rm "$file" && cp -a kept "$file"
config=$data/image/vfs/imagedb/content/sha256/${id#sha256:}
cp -a "$config" kept.config
sed -i 's/"A=b"/"A=c"/' "$config"
refused "a config that was changed there is noticed" "the image's config is not"
cp -a kept.config "$config"
printf '../../../../../etc' > "$data/image/vfs/layerdb/sha256/$chain/cache-id"
refused "an id that is a path is none" "the storage has an id that is none"
printf %s "$layer" > "$data/image/vfs/layerdb/sha256/$chain/cache-id"
mv "$data/image/vfs/layerdb/sha256/$chain/tar-split.json.gz" kept.gz
refused "where the list of a layer is missing" "does not say how layer"
check_contains "there is another way" "docker save" "$output"
mv kept.gz "$data/image/vfs/layerdb/sha256/$chain/tar-split.json.gz"
cp "$data/image/vfs/repositories.json" kept.json
for odd in '' '[]' '{"Repositories": []}' '{"Repositories": {"a": {"a:1": 7}}}' '{"Repositories": {"a": {"a:1": "sha256:../x"}}}' \
    '{"Repositories": {"a": 1}}'; do
    printf '%s' "$odd" > "$data/image/vfs/repositories.json"
    check_status "a list of images that is none is refused: $odd" 1 pull host.example/team/web:1
done
cp kept.json "$data/image/vfs/repositories.json"
check "and as it was, it comes" pull host.example/team/web:1
check_equal "to the same layers" "$(ls direct/layers)" "$(ls store/layers)"
