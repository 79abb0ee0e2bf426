#!/bin/bash
# ctrd on the bus: introspection, what is listed, start, stop, kill and exec, signals, machines.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
needs busctl jq busybox

folder=/etc/ctrd/containers
mkdir -p $folder
tidy() {
    kill "$monitor"
    systemctl stop 'ctr@*.service'
    rm -f $folder/*.toml
    systemctl daemon-reload
    systemctl reset-failed 'ctr@*'
    rm -rf /srv/tree
}
at_exit tidy
make_busybox_tree /srv/tree

declare_container() { # NAME SHELL-COMMAND LINE...
    local name=$1 command=$2
    shift 2
    {
        printf 'rootfs = "/srv/tree"\nstart = "manual"\ncommand = ["/bin/sh", "-c", "%s"]\n' "$command"
        printf '%s\n' "$@"
    } > "$folder/$name.toml"
}
loop='trap \"exit 0\" TERM; while :; do sleep 0.05; done'

call() { # METHOD [SIGNATURE ARGUMENT...]
    busctl --json=short call io.ctrd1 /io/ctrd1 io.ctrd1.Manager "$@"
}
property() { # CONTAINER-PATH PROPERTY
    busctl --json=short get-property io.ctrd1 "/io/ctrd1/container/$1" io.ctrd1.Container "$2" | jq -r .data
}
unit() { # CONTAINER PROPERTY
    systemctl show --value -p "$2" "ctr@$1.service"
}
row() { # CONTAINER
    call ListContainers | jq -r ".data[0][] | select(.[0] == \"$1\") | map(tostring) | join(\" \")"
}

# --- activation and introspection ------------------------------------------------------------------------------------
systemctl stop ctrd.service 2> /dev/null
check "a call activates ctrd" call ListContainers
check_equal "ctrd is its unit's main process" active "$(systemctl is-active ctrd.service)"
check_equal "without declarations nothing is listed" '[[]]' "$(call ListContainers | jq -c .data)"
methods=$(busctl introspect io.ctrd1 /io/ctrd1 io.ctrd1.Manager | awk '$2 == "method" { print $1 $3 }' | xargs)
check_contains "introspection shows the manager's methods" ".KillContainerssi .ListContainerStatss .ListContainers- .PauseContainers" "$methods"
check_equal "arguments have names" "name argv options stdin_fd stdout_fd stderr_fd status" \
    "$(busctl introspect --xml-interface io.ctrd1 /io/ctrd1 | grep -A8 '"Exec"' | grep -o 'name="[a-z_]*"' | cut -d'"' -f2 | xargs)"

busctl monitor --json=short io.ctrd1 > monitor.json 2> /dev/null &
monitor=$!
sleep 0.3
declare_container web "$loop"
declare_container a.b-c "$loop"
declare_container fails 'echo no; exit 7'
declare_container missing "$loop"
sed -i 's,"/bin/sh","/bin/nosuch",' $folder/missing.toml
systemctl daemon-reload
check "a new declaration is seen" wait_for 5 sh -c 'busctl call io.ctrd1 /io/ctrd1 io.ctrd1.Manager GetContainer s missing'
check_equal "what does not run is listed, with its source, unit and object" \
    "web stopped /srv/tree 0 ctr@web.service /io/ctrd1/container/web" "$(row web)"
check_equal "the manager counts them" 4 "$(busctl --json=short get-property io.ctrd1 /io/ctrd1 io.ctrd1.Manager Containers | jq .data)"
check_equal "busctl tree shows each object, names escaped" "/io/ctrd1/container/a_2eb_2dc /io/ctrd1/container/fails /io/ctrd1/container/missing /io/ctrd1/container/web" \
    "$(busctl tree --list io.ctrd1 | grep container/ | xargs)"

# --- start, stop, restart --------------------------------------------------------------------------------------------
check "StartContainer answers when it is ready" call StartContainer s web
check_equal "its unit is active then" active "$(systemctl is-active ctr@web.service)"
leader=$(unit web MainPID)
check_equal "the list says so at once" "web running /srv/tree $leader ctr@web.service /io/ctrd1/container/web" "$(row web)"
check_equal "so do the properties" "running $leader /machine.slice/ctr@web.service" \
    "$(property web State) $(property web Leader) $(property web CGroup)"
check_equal "Since is when the unit became active" "$(($(date -d "$(unit web ActiveEnterTimestamp)" +%s)))" "$(($(property web Since) / 1000000))"
check_equal "GetContainerByPID finds it by its first process" /io/ctrd1/container/web "$(call GetContainerByPID u "$leader" | jq -r '.data[0]')"
check_status "GetContainerByPID refuses a process that is in none" 1 call GetContainerByPID u $$
check "starting what runs is no error" call StartContainer s web
check_equal "it is the same process still" "$leader" "$(unit web MainPID)"
check "RestartContainer answers when it is ready again" call RestartContainer s web
check "it is another process then" test "$(property web Leader)" != "$leader" -a "$(property web Leader)" = "$(unit web MainPID)"
check "StopContainer answers when it has ended" call StopContainer s web
check_equal "it is stopped then" "web stopped /srv/tree 0 ctr@web.service /io/ctrd1/container/web" "$(row web)"
check "stopping what does not run is no error" call StopContainer s web
check "the container's own Start does the same" busctl call io.ctrd1 /io/ctrd1/container/a_2eb_2dc io.ctrd1.Container Start
check_equal "a name with dots and dashes runs" running "$(property a_2eb_2dc State)"
check "the container's own Stop does the same" busctl call io.ctrd1 /io/ctrd1/container/a_2eb_2dc io.ctrd1.Container Stop

# --- what goes wrong ---------------------------------------------------------------------------------------------------
check_status "a start that fails is an error" 1 call StartContainer s missing
# ctr-run's own sentence, or where systemd was quicker the exit status that a shell would have.
check_contains "its message says which one and why" "container 'missing' did not start: " "$output"
check_contains "and where to read on" "journalctl -u ctr@missing.service" "$output"
says_why() {
    [[ $1 == *"cannot run '/bin/nosuch': No such file or directory"* || $1 == *"exited with status 127"* ]]
}
check "in ctr-run's words or with the exit status" says_why "$output"
check_equal "the container has failed" failed "$(property missing State)"
check "a payload that ends at once started all the same" call StartContainer s fails
check "it has failed then" wait_for 5 sh -c '[ "$(busctl get-property io.ctrd1 /io/ctrd1/container/fails io.ctrd1.Container State)" = "s \"failed\"" ]'
check_equal "with the payload's own exit code (CLD_EXITED), and systemd's word for it" "1 7 exit-code" "$(property fails MainCode) $(property fails MainStatus) $(property fails Result)"
check_status "an unknown container is an error" 1 call StartContainer s nosuch
check_contains "its message says how to declare it" "there is no container 'nosuch'" "$output"
check_status "what is no name is an error" 1 call StopContainer s ../etc
check_contains "its message says so" "'../etc' is not a container name" "$output"
check_status "an unknown object is an error" 1 busctl introspect io.ctrd1 /io/ctrd1/container/nosuch io.ctrd1.Container

# --- kill ----------------------------------------------------------------------------------------------------------------
check_status "nothing can be killed where nothing runs" 1 call KillContainer ssi web leader 15
check_contains "the message says why" "container 'web' is not running" "$output"
call StartContainer s web > /dev/null
check_status "a signal that does not exist is refused" 1 call KillContainer ssi web leader 65
check_status "so is somebody who does not exist" 1 call KillContainer ssi web nobody 15
check_equal "neither did anything" running "$(property web State)"
check "KillContainer sends the first process a signal" call KillContainer ssi web leader 15
check "which ends it" wait_for 5 sh -c '[ "$(busctl get-property io.ctrd1 /io/ctrd1/container/web io.ctrd1.Container State)" = "s \"stopped\"" ]'
call StartContainer s web > /dev/null
check "KillContainer sends all processes a signal" call KillContainer ssi web all 9
check "which ends them" wait_for 5 sh -c '[ "$(busctl get-property io.ctrd1 /io/ctrd1/container/web io.ctrd1.Container Leader)" = "u 0" ]'

# --- machines --------------------------------------------------------------------------------------------------------------
call StartContainer s web > /dev/null
check "machined has the running container" wait_for 5 machinectl show web
check_equal "with its first process, unit and tree" "Leader=$(unit web MainPID) RootDirectory=/srv/tree Service=ctrd Unit=ctr@web.service" \
    "$(machinectl show web -p Leader -p Unit -p Service -p RootDirectory | sort | xargs)"
call RestartContainer s web > /dev/null
check "after a restart it has the new first process" wait_for 5 sh -c \
    '[ "$(machinectl show web -p Leader --value)" = "$(systemctl show --value -p MainPID ctr@web.service)" ]'
check "machinectl terminate stops the unit" machinectl terminate web
check "the unit is at rest" wait_for 15 sh -c 'systemctl is-active ctr@web.service | grep -qx -e inactive -e failed'
check "the machine is gone with it" wait_for 5 sh -c '! machinectl show web'

# --- exec --------------------------------------------------------------------------------------------------------------------
if command -v ctrctl > /dev/null; then
    call StartContainer s web > /dev/null
    check_status "exec gives the command's own exit code" 7 ctrctl exec -T web sh -c 'exit 7'
    check_status "exec gives 128 and the signal" 137 ctrctl exec -T web sh -c 'kill -9 $$'
    check_status "exec of what is not there is 127" 127 ctrctl exec -T web /bin/nosuch
    check_equal "exec runs in the container with our stdin and stdout" "web hello" \
        "$(echo hello | ctrctl exec -T web sh -c 'echo $(hostname) $(cat)')"
    check_equal "exec sets user, folder and environment" "65534 /tmp value" \
        "$(ctrctl exec -T -u nobody -w /tmp -e KEY=value web sh -c 'echo $(id -u) $(pwd) $KEY')"
    { timeout --signal=KILL 1 ctrctl exec -T web sleep 4242; } 2> /dev/null
    check "who leaves the bus takes the command along" wait_for 5 sh -c '! pgrep -f "^sleep 4242"'
    ctrctl exec -T web sleep 4343 2> /dev/null &
    wait_for 5 pgrep -f '^sleep 4343'
    kill -9 "$(systemctl show --value -p MainPID ctrd.service)"
    sleep 0.3
    check "a command goes on without ctrd" pgrep -f '^sleep 4343'
    call StopContainer s web > /dev/null
    check "it ends with its container" wait_for 5 sh -c '! pgrep -f "^sleep 4343"'
    check_status "nothing can be executed where nothing runs" 1 ctrctl exec -T web true
    check "no helper is left" wait_for 5 sh -c '! pgrep -x ctr-run'
fi

# --- signals, and the end of a declaration ----------------------------------------------------------------------------------
call StartContainer s a.b-c > /dev/null
leader=$(unit a.b-c MainPID)
systemctl daemon-reload
check_equal "after daemon-reload a container runs in the view as before" "a.b-c running /srv/tree $leader" "$(row a.b-c | cut -d' ' -f1-4)"
systemctl daemon-reexec
check_equal "after daemon-reexec, too" "a.b-c running /srv/tree $leader" "$(row a.b-c | cut -d' ' -f1-4)"
check "and it can be stopped" call StopContainer s a.b-c
rm $folder/a.b-c.toml
systemctl daemon-reload
check "what is no longer declared is no longer listed" wait_for 5 sh -c '! busctl call io.ctrd1 /io/ctrd1 io.ctrd1.Manager GetContainer s a.b-c'
call StartContainer s web > /dev/null
rm $folder/web.toml
systemctl daemon-reload
check_equal "what runs without a declaration is still listed" running "$(row web | cut -d' ' -f2)"
check_status "but it can't be started" 1 call StartContainer s web
check "it can be stopped" call StopContainer s web
check "and is gone then" wait_for 5 sh -c '! busctl call io.ctrd1 /io/ctrd1 io.ctrd1.Manager GetContainer s web'
kill $monitor
wait $monitor 2> /dev/null
signals() { # MEMBER CONTAINER
    jq -r "select(.member == \"$1\") | .payload.data | select(.[0] == \"$2\") | .[1]" monitor.json | xargs
}
check_equal "ContainerNew was told" /io/ctrd1/container/a_2eb_2dc "$(signals ContainerNew a.b-c)"
check_equal "ContainerRemoved was told" /io/ctrd1/container/a_2eb_2dc "$(signals ContainerRemoved a.b-c)"
check_equal "ContainerStateChanged was told once for each state, and daemon-reload is none" \
    "starting running stopping stopped starting running stopping stopped" \
    "$(signals ContainerStateChanged a.b-c)"
check "PropertiesChanged was told" jq -es 'any(.member == "PropertiesChanged" and .path == "/io/ctrd1/container/a_2eb_2dc")' monitor.json
