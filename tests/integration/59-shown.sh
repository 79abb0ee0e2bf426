#!/bin/bash
# What ctrctl shows of containers that wait, of those that were never there, and on narrow terminals.
. "$(dirname -- "$0")/lib.sh"
needs ctrctl jq script
. "$(dirname -- "$0")/declared.sh"

payload_tree "$PWD/tree"
waiting() { # NAME PORT
    declare_container "$1" << TOML
rootfs = "$PWD/tree"
command = ["/payload", "serve", "80"]
standby = "$1"
idle-timeout = "500ms"
[[socket]]
listen = "127.0.0.1:$2"
port = 80
TOML
    systemctl start "ctr@$1.socket" "ctr@$1.service"
}
listed() { ctrctl list --json=short | jq -r ".[] | select(.name == \"$1\") | .state"; }
shows() { [ "$(listed "$1")" = "$2" ]; }

# --- what waits -------------------------------------------------------------------------------------------------------
waiting created 8131
waiting frozen 8132
for name in created frozen; do check "list shows that one is $name" wait_for 60 shows "$name" "$name"; done
check_contains "in its table, too" "frozen" "$(ctrctl list | grep '^frozen ' | awk '{ print $2 }')"
check "who was connected to runs" ask 8131
check "and is shown so, or waits again" wait_for 60 sh -c 'ctrctl list --json=short | jq -e "any(.[]; .name == \"created\" and (.state == \"created\" or .state == \"running\"))"'
wait_for 60 shows created created
check "one that waits is stopped" ctrctl stop created
check_equal "which is no failed start" 0 "$(ctrctl status created --json=short | jq '.[0].starts.failed')"
check_not_contains "and no error in its log" "it was ended before anybody connected" "$(log_of created)"
check_equal "nor in its unit" success "$(property created Result)"
systemctl start ctr@created
wait_for 60 shows created created
kill -9 "$(property created MainPID)"
check "one that was killed while it waited is a failed start" wait_for 60 sh -c '[ "$(ctrctl status created --json=short | jq ".[0].starts.failed")" -gt 0 ]'

# --- what was never there ---------------------------------------------------------------------------------------------
check_status "events of a container that never was are an error" 3 ctrctl events nosuch
check_contains "and it says so" "there is no container 'nosuch'" "$output"
check_status "also when one waits for more" 3 timeout 60 ctrctl events --follow nosuch
check_status "or names another, too" 3 ctrctl events frozen frozn
check_contains "it knows the nearest" "did you mean 'frozen'?" "$output"
check "events of one that is there are shown" ctrctl events frozen
rm /etc/ctrd/containers/created.toml
systemctl stop ctr@created.socket ctr@created.service
systemctl daemon-reload
check "and of one that was" wait_for 60 sh -c 'ctrctl events created | grep -q "not declared any more"'

# --- what is switched off ---------------------------------------------------------------------------------------------
systemctl stop ctr@frozen.socket ctr@frozen.service
systemctl mask --runtime ctr@frozen.service
check_status "one that is masked does not start" 1 ctrctl start frozen
check_contains "and the hint says what lets it" "systemctl unmask ctr@frozen.service" "$output"
systemctl unmask --runtime ctr@frozen.service
check "then it does" ctrctl start frozen

# --- narrow terminals -------------------------------------------------------------------------------------------------
on_terminal() { # COLUMNS COMMAND...
    local columns=$1
    shift
    TERM=dumb script -qec "stty cols $columns rows 24; $*" /dev/null < /dev/null | tr -d '\r'
}
for columns in 40 60 80; do
    for verb in "stats" "top -n 1" "list"; do
        text=$(on_terminal "$columns" ctrctl "$verb" | sed 's/\x1b\[[0-9;]*[A-Za-z]//g; s/…/./g')
        longest=$(awk '{ if (length($0) > most) most = length($0) } END { print most }' <<< "$text")
        check "$verb fits $columns columns" test "$longest" -le "$columns" -a "$longest" -gt 20
    done
done
