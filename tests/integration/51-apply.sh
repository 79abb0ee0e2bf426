#!/bin/bash
# ctrctl apply: from declarations to what runs, for everything that can change in between.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
needs ctrctl jq busybox curl ss

folder=/etc/ctrd/containers
mkdir -p $folder
tidy() {
    rm -rf "${folder:?}"/*
    ctrctl apply
    rm -rf /srv/tree
    systemctl reset-failed 'ctr@*'
}
at_exit tidy
make_busybox_tree /srv/tree
mkdir /srv/tree/www
echo content > /srv/tree/www/index.html

declare_web() { # LISTEN LINE...
    local listen=$1
    shift
    {
        printf 'rootfs = "/srv/tree"\ncommand = ["/bin/httpd", "-f", "-p", "80", "-h", "/www"]\n'
        printf '%s\n' "$@"
        printf '[[socket]]\nlisten = "%s"\nport = 80\n' "$listen"
    } > $folder/web.toml
}
declare_loop() { # NAME LINE...
    {
        printf 'rootfs = "/srv/tree"\ncommand = ["/bin/sh", "-c", "trap '\''exit 0'\'' TERM; while :; do sleep 0.05; done"]\n'
        printf '%s\n' "${@:2}"
    } > "$folder/$1.toml"
}
get() { # PORT
    curl -sS -m 10 "http://127.0.0.1:$1/index.html"
}
pid_of() { # NAME
    systemctl show --value -p MainPID "ctr@$1.service"
}
listens() { # PORT
    ss -Htln "sport = :$1" | wc -l
}

check_contains "apply with nothing declared has nothing to do" "nothing to do" "$(ctrctl apply)"

# --- created ---------------------------------------------------------------------------------------------------------
declare_web 127.0.0.1:8080
declare_loop loop
check "apply -n only says what it would do" ctrctl apply --dry-run
check_contains "and says it" "web: created, listening on 127.0.0.1:8080" "$output"
check_equal "and does nothing" "0 " "$(listens 8080) $(ls /run/ctrd/compiled 2> /dev/null)"
check "apply" ctrctl apply
check_equal "one line for each container" $'loop: created, started\nweb: created, listening on 127.0.0.1:8080' "$output"
check_equal "a container with a socket listens and does not run" "1 0" "$(listens 8080) $(pid_of web)"
check "one without runs" test "$(pid_of loop)" != 0
check_equal "the first connection is answered" content "$(get 8080)"
check_contains "a second apply has nothing to do" "nothing to do" "$(ctrctl apply)"
check_equal "apply NAME says so of that one" "web: unchanged" "$(ctrctl apply web)"

# --- UDP alone
declare_loop udp '[[socket]]' 'listen = "127.0.0.1:8087"' 'type = "datagram"' 'port = 53'
check_equal "a container with a UDP socket alone listens, too" "udp: created, listening on 127.0.0.1:8087 (UDP)" "$(ctrctl apply)"
check_equal "and does not run before somebody writes" "1 inactive" "$(ss -Hlun 'sport = :8087' | wc -l) $(systemctl show --value -p ActiveState ctr@udp.service)"
check_contains "with it, too, a second apply has nothing to do" "nothing to do" "$(ctrctl apply)"
sed -i 's/8087/8088/' $folder/udp.toml
check_equal "it moves to another port" "udp: changed, listening on 127.0.0.1:8088 (UDP), used from its next start on 0 1" "$(ctrctl apply) $(ss -Hlun 'sport = :8087' | wc -l) $(ss -Hlun 'sport = :8088' | wc -l)"
rm $folder/udp.toml
check_equal "and goes with its declaration" "udp: removed, stopped 0" "$(ctrctl apply) $(ss -Hlun 'sport = :8088' | wc -l)"

# --- changed ---------------------------------------------------------------------------------------------------------
before=$(pid_of web)
loop=$(pid_of loop)
declare_web 127.0.0.1:8080 'environment = { A = "1" }'
check_equal "a changed configuration restarts it" "web: changed, restarted" "$(ctrctl apply)"
check "it is another process" test "$(pid_of web)" != "$before"
check_equal "others are left alone" "$loop" "$(pid_of loop)"
check_equal "it answers" content "$(get 8080)"
declare_web 127.0.0.1:8081 'environment = { A = "1" }'
check_equal "a changed address moves the socket" "web: changed, listening on 127.0.0.1:8081, restarted" "$(ctrctl apply)"
check_equal "the old one is closed" "0 1" "$(listens 8080) $(listens 8081)"
check_equal "it answers at the new one" content "$(get 8081)"
ctrctl stop web
declare_web 127.0.0.1:8081 'environment = { A = "2" }'
check_contains "one that does not run uses it from its next start on" "web: changed, used from its next start on" "$(ctrctl apply)"
check_equal "and is not started" 0 "$(pid_of web)"
check_equal "until somebody connects" content "$(get 8081)"

# --- systemctl daemon-reload in between ------------------------------------------------------------------------------
before=$(pid_of web)
declare_web 127.0.0.1:8081 'environment = { A = "3" }'
systemctl daemon-reload
check_contains "what was read by a daemon-reload already is still found to be outdated" "web: unchanged, restarted" "$(ctrctl apply)"
check "and it runs anew" test "$(pid_of web)" != "$before"
declare_web 127.0.0.1:8082 'environment = { A = "3" }'
systemctl daemon-reload
check_contains "so is a socket that listens elsewhere" "listening on 127.0.0.1:8082" "$(ctrctl apply)"
check_equal "and it answers there" content "$(get 8082)"

# --- one of several --------------------------------------------------------------------------------------------------
declare_loop other
declare_web 127.0.0.1:8083 'environment = { A = "3" }'
check_equal "apply NAME does only that one" "other: created, started" "$(ctrctl apply other)"
check_equal "another one's change waits" 0 "$(listens 8083)"
check_contains "for its own apply" "listening on 127.0.0.1:8083" "$(ctrctl apply web)"
check_status "a name that no file declares is 3" 3 ctrctl apply wbe
check_contains "with the nearest one" "did you mean 'web'?" "$output"

# --- removed ---------------------------------------------------------------------------------------------------------
get 8083 > /dev/null
rm $folder/web.toml $folder/other.toml
check_equal "--json tells the same" "other removed, stopped; web removed, stopped" \
    "$(ctrctl apply --json=short | jq -r 'map("\(.name) \(.summary)") | join("; ")')"
check_equal "nothing listens, nothing runs, nothing is compiled" "0 loop" "$(listens 8083) $(ls /run/ctrd/compiled)"
check_equal "the rest runs on" "$loop" "$(pid_of loop)"

printf 'rootfs = "/srv/tree"\ncommand = ["/bin/true"]\n[[socket]]\nname = "four"\nlisten = "0.0.0.0:8084"\nport = 80\n[[socket]]\nname = "six"\nlisten = "[::]:8084"\nport = 81\n' > $folder/both.toml
check_equal "one container may have a port on IPv4 and another one on IPv6" "both: created, listening on 0.0.0.0:8084 and [::]:8084" "$(ctrctl apply)"
rm $folder/both.toml
check "and be removed" ctrctl apply

# --- what fails ------------------------------------------------------------------------------------------------------
printf 'rootfs = "/srv/tree"\ncommand = ["/bin/nosuch"]\n' > $folder/bad.toml
declare_loop good
check_status "a container that can't start is a failure" 1 ctrctl apply
check_contains "which says where to look" "ctrctl logs bad" "$output"
check_contains "and keeps no other one from its start" "good: created, started" "$output"
printf 'rootfs = "/srv/tree"\ncommand = ["/bin/true"]\n' > $folder/bad.toml
systemctl reset-failed ctr@bad.service
rm $folder/bad.toml
check "apply cleans up after it" ctrctl apply
