#!/bin/bash
# checkpoint and restore: a container's processes go on where they were. In the vm, since Debian's CRIU does not know the
# newer kernels that a nested bed may run on.
. "$(dirname -- "$0")/../integration/lib.sh"
needs criu

make_busybox_tree tree
mkdir bundle data
ln -s ../tree bundle/rootfs
ctr-oci spec --bundle bundle
# A shell that counts in its memory, in a file of the host.
jq '.process.terminal = false | .root.readonly = false | .mounts += [{destination: "/data", type: "bind", source: "'"$PWD"'/data",
        options: ["bind"]}] | .process.args = ["/bin/sh", "-c",
        "echo begin >> /data/begun; mkdir -p /dev/shm/d; i=0; while :; do i=$((i + 1)); echo $i > /data/n.new; mv /data/n.new /data/n; sleep 0.1; done"]' \
    bundle/config.json > plain.json
cp plain.json bundle/config.json
root=/run/ctr-oci
count() { cat data/n; }
above() { [ "$(count)" -gt "$1" ]; }
stops() { # SENTENCE
    local before
    before=$(count)
    sleep 0.5
    check_equal "$1" "$before" "$(count)"
}
status() { ctr-oci state "$1" 2> /dev/null | jq -r .status; }
gone() { [ ! -e "$root/$1" ] && [ ! -e "/sys/fs/cgroup/ctr-oci-$1" ]; }
run() { # ID
    rm -f data/*
    ctr-oci run --detach --bundle bundle "$1" < /dev/null > /dev/null 2>&1 && wait_for 20 above 3
}
checkpoint() { ctr-oci checkpoint --work-path "$PWD/work" "$@"; }
restore() {
    rm -f said
    ctr-oci --log said restore --detach --bundle bundle --work-path "$PWD/work" "$@" < /dev/null > /dev/null 2>&1 ||
        { cat said; return 1; }
}
for id in a b t u l; do at_exit ctr-oci delete --force $id; done

check "a container runs" run a
pid=$(ctr-oci state a | jq .pid)
check "checkpoint saves it" checkpoint --image-path img a
check "its processes are gone" sh -c "! kill -0 $pid"
check "its record and its cgroup are gone" gone a
stops "it counts no further"
saved=$(count)
check "restore brings it back" restore --image-path img --pid-file pid a
check "it goes on counting" wait_for 20 above "$saved"
check_equal "from where it was, not from the start" begin "$(cat data/begun)"
check_equal "it is running" running "$(status a)"
check_equal "the pid file has its pid" "$(ctr-oci state a | jq .pid)" "$(cat pid)"
check_equal "it is in the container's cgroup" "0::/ctr-oci-a" "$(cat /proc/"$(cat pid)"/cgroup)"
check_equal "no mount of it is left on the host" "" "$(grep -F "$root/" /proc/self/mountinfo)"
check_status "an id that is in use is refused" 1 restore --image-path img a
check "exec works in it" ctr-oci exec a /bin/test -d /dev/shm/d
check_equal "what is masked still is" 0 "$(ctr-oci exec a /bin/wc -c /proc/kcore 2> /dev/null | awk '{ print $1 }')"

check "checkpoint --leave-running saves it" checkpoint --image-path running --leave-running a
before=$(count)
check "and it goes on" wait_for 20 above "$before"
check "kill ends it" ctr-oci kill a KILL
check "delete removes it" wait_for 10 ctr-oci delete a
check "it comes back as another one" restore --image-path running b
check_equal "in that one's cgroup" "0::/ctr-oci-b" "$(cat /proc/"$(ctr-oci state b | jq .pid)"/cgroup)"

check "--pre-dump saves memory" checkpoint --image-path pre --pre-dump b
check_equal "and the container goes on" running "$(status b)"
check "the rest, on top of it, is saved" checkpoint --image-path last --parent-path ../pre b
check_equal "the images know what they are based on" ../pre "$(readlink last/parent)"
saved=$(count)
check "both together come back" restore --image-path last b
check "and count" wait_for 20 above "$saved"
check "delete --force" ctr-oci delete --force b

# What is refused, and what a failure leaves.
check_status "a container that is not there" 1 checkpoint --image-path none a
check_status "images that are not there" 1 restore --image-path none a
check_contains "are named" "--image-path: cannot open 'none'" "$output"
chmod o+w last
check_status "images that others can write are refused" 1 restore --image-path last a
check_contains "by name" "'last' can be written by others" "$output"
chmod o-w last
chown nobody last/core-1.img
check_status "so is one image that is not ours" 1 restore --image-path last a
check_contains "by name, too" "'last/core-1.img' can be written by others" "$output"
chown root last/core-1.img
mkdir -m 755 tree/target && ln -s target tree/link
jq '.mounts += [{destination: "/link/m", type: "tmpfs", source: "tmpfs"}]' plain.json > bundle/config.json
check_status "a symbolic link before a mount point is refused" 1 restore --image-path last a
check_contains "since CRIU would follow it" "there is a symbolic link on the way" "$output"
cp plain.json bundle/config.json
check_status "lazy pages are refused" 1 checkpoint --lazy-pages a
check_status "a page server is refused" 1 checkpoint --page-server 127.0.0.1:1 a
check_status "another mode of cgroups is refused" 1 checkpoint --manage-cgroups-mode some a
check_status "another namespace to leave empty is refused" 1 checkpoint --empty-ns pid a
check_status "without CRIU" 1 env PATH=/nowhere "$(command -v ctr-oci)" restore --bundle bundle --image-path last a
check_contains "the package to install is named" "install the package 'criu'" "$output"
cp -r last broken && rm broken/core-1.img
check_status "broken images can't be restored" 1 restore --image-path broken a
check "and leave nothing" gone a

# A connection, in a network namespace that is the host's.
ip netns add ctr-test
at_exit ip netns del ctr-test
ip -n ctr-test link set lo up
jq '(.linux.namespaces[] | select(.type == "network")) += {path: "/run/netns/ctr-test"} | .hooks = {createRuntime: [{path: "/bin/sh",
        args: ["sh", "-c", "cat > '"$PWD"'/hook"]}]} |
    .process.args = ["/bin/nc", "-l", "-p", "9000", "-e", "/bin/cat"]' plain.json > bundle/config.json
cat > client.py << 'PYTHON'
import os, socket, time
for attempt in range(200):
    try:
        peer = socket.create_connection(("127.0.0.1", 9000))
        break
    except OSError:
        time.sleep(0.1)
peer.settimeout(60)
for word in ("one", "two"):
    while not os.path.exists("say-" + word):
        time.sleep(0.05)
    peer.sendall(word.encode())
    open("heard-" + word, "w").write(peer.recv(100).decode())
PYTHON
ctr-oci run --detach --bundle bundle t < /dev/null > /dev/null 2>&1
ip netns exec ctr-test python3 client.py > client.out 2>&1 &
touch say-one
check "a client talks to a server in a container" wait_for 30 test -s heard-one
check_status "a connection is not saved unasked" 1 checkpoint --image-path tcp t
check_equal "and a failed checkpoint leaves the container as it was" running "$(status t)"
check "checkpoint --tcp-established saves it" checkpoint --image-path tcp --tcp-established t
touch say-two
rm -f hook
check "restore --tcp-established brings it back" restore --image-path tcp --tcp-established t
check "the client's connection goes on" wait_for 30 test -s heard-two
check_equal "and has lost nothing" two "$(cat heard-two 2> /dev/null)"
check_equal "the createRuntime hook was told of it" '"t" "creating"' "$(jq -r '"\"\(.id)\" \"\(.status)\""' hook)"
ctr-oci delete --force t

# An open file that has lost the name it was opened by, and has another.
jq '.process.args = ["/bin/sh", "-c", "exec 3>> /data/opened; ln /data/opened /data/n; rm /data/opened; i=0; while :; do i=$((i + 1)); echo $i >&3; sleep 0.1; done"]' \
    plain.json > bundle/config.json
rm -f data/*
ctr-oci run --detach --bundle bundle l < /dev/null > /dev/null 2>&1
lines() { [ "$(wc -l < data/n)" -gt "$1" ]; }
wait_for 20 lines 3
check_status "a file without the name it was opened by is not saved unasked" 1 checkpoint --image-path link l
check "checkpoint --link-remap saves it" checkpoint --image-path link --link-remap --tcp-skip-in-flight l
saved=$(wc -l < data/n)
check "restore brings it back" restore --image-path link l
check "and the file goes on under its other name" wait_for 20 lines "$saved"
ctr-oci delete --force l

# Standard streams, in the foreground.
jq '.process.args = ["/bin/sh", "-c", "while [ ! -e /data/stop ]; do sleep 0.1; echo line; done; exit 7"]' plain.json > bundle/config.json
rm -f data/*
(ctr-oci run --detach --bundle bundle u < /dev/null 2>&1 | cat > /dev/null) &
runs() { [ "$(status "$1")" = running ]; }
wait_for 20 runs u
check "a container with a pipe is saved" checkpoint --image-path pipe u
touch data/stop
ctr-oci restore --bundle bundle --image-path pipe u < /dev/null 2>&1 | cat > lines.txt
check_equal "in the foreground it ends with its own status" 7 "${PIPESTATUS[0]}"
check_contains "and writes into our pipe" line "$(cat lines.txt)"
check "and is removed" gone u

# A terminal: its master is not the container's, and comes anew.
jq '.process.terminal = true | .process.args = ["/bin/sh", "-c", "while read -r word; do echo got $word; done"]' plain.json > bundle/config.json
cat > terminal.py << 'PYTHON'
import array, os, socket
listener = socket.socket(socket.AF_UNIX)
listener.bind("console")
listener.listen()
masters = []
for word in ("first", "second"):
    peer, _ = listener.accept()
    _, control, _, _ = peer.recvmsg(100, 64)
    masters.append(array.array("i", control[0][2])[0])
    os.write(masters[-1], word.encode() + b"\n")
    said = b""
    while b"got " + word.encode() not in said:
        said += os.read(masters[-1], 1000)
    open("terminal-" + word, "w").write("ok")
PYTHON
python3 terminal.py > terminal.out 2>&1 &
wait_for 10 test -S console
ctr-oci run --detach --bundle bundle --console-socket console u < /dev/null > /dev/null 2>&1
check "a container has a terminal" wait_for 20 test -e terminal-first
check "it is saved with its terminal" checkpoint --image-path terminal u
check_status "to restore it somebody must take the terminal" 1 restore --image-path terminal u
check_contains "says the message" "--detach needs --console-socket" "$output"
check "restore hands a new one to --console-socket" restore --image-path terminal --console-socket console u
check "it works" wait_for 20 test -e terminal-second
ctr-oci delete --force u
