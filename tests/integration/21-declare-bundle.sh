#!/bin/bash
# Bundles that others made, declared: their own config.json is the base.
. "$(dirname -- "$0")/lib.sh"
needs umoci jq

folder=/etc/ctrd/containers
mkdir -p "$folder"
tidy() {
    systemctl stop 'ctr@*.socket' 'ctr@*.service'
    rm -rf "${folder:?}"/* /srv/bundle
    systemctl daemon-reload
    systemctl reset-failed 'ctr@*'
}
at_exit tidy

make_busybox_tree tree
image() {
    umoci init --layout image && umoci new --image image:latest &&
        umoci config --image image:latest --config.cmd /bin/sh --config.cmd -c --config.cmd 'echo "$MODE as $(id -u)"; exit 9' --config.env MODE=image &&
        umoci unpack --image image:latest /srv/bundle && cp -a tree/. /srv/bundle/rootfs/
}
check "umoci makes a bundle" image

result() { # waits for the container to end: its last line and status
    systemctl start ctr@job.service
    wait_for 10 sh -c '! systemctl is-active --quiet ctr@job.service'
    journalctl --sync
    echo "$(journalctl -b --no-pager -o cat -t job | tail -n 1) $(systemctl show --value -p ExecMainStatus ctr@job.service)"
}
printf 'bundle = "/srv/bundle"\nstart = "manual"\n' > "$folder/job.toml"
check "the bundle can be declared as it is" systemctl daemon-reload
check_equal "its own command runs with its own environment, user and exit status" "image as 0 9" "$(result)"

printf 'user = "nobody"\n[environment]\nMODE = "declared"\n' >> "$folder/job.toml"
systemctl daemon-reload
check_equal "what is declared goes over it" "declared as 65534 9" "$(result)"

jq '.linux.resources.pids.limit = 33 | .process.terminal = true | .linux.cgroupsPath = "/x"' /srv/bundle/config.json > changed && cp changed /srv/bundle/config.json
systemctl daemon-reload
check_equal "its limit of tasks becomes the unit's" 33 "$(systemctl show --value -p TasksMax ctr@job.service)"
check_equal "its terminal and cgroup are the unit's business" "false null" \
    "$(jq -r '[.process.terminal, .linux.cgroupsPath] | map(tostring) | join(" ")' /run/ctrd/compiled/job/config.json)"
check_equal "it runs like that" "declared as 65534 9" "$(result)"

jq '.hooks = {"prestart": [{"path": "/bin/sh"}]}' /srv/bundle/config.json > changed && cp changed /srv/bundle/config.json
mkdir out
check_status "hooks of a bundle are refused" 1 /usr/lib/systemd/system-generators/ctrd-generator "$PWD/out"
check_contains "with the file's name" "/srv/bundle/config.json: " "$output"
