#!/bin/bash
# ctrctl run --detach: a container in the background is a unit as a declared one is, with no process of ours beside it.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
. "$(dirname -- "$0")/declared.sh"
needs busctl jq busybox

make_busybox_tree /srv/tree
at_exit rm -rf /srv/tree
at_exit ctrctl rm --force bg again
listed() { ctrctl list --json=short | jq -r ".[] | select(.name == \"$1\") | .state"; }
greeting='a "b" \ c = é # d'
loop='echo "$GREETING"; trap "exit 3" TERM; while :; do sleep 0.05; done'

check "a container is run in the background" ctrctl run -d --name bg --rootfs /srv/tree -e "GREETING=$greeting" --hostname inside -- /bin/sh -c "$loop"
check_equal "its name is printed" bg "$output"
check_equal "it runs" running "$(listed bg)"
check_equal "its unit has only its own processes" "" \
    "$(find /sys/fs/cgroup/machine.slice/ctr@bg.service -name cgroup.procs -exec cat {} + | sed 's,.*,/proc/&/exe,' | xargs -n 1 readlink | grep ctr)"
check "what it wrote is in its logs, to the last character" wait_for 30 sh -c "journalctl --sync; ctrctl logs bg | grep -qF '$greeting'"
check_equal "a command is run in it" inside "$(ctrctl exec -T bg hostname)"
check "it is a machine" wait_for 30 machinectl status bg
check_equal "others can't read its environment" 600 "$(stat -c %a /run/ctrd/containers/bg.toml)"
check_status "its name is taken" 1 ctrctl run -d --name bg --rootfs /srv/tree -- /bin/true
check_contains "the message says by whom" /run/ctrd/containers/bg.toml "$output"
check_status "in the foreground, too" 1 ctrctl run --name bg --rootfs /srv/tree -- /bin/true
check_status "one that runs is not removed" 1 ctrctl rm bg
check_contains "the message says what to do" "--force" "$output"

# --- it ends while ctrd is away ----------------------------------------------------------------------------------------
systemctl stop ctrd.service
systemctl stop ctr@bg.service
check_status "how it ended while ctrd was away is known" 3 ctrctl wait bg
check "it is started again" ctrctl start bg
check "and removed" ctrctl rm -f bg
check_equal "it is not there any more" "" "$(listed bg)"
check "nothing is left of it" eval '[ ! -e /run/ctrd/containers/bg.toml ] && [ ! -e /run/ctrd/compiled/bg ] && nothing_left bg'

# --- restart, and what goes wrong --------------------------------------------------------------------------------------
check "one is run that fails" ctrctl run -d --name again --restart=on-failure --rootfs /srv/tree -- /bin/sh -c 'sleep 0.3; exit 1'
check "it is started again as often as it fails" wait_for 60 eval '[ "$(property again NRestarts)" -ge 2 ]'
ctrctl rm -f again
check_status "what can't be started is an error" 1 ctrctl run -d --name again --rootfs /srv/tree -- /bin/nosuch
check "and is not kept" eval '[ ! -e /run/ctrd/containers/again.toml ] && [ -z "$(systemctl list-units --all --plain --no-legend ctr@again.service)" ]'
check_status "what is wrong is said before anything is done" 2 ctrctl run -d --name again --user nobodyelse --rootfs /srv/tree -- /bin/true
check "and leaves nothing, either" test ! -e /run/ctrd/containers/again.toml
check_status "--restart is for the background" 2 ctrctl run --restart=always --rootfs /srv/tree -- /bin/true

first=$(ctrctl run -d --rootfs /srv/tree -- /bin/sh -c "$loop")
second=$(ctrctl run -d --rootfs /srv/tree -- /bin/sh -c "$loop")
check_equal "names are made up" "running running" "$(listed "$first") $(listed "$second")"
check "several are removed at once" ctrctl rm -f "$first" "$second"

declare_container forever << TOML
rootfs = "/srv/tree"
start = "manual"
command = ["/bin/true"]
TOML
check_status "one that is declared for good is not removed" 2 ctrctl rm forever
check_contains "the message says how" "/etc/ctrd/containers/forever.toml" "$output"
check_status "there is no other" 3 ctrctl rm nosuch
