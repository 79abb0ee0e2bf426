#!/bin/bash
# Bad input: each a clear message and a documented exit code (docs/errors.md), and nothing is left behind.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
needs ctrctl ctr-oci jq busybox python3 ss

folder=/etc/ctrd/containers
mkdir -p $folder
tidy() {
    rm -rf "${folder:?}"/*
    ctrctl apply
    rm -rf /srv/tree /srv/bundle /srv/evil
    systemctl reset-failed 'ctr@*'
}
at_exit tidy
make_busybox_tree /srv/tree

left() {
    find /run/ctrd/compiled /run/ctrd/run /run/ctrd/adhoc /run/ctr-oci -mindepth 1 2> /dev/null
    ls -d /run/systemd/generator/ctr@* 2> /dev/null
    systemctl list-units --all --plain --no-legend 'ctr@*' 'ctr-*.scope'
    awk '$5 ~ "^/srv|^/run/ctrd/" { print "mount " $5 }' /proc/self/mountinfo
    find /sys/fs/cgroup/machine.slice /sys/fs/cgroup/ctr-oci -mindepth 1 -maxdepth 1 -name 'ctr*' 2> /dev/null
}
export -f left
check_nothing_left() {
    check "nothing of it is left" wait_for 5 bash -c '[ -z "$(left)" ]'
}

# refused SENTENCE STATUS MESSAGE FILE-TEXT: check and apply both refuse the declaration of 'web'.
refused() {
    local sentence=$1 status=$2 message=$3
    printf '%s\n' "$4" > $folder/web.toml
    check_status "$sentence: check refuses it" "$status" ctrctl check $folder/web.toml
    check_contains "$sentence: check says what and where" "$message" "$output"
    check_status "$sentence: apply refuses it" "$status" ctrctl apply
    check_contains "$sentence: apply says the same" "$message" "$output"
    check_contains "$sentence: apply says that nothing was changed" "nothing was changed" "$output"
    systemctl daemon-reload
    rm $folder/web.toml
    systemctl daemon-reload
    check_nothing_left
}
good='rootfs = "/srv/tree"
command = ["/bin/sleep", "1000"]'

# --- malformed TOML, unknown keys, wrong values ----------------------------------------------------------------------
refused "malformed TOML" 2 "$folder/web.toml:3:" "$good"$'\nuser = "www'
refused "an unknown key" 2 "$folder/web.toml:3:1: unknown key 'comand'" "$good"$'\ncomand = ["x"]'
refused "a value of the wrong kind" 2 "$folder/web.toml:3:" "$good"$'\nuser = ["x"]'
refused "a user that the rootfs does not have" 2 "nosuchuser" "$good"$'\nuser = "nosuchuser"'
refused "no image, rootfs and bundle" 2 "neither 'image' nor 'rootfs' nor 'bundle' is given" 'command = ["/bin/true"]'
printf '%s\ncomand = 1\n[[sokcet]]\nlisten = 1\n' "$good" > $folder/web.toml
check_status "several mistakes" 2 ctrctl check $folder/web.toml
check_equal "all of them are reported" 2 "$(grep -c "unknown key" <<< "$output")"
check_equal "as JSON too" "3 4" "$(ctrctl check --json=short $folder/web.toml | jq -r 'map(.line) | join(" ")')"
rm $folder/web.toml
check_status "a file that is not there" 2 ctrctl check /srv/nosuch.toml
check_contains "is named" "/srv/nosuch.toml" "$output"

# --- a missing rootfs ------------------------------------------------------------------------------------------------
refused "a missing rootfs" 2 "/srv/nosuch" $'rootfs = "/srv/nosuch"\ncommand = ["/bin/true"]'
check_status "run with a missing rootfs" 2 ctrctl run --rootfs /srv/nosuch -- true
check_contains "names it" "root file system '/srv/nosuch': No such file or directory" "$output"
check_status "run with a file as rootfs" 2 ctrctl run --rootfs /etc/passwd -- true
check_contains "names it" "'/etc/passwd': Not a directory" "$output"

# --- malformed JSON --------------------------------------------------------------------------------------------------
mkdir -p /srv/bundle/rootfs
printf '{\n  "ociVersion": "1.0.2",\n  "root": {"path": "rootfs"\n' > /srv/bundle/config.json
refused "a bundle with malformed JSON" 2 "/srv/bundle/config.json" 'bundle = "/srv/bundle"'
check_status "run with malformed JSON" 2 ctrctl run --bundle /srv/bundle -- true
check_contains "names the file" "/srv/bundle/config.json" "$output"
check_status "ctr-oci run with malformed JSON" 1 ctr-oci run --bundle /srv/bundle bad
check_contains "names the file and the line" "'/srv/bundle/config.json': " "$output"
check_contains "and the line" "line 4" "$output"
jq -n '{ociVersion: "1.0.2", root: {path: "/srv/tree"}, process: {cwd: "/", args: ["true"]}, hooks: {prestart: [{path: "/bin/true"}]}}' \
    > /srv/bundle/config.json
check_status "what is not supported is refused and not ignored" 2 ctrctl run --bundle /srv/bundle
check_contains "by name" "hooks" "$output"
rm /srv/bundle/config.json
check_status "a folder without config.json is no bundle" 2 ctrctl run --bundle /srv/bundle
check_contains "and says so" "/srv/bundle/config.json" "$output"
check_nothing_left

# --- a rootfs whose /proc or /dev is a symlink -----------------------------------------------------------------------
for name in proc dev; do
    make_busybox_tree /srv/evil
    rmdir /srv/evil/$name
    ln -s /etc /srv/evil/$name
    touch /srv/evil/etc/marker
    before=$(find /srv/evil /etc -xdev 2> /dev/null | sort | sha256sum)
    check_status "/$name is a symlink: run refuses" 125 ctrctl run --rootfs /srv/evil -- true
    check_contains "/$name is a symlink: and names it" "/$name" "$output"
    check_contains "/$name is a symlink: and says why" "symbolic link" "$output"
    printf 'rootfs = "/srv/evil"\ncommand = ["/bin/true"]\nstart = "manual"\n' > $folder/evil.toml
    ctrctl apply > /dev/null
    check_status "/$name is a symlink: start refuses" 1 ctrctl start evil
    wait_for 5 sh -c 'journalctl --sync; ctrctl logs evil | grep -q "symbolic link"'
    check_contains "/$name is a symlink: the log says why" "symbolic link" "$(ctrctl logs evil)"
    systemctl reset-failed ctr@evil.service
    rm $folder/evil.toml
    ctrctl apply > /dev/null
    check_equal "/$name is a symlink: nothing was made where it points" "$before" \
        "$(find /srv/evil /etc -xdev 2> /dev/null | sort | sha256sum)"
    check_nothing_left
    rm -rf /srv/evil
done

# --- not allowed -----------------------------------------------------------------------------------------------------
check_status "apply without root" 4 runuser -u tester -- ctrctl apply
check_contains "says so" "permission denied" "$output"
check_status "run without root" 4 runuser -u tester -- ctrctl run --rootfs /srv/tree -- true
check_contains "says so" "run it as root" "$output"
printf '%s\nstart = "manual"\n' "$good" > $folder/web.toml
ctrctl apply > /dev/null
check_status "start without root" 4 runuser -u tester -- ctrctl start web
check_contains "says what is missing" "permission denied" "$output"
chmod 600 $folder/web.toml
check_status "check of a file that may not be read" 2 runuser -u tester -- ctrctl check $folder/web.toml
check_contains "names it" "$folder/web.toml" "$output"

# --- a name that is in use -------------------------------------------------------------------------------------------
check_status "run with the name of a declared container" 1 ctrctl run --name web --rootfs /srv/tree -- true
check_contains "says whose it is" "the name 'web' is already in use by the container of '$folder/web.toml'" "$output"
check_status "run with a name that is none" 2 ctrctl run --name ../web --rootfs /srv/tree -- true
check_contains "says what a name is" "'../web' is not a container name" "$output"
cp $folder/web.toml "$folder/we b.toml"
check_status "a file whose name is no container's" 2 ctrctl apply
check_contains "is named" "we b.toml" "$output"
rm "$folder/we b.toml" $folder/web.toml
ctrctl apply > /dev/null
check_nothing_left

# --- a port that is in use -------------------------------------------------------------------------------------------
python3 -m http.server 8099 --bind 127.0.0.1 > /dev/null 2>&1 &
server=$!
wait_for 10 sh -c 'ss -Htln "sport = :8099" | grep -q .' || give_up "the other server listens"
socket=$'\n[[socket]]\nlisten = "0.0.0.0:8099"\nport = 80'
printf '%s%s\n' "$good" "$socket" > $folder/web.toml
check_status "a port that a process has" 1 ctrctl apply
check_contains "the message names file, port and process" "$folder/web.toml:4:10: container 'web': port 8099 is already in use by process $server ('python3'" "$output"
check_contains "nothing was changed" "nothing was changed" "$output"
check_nothing_left
kill $server
wait $server 2> /dev/null
systemd-run --quiet --unit=taken --socket-property=ListenStream=127.0.0.1:8099 true 2> /dev/null
check_status "a port that a socket unit has" 1 ctrctl apply
check_contains "the message names the unit" "port 8099 is already in use by unit 'taken.socket'" "$output"
systemctl stop taken.socket
check "free again, apply takes it" ctrctl apply
printf '%s%s\n' "$good" "$socket" > $folder/api.toml
check_status "a port that two containers want" 2 ctrctl apply
check_contains "the message names both" "$folder/web.toml:4:10: port 8099 is listened on by container 'api' too" "$output"
check_equal "the one that had it keeps it" active "$(systemctl is-active ctr@web.socket)"
check_equal "the other one is not there" "web" "$(ctrctl list -q)"
rm $folder/*.toml
ctrctl apply > /dev/null
check_nothing_left

# --- the command line ------------------------------------------------------------------------------------------------
for words in "" "lsit" "list --jsno" "start" "kill -s NOSUCH web" "exec web" "run" "logs -n x web" "apply ../x" \
    "run --rootfs /srv/tree --bundle /srv/bundle -- true" "exec -e =x web true" "list --json=long" "status web/x"; do
    # shellcheck disable=SC2086
    check_status "bad usage: ctrctl $words" 2 ctrctl $words
    check_contains "says so in one message: ctrctl $words" "ctrctl: " "$output"
done
check_nothing_left
