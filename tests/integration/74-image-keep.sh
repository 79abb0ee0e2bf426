#!/bin/bash
# ctrctl image save and diff, commit, diff and export: what leaves the store and a container, and what others make of it.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
needs ctrctl jq busybox podman
. "$(dirname -- "$0")/declared.sh"
. "$(dirname -- "$0")/images.sh"

work=$(mktemp -d /var/lib/containers/image-keep.XXXXXX) # in the test bed not on an overlay
at_exit rm -rf "$work"
cd "$work" || exit 1
at_exit sh -c 'rm -rf /var/lib/ctrd/*'
pod() { podman --root "$work/podman" --runroot "$work/run" --storage-driver vfs "$@"; }

layered_trees
docker_archive web.tar host.example/web:1 '{"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo default"]}' one.tar two.tar three.tar
ctrctl image load web.tar > /dev/null || give_up "an image is loaded"
web=$(ctrctl image inspect host.example/web:1 | jq -r .digest)

# --- save -------------------------------------------------------------------------------------------------------------
check "an image is saved as an OCI layout" ctrctl image save -o oci.tar host.example/web:1
check "and as 'docker save' writes it, to a pipe" sh -c 'ctrctl image save --format docker-archive host.example/web:1 | cat > docker.tar'
check_equal "both come back, the one as the very same image" "$web" \
    "$(ctrctl image load --store other oci.tar > /dev/null && ctrctl image inspect --store other host.example/web:1 | jq -r .digest)"
check "the other with the same layers" bash -c 'ctrctl image load --store third docker.tar && diff <(ls third/layers) <(ls other/layers)'
from_podman() { pod save -q --format "$1-archive" host.example/web:1 | ctrctl image load --store "back-$1" -; }
for kind in oci docker; do
    check "podman loads it ($kind)" pod load -i $kind.tar
    check_contains "under its name" host.example/web:1 "$output"
    check_equal "with all that it says ($kind)" '["/bin/sh","-c"] ["echo default"]' \
        "$(pod image inspect host.example/web:1 | jq -c '.[0].Config | .Entrypoint, .Cmd' | xargs -0 | tr '\n' ' ' | sed 's/ *$//')"
    check "and comes back from Podman's storage ($kind)" from_podman $kind
    check_equal "with the same layers ($kind)" "$(ls other/layers)" "$(ls "back-$kind/layers")"
    pod rmi host.example/web:1 > /dev/null 2>&1
done
ctrctl image tag host.example/web:1 host.example/same:2
check "several names in one archive" ctrctl image save --format docker-archive -o two.tar host.example/web:1 host.example/same:2
check_equal "are one image" '1 ["host.example/web:1","host.example/same:2"]' "$(tar -xOf two.tar manifest.json | jq -c 'length, .[0].RepoTags' | xargs -0 | tr '\n' ' ' | sed 's/ *$//')"
check_status "an image that is not there is 3" 3 ctrctl image save -o none.tar host.example/none
check_status "a file that can't be written is an error" 1 ctrctl image save -o no/such/folder host.example/web:1
check_equal "and nothing is left of them" "" "$(find . -maxdepth 1 -name 'none.tar*')"
blob=$(find other/blobs/sha256 -size +20k | head -n 1)
cp "$blob" whole && printf X | dd of="$blob" bs=1 seek=3000 conv=notrunc 2> /dev/null
check_status "a blob that was damaged is not sent on" 1 ctrctl image save --store other -o damaged.tar host.example/web:1
check_contains "which the message says" "is damaged" "$output"
check_equal "no archive is made of it" "" "$(find . -maxdepth 1 -name 'damaged.tar*')"

# --- diff -------------------------------------------------------------------------------------------------------------
check_equal "an image's uppermost layer" "C /etc/a" "$(ctrctl image diff host.example/web:1 | grep -v '^C /$')"
docker_archive small.tar host.example/one:1 '{}' one.tar
ctrctl image load small.tar > /dev/null
check_equal "what another image has otherwise" "C /dir D /dir/x D /dir/y A /dir/z C /etc/a D /etc/b" \
    "$(ctrctl image diff host.example/one:1 host.example/web:1 | xargs)"
check_equal "and the other way round, as JSON" "added /etc/b" \
    "$(ctrctl image diff --json host.example/web:1 host.example/one:1 | jq -r '.[] | select(.path == "/etc/b") | .kind + " " + .path')"
check_equal "an image is as itself" "" "$(ctrctl image diff host.example/web:1 host.example/same:2)"

# --- commit -----------------------------------------------------------------------------------------------------------
mkdir -p /etc/ctrd/containers
declare_sleeper() { # NAME MORE
    printf 'image = "host.example/web:1"\ncommand = ["sleep 3133337"]\nstart = "manual"\n%s\n' "$2" > "/etc/ctrd/containers/$1.toml"
    _declared+=("$1")
}
declare_sleeper keep ''
declare_sleeper forget 'volatile = "overlay"'
ctrctl apply > /dev/null || give_up "containers are applied"
check_status "what has not run has nothing to keep" 1 ctrctl commit keep host.example/kept:1
systemctl start ctr@keep ctr@forget
inside() { ctrctl exec keep sh -c "$1"; }
inside 'echo new > /new; ln /new /linked; ln -s /new /symlinked; mkfifo /fifo; chmod 4751 /new; chown 7:8 /linked
    rm /keep/k /etc/passwd; rm -r /dir; mkdir /dir; echo fresh > /dir/fresh; rm -r /home; echo file > /home
    touch -d "2001-02-03 04:05:06" /etc/a; dd if=/dev/zero of=/holes bs=1 count=1 seek=50000000 2> /dev/null
    i=0; p=/deep; while [ $i -lt 30 ]; do p=$p/0123456789; i=$((i + 1)); done; mkdir -p $p; echo deep > $p/file'
upper=$(echo /var/lib/ctrd/containers/keep/*/upper)
python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.one", b"two")' "$upper/dir/fresh"
check_equal "what a container has written is shown" "A /new D /keep/k C /home" \
    "$(for line in 'A /new' 'D /keep/k' 'C /home'; do ctrctl diff keep | grep -Fx "$line"; done | xargs)"
check "it becomes an image" ctrctl commit --message 'a reason' --author me keep host.example/kept:1
check_contains "whose name and digest are said" "host.example/kept:1@sha256:" "$output"
look='stat -c "%n %a %u:%g %h %F %s" /new /linked /fifo /dir /dir/fresh /home /holes
    cat /new /home /dir/fresh; ls /dir /keep; readlink /symlinked; stat -c %Y /etc/a; test -e /etc/passwd || echo gone
    find /deep -type f'
check_equal "with all of it: links, modes, owners, what was deleted and replaced" "$(inside "$look")" \
    "$(ctrctl run --entrypoint /bin/sh host.example/kept:1 -c "$look")"
check_equal "the layers below are shared" 3 "$(comm -12 <(ctrctl image inspect host.example/web:1 | jq -r '.layers[].chainId' | sort) \
    <(ctrctl image inspect host.example/kept:1 | jq -r '.layers[].chainId' | sort) | wc -l)"
chain=$(ctrctl image inspect host.example/kept:1 | jq -r '.layers[-1].chainId' | tr : -)
check_equal "attributes too" two \
    "$(python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "user.one").decode())' "/var/lib/ctrd/layers/$chain/dir/fresh")"
check "a sparse file stays one" test "$(stat -c %b "/var/lib/ctrd/layers/$chain/holes")" -lt 1000
check_equal "its history says why" "a reason me" "$(ctrctl image history --json host.example/kept:1 | jq -r '.[-1].comment') $(ctrctl image inspect host.example/kept:1 | jq -r .config.author)"
check_equal "and what it runs is what the image ran" "/bin/sh -c" "$(ctrctl image inspect host.example/kept:1 | jq -r '.config.entrypoint | join(" ")')"
check "again, while it stands still" ctrctl commit --pause keep host.example/kept:2
check_equal "it goes on afterwards" active "$(inside 'echo active')"
inside 'dd if=/dev/urandom of=/large bs=1M count=200 2> /dev/null'
state_of_keep() { [ "$(ctrctl show --value -p State keep)" = "$1" ]; }
for victim in ctrctl 'ctrctl and ctrd'; do
    ctrctl commit --pause keep host.example/killed:1 > /dev/null 2>&1 &
    commit=$!
    check "it stands still while it is read ($victim)" wait_for 60 state_of_keep paused
    kill -KILL $commit
    [ "$victim" = ctrctl ] || kill -KILL "$(systemctl show --value -p MainPID ctrd)"
    wait $commit 2> /dev/null
    check "who kills that lets it go on ($victim)" wait_for 60 state_of_keep running
    check_equal "and nothing remembers it ($victim)" "" "$(find /run/ctrd/run -name '*.held')"
done
ctrctl pause keep
check "one that is paused" ctrctl commit --pause keep host.example/kept:5
check "stays so" state_of_keep paused
ctrctl resume keep
inside 'rm /large'
ctrctl image save host.example/kept:1 > kept.tar
check "podman takes it" pod load -i kept.tar
check_status "what is forgotten can't be kept" 1 ctrctl commit forget host.example/kept:3
check_contains "which says why" "nothing of what it writes is kept" "$output"
check_status "a container that is not there is 3" 3 ctrctl commit none host.example/kept:3
inside 'touch /.wh.evil'
check_status "a name that would delete others is refused" 1 ctrctl commit keep host.example/kept:3
check_contains "and named" "'.wh.evil' can't be in a layer" "$output"
inside 'rm /.wh.evil'
check_equal "no half of an image is left" "" "$(ls -A /var/lib/ctrd/tmp; ctrctl image list -q | grep kept:3)"
check "the store is whole" ctrctl image verify

ctrctl run --name adhoc --entrypoint /bin/sh host.example/web:1 -c 'echo adhoc > /adhoc; sleep 3133337' < /dev/null > adhoc.log 2>&1 &
adhoc=$!
check "what a 'ctrctl run' has written is shown, too" wait_for 60 sh -c 'ctrctl diff adhoc | grep -Fx "A /adhoc"'
check "and becomes an image" ctrctl commit adhoc host.example/adhoc:1
check_equal "of it" adhoc "$(ctrctl run --entrypoint /bin/cat host.example/adhoc:1 /adhoc)"

# --- export -----------------------------------------------------------------------------------------------------------
check "all files of a container" ctrctl export -o keep.tar keep
check_equal "are in a tar, what is mounted in it is not" "file new" "$(tar -xOf keep.tar linked home | xargs)"
check_equal "what was deleted is not there" "" "$(tar -tf keep.tar | grep -E '^(etc/passwd|keep/k|proc/.|sys/.)|\.wh\.')"
check "it becomes an image again" ctrctl image import keep.tar host.example/flat:1 --command /bin/cat --command /etc/a
check_equal "of one layer, which runs" 3 "$(ctrctl run host.example/flat:1)"
check "of one that keeps nothing, too" sh -c 'ctrctl export forget | tar -t | grep -qx etc/a'

# --- repair -----------------------------------------------------------------------------------------------------------
layer=/var/lib/ctrd/layers/$(ctrctl image inspect host.example/web:1 | jq -r '.layers[0].chainId' | tr : -)
echo 9 > "$layer/keep/k"
check_status "a damaged layer from which a container runs is not replaced" 1 ctrctl image verify --repair
check_contains "which says who does" "' runs from it" "$output"
check_contains "and what to do" "'ctrctl stop' it" "$output"
check_equal "it is as it was" 9 "$(cat "$layer/keep/k")"
kill "$adhoc"
wait "$adhoc" 2> /dev/null
systemctl stop ctr@keep ctr@forget
check "when nobody runs from it, it is" ctrctl image verify --repair
check_equal "and what runs next has what its image says" 1 "$(ctrctl run --entrypoint /bin/cat host.example/web:1 /keep/k)"
check_status "one that does not run is refused" 1 ctrctl export keep
check_contains "which says what to do" "ctrctl start keep" "$output"
check_equal "nothing is mounted on the host" "" "$(grep -w overlay /proc/self/mountinfo | grep -F -e /var/lib/ctrd -e upperdir=/proc)"
check "what it has written is there without it" ctrctl commit keep host.example/kept:4
