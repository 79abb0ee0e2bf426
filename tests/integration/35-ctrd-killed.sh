#!/bin/bash
# SIGKILL for ctrd at random moments during 50 starts and 50 stops: every container ends up as asked for, ctrd's view is
# exact, and nothing is left behind.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
needs busctl jq ctrctl busybox

folder=/etc/ctrd/containers
procs=/sys/fs/cgroup/system.slice/ctrd.service/cgroup.procs
names=(web term deaf)
mkdir -p $folder
tidy() {
    rm -f killing
    wait
    systemctl stop 'ctr@*.socket' 'ctr@*.service'
    rm -f $folder/*.toml
    systemctl daemon-reload
    systemctl reset-failed 'ctr@*'
    rm -rf /srv/tree
}
at_exit tidy
make_busybox_tree /srv/tree
cat > $folder/web.toml << 'TOML'
rootfs = "/srv/tree"
command = ["/bin/httpd", "-f", "-p", "80"]
[[socket]]
listen = "127.0.0.1:8080"
port = 80
TOML
printf 'rootfs = "/srv/tree"\nstart = "manual"\ncommand = ["/bin/sh", "-c", "%s"]\n' \
    'trap \"exit 0\" TERM; while :; do sleep 0.05; done' > $folder/term.toml
printf 'rootfs = "/srv/tree"\nstart = "manual"\ncommand = ["/bin/sleep", "inf"]\n' > $folder/deaf.toml
systemctl daemon-reload
systemctl start ctr@web.socket
mounts_before=$(wc -l < /proc/self/mountinfo)
seed=${CTRD_TEST_SEED:-$RANDOM}
RANDOM=$seed

# Kills it every 20 to 420 ms, whatever it is doing.
killer() {
    local pid count=0
    while [ -e killing ]; do
        sleep "0.$(printf %03d $((20 + RANDOM % 400)))"
        read -r pid < $procs && kill -9 "$pid" && count=$((count + 1))
        echo "$count" > kills
    done 2> /dev/null
}

# As somebody would who is told that ctrd was lost: once more. Everything else is a failure.
ask() { # VERB NAME
    local status
    for _ in {1..20}; do
        ctrctl "$1" "$2" 2>> errors
        status=$?
        [ $status -eq 125 ] || return $status
        again=$((again + 1))
    done
    return 125
}

is_as_asked() { # VERB NAME
    case $1/$(systemctl is-active "ctr@$2.service") in
        start/active | stop/inactive) ;;
        *) wrong+=("$1 $2: it is $(systemctl is-active "ctr@$2.service")") ;;
    esac
}

again=0
wrong=()
touch killing
killer &
for ((i = 0; i < 50; i++)); do
    name=${names[RANDOM % ${#names[@]}]}
    for verb in start stop; do
        ask $verb "$name" || wrong+=("$verb $name: status $?, $(tail -n 1 errors)")
        is_as_asked $verb "$name"
    done
done
rm killing
wait
check_equal "50 starts and 50 stops do what they were asked to while ctrd is killed (seed $seed)" "" "${wrong[*]}"
kills=$(< kills)
if [ "$kills" -ge 20 ]; then pass "ctrd was killed at least 20 times meanwhile"; else fail "ctrd was killed at least 20 times meanwhile" "$kills"; fi
printf '# %s kills, %s calls asked once more\n' "$kills" "$again"

# The view against systemd's own, with some running and some not.
ask start web
ask start term
read -r pid < $procs && kill -9 "$pid"
expected=$(for name in "${names[@]}"; do
    case $(systemctl is-active "ctr@$name.service") in active) state=running ;; *) state=stopped ;; esac
    echo "$name $state $(systemctl show --value -p MainPID "ctr@$name.service")"
done | sort)
seen=$(busctl --json=short call io.ctrd1 /io/ctrd1 io.ctrd1.Manager ListContainers |
    jq -r '.data[0][] | "\(.[0]) \(.[1]) \(.[3])"' | sort)
check_equal "ctrd's view is exact after a last SIGKILL" "$expected" "$seen"
check_contains "two of them run" "term running" "$seen"
check "machined has them" wait_for 5 sh -c 'machinectl show web && machinectl show term && ! machinectl show deaf'
check_equal "as many seccomp listeners are watched as payloads adopt" 1 \
    "$(ls -l "/proc/$(systemctl show --value -p MainPID ctrd.service)/fd" | grep -c 'seccomp notify')"
ask stop web
ask stop term

check "no seccomp listener is left in systemd" wait_for 5 sh -c '! ls -l /proc/1/fd | grep -q "seccomp notify"'
check "no machine is left" wait_for 5 sh -c '[ -z "$(machinectl list --no-legend)" ]'
check_equal "no run record is left" "" "$(ls -A /run/ctrd/run)"
check_equal "no cgroup is left" "" "$(find /sys/fs/cgroup/machine.slice -mindepth 1 -maxdepth 1 -name 'ctr@*.service' -printf '%f\n')"
check_equal "no mount is left" "$mounts_before" "$(wc -l < /proc/self/mountinfo)"
check_equal "no process of ours is left but ctrd" "ctrd" "$(ps -e -o comm= | grep -E '^ctr' | xargs)"
check_equal "no failed unit is left" "" "$(systemctl list-units --failed --plain --no-legend 'ctr*')"
