#!/bin/bash
# Who may do what with ctrd: everybody may look, root may change, and polkit's rules say who else.
. "$(dirname -- "$0")/lib.sh"
needs busctl busybox pkaction

folder=/etc/ctrd/containers
rules=/etc/polkit-1/rules.d/10-ctrd-test.rules
mkdir -p $folder
tidy() {
    systemctl stop 'ctr@*.service'
    rm -f $folder/*.toml $rules
    systemctl daemon-reload
    systemctl reset-failed 'ctr@*'
    rm -rf /srv/tree
}
at_exit tidy
make_busybox_tree /srv/tree
for name in web db; do
    printf 'rootfs = "/srv/tree"\nstart = "manual"\ncommand = ["/bin/sh", "-c", "%s"]\n' \
        'trap \"exit 0\" TERM; while :; do sleep 0.05; done' > $folder/$name.toml
done
systemctl daemon-reload

as_tester() { # METHOD [SIGNATURE ARGUMENT...]
    runuser -u tester -- busctl call io.ctrd1 /io/ctrd1 io.ctrd1.Manager "$@"
}
object_as_tester() { # METHOD [SIGNATURE ARGUMENT...]
    runuser -u tester -- busctl call io.ctrd1 /io/ctrd1/container/db io.ctrd1.Container "$@"
}
refused() { # SENTENCE COMMAND...
    local sentence=$1
    shift
    check_status "$sentence" 1 "$@"
    check_contains "... by polkit" "$refusal" "$output"
}
changing_methods() { # WHO
    refused "$1 may not start" as_tester StartContainer s db
    refused "$1 may not stop" as_tester StopContainer s db
    refused "$1 may not restart" as_tester RestartContainer s db
    refused "$1 may not kill" as_tester KillContainer ssi db leader 9
    refused "$1 may not start by the object" object_as_tester Start
    refused "$1 may not stop by the object" object_as_tester Stop
    refused "$1 may not restart by the object" object_as_tester Restart
    refused "$1 may not kill by the object" object_as_tester Kill si all 9
    if command -v ctrctl > /dev/null; then
        check_status "$1 may not execute anything" 4 runuser -u tester -- ctrctl exec -T db id
    fi
}

check "the actions are known to polkit" pkaction --action-id io.ctrd1.manage-containers
check "the one for exec, too" pkaction --action-id io.ctrd1.exec
check "everybody may list" as_tester ListContainers
check "everybody may ask for one" as_tester GetContainer s web
check "everybody may read properties" runuser -u tester -- busctl get-property io.ctrd1 /io/ctrd1/container/web io.ctrd1.Container State
check "everybody may introspect" runuser -u tester -- busctl introspect io.ctrd1 /io/ctrd1
check_status "nobody else may own the name" 1 runuser -u tester -- busctl call org.freedesktop.DBus / org.freedesktop.DBus RequestName su io.ctrd1 0
check_status "nobody else may hand anything over" 1 runuser -u tester -- python3 -c \
    'import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect("/run/ctrd/handover")'

systemctl start ctr@db.service
leader=$(systemctl show --value -p MainPID ctr@db.service)
refusal="authentication is required"
changing_methods "an unprivileged user without a rule"

cat > $rules << 'RULES'
polkit.addRule(function(action, subject) {
    if (!action.id.startsWith("io.ctrd1."))
        return polkit.Result.NOT_HANDLED;
    if (action.id == "io.ctrd1.manage-containers" && subject.user == "tester" && action.lookup("container") == "web")
        return polkit.Result.YES;
    return polkit.Result.NO;
});
RULES
check "a rule for one container lets a user start it" wait_for 10 as_tester StartContainer s web
check_equal "it runs" active "$(systemctl is-active ctr@web.service)"
check "restart it" as_tester RestartContainer s web
check "signal it" as_tester KillContainer ssi web leader 28
check "and stop it" as_tester StopContainer s web
refusal="Access denied" # busctl's own words for the error's name
changing_methods "a user with a rule for another container"
if command -v ctrctl > /dev/null; then
    systemctl start ctr@web.service
    check_status "who may manage may not execute" 4 runuser -u tester -- ctrctl exec -T web id
fi
check_equal "the container that all this was about never noticed" "active $leader" \
    "$(systemctl is-active ctr@db.service) $(systemctl show --value -p MainPID ctr@db.service)"
systemctl stop polkit.service
check "root needs no polkit" busctl call io.ctrd1 /io/ctrd1 io.ctrd1.Manager StopContainer s db
