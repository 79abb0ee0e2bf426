# Images that a test makes itself. Source it after lib.sh.
# shellcheck shell=bash

# docker_archive FILE NAME CONFIG LAYER-TAR...: as `docker save` writes it. CONFIG is the JSON of the image's "config".
docker_archive() {
    local file=$1 name=$2 config=$3 layer ids=() names=()
    shift 3
    rm -rf archive && mkdir archive
    for layer; do
        cp "$layer" "archive/${#names[@]}.tar"
        ids+=("sha256:$(sha256sum < "$layer" | cut -d' ' -f1)")
        names+=("${#names[@]}.tar")
    done
    jq -n --argjson config "$config" '{architecture: "amd64", os: "linux", config: $config,
        rootfs: {type: "layers", diff_ids: $ARGS.positional}}' --args "${ids[@]}" > archive/c.json
    jq -n --arg name "$name" '[{Config: "c.json", RepoTags: [$name], Layers: $ARGS.positional}]' \
        --args "${names[@]}" > archive/manifest.json
    tar -C archive -cf "$file" .
}

# layered_trees: one.tar, two.tar and three.tar, a busybox tree of three layers. The second deletes /etc/b and hides what
# is in /dir, the third writes over /etc/a.
layered_trees() {
    make_busybox_tree one
    printf 'web:x:33:34:web:/home/web:/bin/sh\n' >> one/etc/passwd
    printf 'web:x:34:\nextra:x:40:web\n' >> one/etc/group
    mkdir -p one/dir one/keep one/home/web two/etc two/dir three/etc
    echo 1 | tee one/etc/a one/etc/b one/dir/x one/dir/y one/keep/k > /dev/null
    chown 7:8 one/dir
    touch two/etc/.wh.b two/dir/.wh..wh..opq
    echo 2 > two/dir/z
    echo 3 > three/etc/a
    local layer
    for layer in one two three; do tar -C $layer -cf $layer.tar .; done
}

# many_layers N: layers/0.tar (a busybox tree) to layers/N.tar, each of which writes over /top and adds /fI.
many_layers() {
    local i
    mkdir -p layers
    make_busybox_tree layers/tree && tar -C layers/tree -cf layers/0.tar . && rm -rf layers/tree
    for ((i = 1; i <= $1; i++)); do
        mkdir layers/t && echo "$i" > layers/t/top && touch "layers/t/f$i" && tar -C layers/t -cf "layers/$i.tar" . && rm -rf layers/t
    done
}

# make_loop_devices: a test bed has none of its own.
make_loop_devices() {
    local i
    [ -e /dev/loop-control ] || mknod -m 600 /dev/loop-control c 10 237
    for i in {0..63}; do [ -e "/dev/loop$i" ] || mknod -m 600 "/dev/loop$i" b 7 "$i"; done
}

# loops_of FOLDER: the loop devices whose files are on the same file system, also those whose file is gone.
loops_of() { losetup -a --noheadings -O NAME,BACK-MAJ:MIN | awk -v on="$(stat -c %Hd:%Ld "$1")" '$2 == on { print $1 }'; }
