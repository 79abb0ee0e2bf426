#!/bin/bash
# More containers than one call tells the use of (64): the next call goes on behind the last, and stats and top show all.
. "$(dirname -- "$0")/lib.sh"
. "$(dirname -- "$0")/declared.sh"
needs busctl jq busybox

count=70
names=()
make_busybox_tree /srv/tree
at_exit rm -rf /srv/tree
mkdir -p /etc/ctrd/containers
for ((i = 1; i <= count; i++)); do
    names+=("many-$i")
    printf 'rootfs = "/srv/tree"\nstart = "manual"\ncommand = ["/bin/sleep", "1000"]\nstop-signal = "SIGKILL"\n' \
        > "/etc/ctrd/containers/many-$i.toml"
done
_declared+=("${names[@]}") # declared.sh takes them away
systemctl daemon-reload
# `idle` does not run, and stands in the midst of the others' names.
declare_container many-5-idle << 'TOML'
rootfs = "/srv/tree"
start = "manual"
command = ["/bin/sleep", "1000"]
TOML
call() { busctl --json=short call io.ctrd1 /io/ctrd1 io.ctrd1.Manager "$@"; }

check "70 containers start" systemctl start "${names[@]/#/ctr@}"
all=$(printf '%s\n' "${names[@]}" | LC_ALL=C sort)

first=$(call ListContainerStats s "")
next=$(jq -r '.data[1]' <<< "$first")
check_equal "one call tells the use of the first 64" "$(head -n 64 <<< "$all")" "$(jq -r '.data[0][][0]' <<< "$first")"
check_equal "and of which the last was" "$(sed -n 64p <<< "$all")" "$next"
second=$(call ListContainerStats s "$next")
check_equal "the next call goes on behind it" "$(tail -n 6 <<< "$all")" "$(jq -r '.data[0][][0]' <<< "$second")"
check_equal "and that was all" "" "$(jq -r '.data[1]' <<< "$second")"
check_equal "where exactly 64 are left there is no next call" "" \
    "$(call ListContainerStats s "$(sed -n 6p <<< "$all")" | jq -r '.data[1]')"

check "stats of all" ctrctl stats --json=short
check_equal "shows each of them once" "$all" "$(jq -r '.[].name' <<< "$output" | LC_ALL=C sort)"
check_equal "and what each uses" "$count" "$(jq '[.[] | select(.CPUUsageUSec > 0)] | length' <<< "$output")"
check_equal "so does top" "$all" "$(ctrctl top -n 1 | awk 'NR > 1 { print $1 }' | LC_ALL=C sort)"
check_equal "and list, what does not run too" "70 running 1 stopped" \
    "$(ctrctl list --json=short | jq -r '.[].state' | sort | uniq -c | xargs)"
