#!/bin/bash
# A declared container as a unit: its exit status, its stop, what a failed start leaves.
. "$(dirname -- "$0")/lib.sh"
. "$(dirname -- "$0")/declared.sh"

payload_tree tree

# unit NAME COMMAND [TOML-LINE...]
unit() {
    local name=$1 command=$2
    shift 2
    declare_container "$name" < <(printf 'rootfs = "%s/tree"\ncommand = %s\nstart = "manual"\n' "$PWD" "$command"; printf '%s\n' "$@")
}

# --- exit status

unit seven '["/payload", "exit", "7"]'
runs=200 right=0
for ((i = 0; i < runs; i++)); do
    systemctl start ctr@seven.service 2> /dev/null
    wait_for 5 state_is seven failed
    [ "$(property seven ExecMainStatus) $(property seven ExecMainCode)" = "7 1" ] && right=$((right + 1))
    systemctl reset-failed ctr@seven.service
done
check_equal "a payload that exits 7 at once is seen to have exited 7, $runs times of $runs" $runs $right
check "nothing of it is left" wait_for 2 nothing_left seven

unit zero '["/payload", "exit", "0"]'
right=0 runs=50
for ((i = 0; i < runs; i++)); do
    systemctl start ctr@zero.service 2> /dev/null
    wait_for 5 state_is zero inactive
    [ "$(property zero Result) $(property zero ExecMainStatus)" = "success 0" ] && right=$((right + 1))
    systemctl reset-failed ctr@zero.service 2> /dev/null
done
check_equal "a payload that exits 0 at once has succeeded, $runs times of $runs" $runs $right

# --- stop

unit deaf '["/payload", "deaf"]'
systemctl start ctr@deaf.service
sleep 0.6 # it is no youngster any more, so nothing is waited for
took=$(milliseconds systemctl stop ctr@deaf.service)
check "a payload that does not hear its stop signal is stopped within 500 ms (it took $took ms)" [ "$took" -lt 500 ]
check_equal "and that is no failure" "inactive success" "$(property deaf ActiveState) $(property deaf Result)"
systemctl start ctr@deaf.service
took=$(milliseconds systemctl stop ctr@deaf.service)
check "a deaf payload that has only just started is stopped within a second (it took $took ms)" [ "$took" -lt 1000 ]
check "nothing of it is left" wait_for 2 nothing_left deaf

unit graceful '["/payload", "graceful", "2"]' 'stop-signal = "SIGINT"'
systemctl start ctr@graceful.service
wait_for 5 log_has graceful catching
took=$(milliseconds systemctl stop ctr@graceful.service)
check "a payload that catches its stop signal gets it and finishes" wait_for 10 log_has graceful finished
check "it is not waited for any longer than it takes (it took $took ms)" [ "$took" -lt 1000 ]
check_contains "it was its own stop signal" "got signal 2" "$(log_of graceful)"

unit late '["/payload", "graceful", "15", "150"]'
systemctl start ctr@late.service
systemctl stop ctr@late.service
check "a payload that sets its handler 150 ms after its start is given the time" wait_for 10 log_has late finished

unit waiting '["/payload", "waiting", "15"]'
systemctl start ctr@waiting.service
wait_for 5 sh -c 'journalctl --sync; journalctl --no-pager -o cat -u ctr@waiting.service | grep -qx waiting'
systemctl stop ctr@waiting.service
check "a payload that blocks its stop signal and fetches it gets it" wait_for 10 log_has waiting "got signal 15"

systemctl start ctr@graceful.service
wait_for 5 log_has graceful catching
echo 1 > /sys/fs/cgroup/machine.slice/ctr@graceful.service/payload/cgroup.freeze
took=$(milliseconds systemctl stop ctr@graceful.service)
check "a frozen payload is thawed and stopped gracefully (it took $took ms)" [ "$took" -lt 2000 ]
check_equal "the frozen one has finished too" 2 "$(log_of graceful | grep -c '^finished')"

# --- restart

unit again '["/payload", "exit", "3"]' 'restart = "on-failure"'
systemctl start ctr@again.service 2> /dev/null
check "restart = \"on-failure\" starts a failed payload again" wait_for 5 sh -c \
    '[ "$(systemctl show --value -p NRestarts ctr@again.service)" -ge 2 ]'
systemctl stop ctr@again.service

# --- one that can't start

unit missing '["/no-such-program"]'
check_status "a start without its program fails" 1 systemctl start ctr@missing.service
check "the journal says what is missing" wait_for 10 log_has missing "cannot run '/no-such-program'"
check "nothing of it is left" wait_for 2 nothing_left missing
right=0
for ((i = 0; i < 40; i++)); do
    systemctl start ctr@missing.service 2> /dev/null
    systemctl reset-failed ctr@missing.service
done
check_equal "it says so each time" 41 "$(log_of missing | grep -c "ctr-run: container 'missing': cannot run")"

check_status "ctr-run outside of its unit refuses" 1 /usr/lib/ctrd/ctr-run start deaf
check_contains "and says why" "is not in the cgroup of 'ctr@deaf.service'" "$output"
check_status "ctr-run refuses what is no container's name" 2 /usr/lib/ctrd/ctr-run start ../deaf
check_status "ctr-run without arguments prints its usage" 2 /usr/lib/ctrd/ctr-run
check_status "a container that is not declared has nothing to start" 1 systemctl start ctr@nobody.service
check "the journal says so" wait_for 10 log_has nobody "ctrctl apply"
systemctl reset-failed ctr@nobody.service

# --- SIGKILL of ctr-run, at random moments of a start

killed=0 left=0 pid=
procs=/sys/fs/cgroup/machine.slice/ctr@deaf.service/cgroup.procs
for ((i = 0; i < 40; i++)); do
    systemctl start --no-block ctr@deaf.service
    for ((j = 0; j < 20000; j++)); do
        { read -r pid < $procs; } 2> /dev/null && [ -n "$pid" ] && break
    done
    for ((j = RANDOM % 2000; j > 0; j--)); do :; done # up to some 5 ms of the 15 that a start takes
    kill -9 "$pid" 2> /dev/null && killed=$((killed + 1))
    systemctl stop ctr@deaf.service
    wait_for 3 nothing_left deaf || left=$((left + 1))
    systemctl reset-failed ctr@deaf.service 2> /dev/null
done
check_equal "a ctr-run that is killed during a start leaves nothing ($killed of 40 were hit)" 0 $left
check "some were hit" [ $killed -gt 0 ]
check_equal "no payload process is left" "" "$(pgrep -x payload)"
