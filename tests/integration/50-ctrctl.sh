#!/bin/bash
# ctrctl on declared containers: list, status, start, stop, restart, kill, exec, logs.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
needs ctrctl jq busybox

folder=/etc/ctrd/containers
mkdir -p $folder
tidy() {
    rm -f $folder/*.toml
    ctrctl apply
    rm -rf /srv/tree
    systemctl reset-failed 'ctr@*'
}
at_exit tidy
make_busybox_tree /srv/tree

declare_loop() { # NAME LINE...
    local name=$1
    shift
    {
        printf 'rootfs = "/srv/tree"\nstart = "manual"\n'
        printf 'command = ["/bin/sh", "-c", "trap '\''exit 0'\'' TERM; echo $0 is up; while :; do sleep 0.05; done", "%s"]\n' "$name"
        printf '%s\n' "$@"
    } > "$folder/$name.toml"
}
field() { # NAME FIELD
    ctrctl status "$1" --json=short | jq -r ".[0].$2"
}

check_contains "list without any container says how to declare one" "no containers are declared" "$(ctrctl list)"
check_equal "list --json without any container is an empty array" "[]" "$(ctrctl list --json=short)"
declare_loop web
declare_loop db
check "apply takes two containers" ctrctl apply
check_contains "apply says how a container is started by hand" "web: created; 'ctrctl start web' starts it" "$output"

# --- list and status -------------------------------------------------------------------------------------------------
check_equal "list -q has the names, sorted" "db web" "$(ctrctl list -q | xargs)"
check_equal "list shows what does not run" "web stopped - ctr@web.service /srv/tree" "$(ctrctl list | grep '^web' | xargs)"
check_equal "list --json has the same" "web stopped 0 ctr@web.service /srv/tree" \
    "$(ctrctl list --json=short | jq -r '.[] | select(.name == "web") | "\(.name) \(.state) \(.leader) \(.unit) \(.source)"')"
check_equal "--json=short is one line" 1 "$(ctrctl list --json=short | wc -l)"
check_equal "there is no colour in a pipe" "" "$(ctrctl list | tr -d -c '\033')"
check_contains "SYSTEMD_COLORS=1 forces it" $'\033[' "$(SYSTEMD_COLORS=1 ctrctl list)"
check_contains "status names the unit" "unit: ctr@web.service" "$(ctrctl status web)"
check "everybody may look" runuser -u tester -- ctrctl status
check_status "an unknown name is 3" 3 ctrctl status wbe
check_contains "the nearest name is given" "did you mean 'web'?" "$output"
check_status "of several names the good ones are shown all the same" 3 ctrctl status web nosuch
check_contains "and the unknown one is named" "there is no container 'nosuch'" "$output"

# --- start, stop, restart, kill --------------------------------------------------------------------------------------
check "start starts, and returns when they run" ctrctl start web db
check_equal "status says running" running "$(field web state)"
leader=$(field web leader)
check_equal "the leader is the unit's main process" "$(systemctl show --value -p MainPID ctr@web.service)" "$leader"
check "start of what runs changes nothing" ctrctl start web
check_equal "it is the same process" "$leader" "$(field web leader)"
check "restart" ctrctl restart web
check "it is another process" test "$(field web leader)" != "$leader"
check "kill with the default signal is SIGTERM to the first process" ctrctl kill db
check "which it hears" wait_for 5 sh -c '[ "$(ctrctl status db --json=short | jq -r ".[0].state")" = stopped ]'
check "kill takes a signal by name and all processes" ctrctl kill -s KILL --whom=all web
check "and they are gone" wait_for 5 sh -c '[ "$(ctrctl status web --json=short | jq -r ".[0].leader")" = 0 ]'
check_status "kill of what does not run fails" 1 ctrctl kill web
check "stop of what does not run is no error" ctrctl stop web
check "stop" sh -c 'ctrctl start web && ctrctl stop web'
check_equal "status says stopped" stopped "$(field web state)"

printf 'rootfs = "/srv/tree"\nstart = "manual"\ncommand = ["/bin/sh", "-c", "sleep 0.2; exit 7"]\n' > $folder/fails.toml
check "a third one, which will fail" ctrctl apply
ctrctl start fails
check "status says that it has failed" wait_for 5 sh -c '[ "$(ctrctl status fails --json=short | jq -r ".[0].state")" = failed ]'
check_equal "and with which code" 7 "$(field fails exit_code)"
check_contains "in words too" "last run: exited with 7" "$(ctrctl status fails)"
systemctl reset-failed ctr@fails.service
rm $folder/fails.toml
check_equal "it is removed again" "fails: removed" "$(ctrctl apply)"

# --- exec ------------------------------------------------------------------------------------------------------------
ctrctl start web || give_up "the container for exec starts"
check_equal "exec passes stdin and stdout" "HELLO" "$(printf hello | ctrctl exec web tr a-z A-Z)"
check_equal "exec keeps stderr apart" "oops" "$(ctrctl exec web sh -c 'echo out; echo oops >&2' 2>&1 > /dev/null)"
check_status "exec ends with the command's code" 42 ctrctl exec web sh -c 'exit 42'
check_status "exec of a command that a signal killed ends with 128 + N" 143 ctrctl exec web sh -c 'kill -TERM $$'
check_status "exec of a command that is not there is 127" 127 ctrctl exec web /bin/nosuch
check_status "exec of a file that is no program is 126" 126 ctrctl exec web /etc/passwd
check_equal "exec sets a variable, the user and the folder" "v 65534 /tmp" \
    "$(ctrctl exec -e A=v -u nobody -w /tmp web sh -c 'echo $A $(id -u) $PWD')"
check_equal "options after the command are its own" "-u -e --json" "$(ctrctl exec web echo -u -e --json)"
check_equal "a -- before the command is not" "-x -- y" "$(ctrctl exec web -- echo -x -- y)"
check_equal "exec runs in the container's namespaces" "$(readlink "/proc/$(field web leader)/ns/pid")" \
    "$(ctrctl exec web readlink /proc/self/ns/pid)"
check_equal "exec carries a megabyte either way, byte by byte" "$(head -c 1000000 /dev/zero | tr '\0' x | sha256sum)" \
    "$(head -c 1000000 /dev/zero | tr '\0' x | ctrctl exec web cat | sha256sum)"
ctrctl exec web sleep 987 &
pid=$!
check "an exec runs" wait_for 5 pgrep -f "^sleep 987"
kill -TERM $pid
wait $pid
check_equal "a signal ends ctrctl as the signal does" 143 $?
check "and its command with it" wait_for 5 sh -c '! pgrep -f "^sleep 987"'
check_status "exec needs a command" 2 ctrctl exec web
check_status "exec in what does not run fails" 1 ctrctl exec db true
check_contains "and says what to do" "ctrctl start db" "$output"

# --- logs ------------------------------------------------------------------------------------------------------------
journalctl --sync
check_contains "logs has what the container wrote" "web is up" "$(ctrctl logs web)"
check_not_contains "and not what another one wrote" "db is up" "$(ctrctl logs web)"
check_equal "logs -n 1 is one line" 1 "$(ctrctl logs -n 1 web | wc -l)"
check_equal "logs --json is machine readable" "ctr@web.service" \
    "$(ctrctl logs --json=short web | jq -rs 'map(.UNIT // ._SYSTEMD_UNIT | values) | unique[]')"
check_equal "nothing was written in the future" 0 "$(ctrctl logs --since=+1h web | grep -c 'is up')"
ctrctl logs -f -n 0 web > followed &
pid=$!
check "logs -f goes on" wait_for 10 sh -c 'ctrctl restart web; journalctl --sync; grep -q "web is up" followed'
kill $pid
check_status "logs of an unknown name is 3, not an empty log" 3 ctrctl logs nosuch

# --- who may ---------------------------------------------------------------------------------------------------------
for verb in "start db" "stop web" "restart web" "kill web" "exec web id"; do
    # shellcheck disable=SC2086
    check_status "an unprivileged user may not: $verb" 4 runuser -u tester -- ctrctl $verb
done
check_contains "the denial says what would allow it" "polkit" "$output"
check_equal "and it all runs as before" running "$(field web state)"

# --- completion and manual page --------------------------------------------------------------------------------------
completed() { # WORD...: what completes the last one
    bash -c '. /usr/share/bash-completion/completions/ctrctl; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ctrctl; printf "%s\n" "${COMPREPLY[@]}" | sort | paste -sd " "' complete "$@"
}
check_equal "a verb is completed" "start stats status stop" "$(completed ctrctl st)"
check_equal "a container's name is completed" "web" "$(completed ctrctl stop w)"
check_equal "an option's value is completed" "leader" "$(completed ctrctl kill --whom l)"
for verb in $(completed ctrctl "" | tr ' ' '\n' | grep -v ^-); do
    check_equal "completion knows the options of $verb, and no other ones" \
        "$(ctrctl "$verb" --help | grep -oE '^  (-.,)?--[a-z-]+' | grep -oE -- '--.*' | sort | paste -sd ' ')" \
        "$(completed ctrctl "$verb" --)"
    check "the manual page has the verb $verb" grep -q "fB$verb\\b" /usr/share/man/man1/ctrctl.1
done
# zsh's own builtins work on its line editor only: what is asked of them is printed.
completed_by_zsh() { # WORD...: what completes the last one
    zsh -f -c '
        print_words() { local word; for word; do print -r -- "${word%%:*}"; done }
        compadd() {
            while (( $# )); do
                case $1 in -a) print_words ${(P)2}; shift 2 ;; -S) shift 2 ;; --) shift; print_words "$@"; return ;; *) print_words $1; shift ;; esac
            done
        }
        _describe() { print_words ${(P)2} }
        _files() { print_words FILES }
        words=("$@") CURRENT=$#
        . /usr/share/zsh/vendor-completions/_ctrctl
    ' complete "$@" | sort | paste -sd ' '
}
check_equal "in zsh the verbs are the same as in bash" "$(completed ctrctl "" | tr ' ' '\n' | grep -v ^- | paste -sd ' ')" "$(completed_by_zsh ctrctl "")"
check_contains "and so are the containers' names" " web " " $(completed_by_zsh ctrctl stop "") "
check_equal "and the options of a verb" "$(completed ctrctl kill --)" "$(completed_by_zsh ctrctl kill --)"
check_equal "where a file is meant it says so" "FILES" "$(completed_by_zsh ctrctl bind web "")"
check "stop of all" ctrctl stop web db
