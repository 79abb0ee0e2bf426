#!/bin/bash
# A container that says itself when it is ready, and what else systemd gives a service: credentials.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
. "$(dirname -- "$0")/declared.sh"

system_tree "$PWD/tree"
mkdir -p "$PWD/secrets"
echo "a secret" > "$PWD/secrets/word"
chmod 600 "$PWD/secrets/word"

# --- notify ------------------------------------------------------------------------------------------------------------
declare_container tells << TOML
rootfs = "$PWD/tree"
start = "manual"
notify = true
command = ["/bin/sh", "-c", """
systemd-notify --status=nothing; sleep 1; touch /root/before; systemd-notify --ready --pid=7777; exec sleep 1000
"""]
TOML
check "a program that says READY=1 is waited for" systemctl start ctr@tells.service
check "until then, and with systemd-notify's barrier" test -e tree/root/before
check "what else it says is not heard: its first process is what it was" eval 'tr "\0" " " < "/proc/$(property tells MainPID)/cmdline" | grep -q "sleep 1000"'
systemctl stop ctr@tells.service
check "nothing of it stays on the host" eval '[ ! -e /run/ctrd/host/tells ] && nothing_left tells'

declare_container silent << TOML
rootfs = "$PWD/tree"
start = "manual"
notify = true
ready-timeout = "2s"
command = ["/bin/sleep", "1000"]
TOML
check_status "one that says nothing is not ready" 1 systemctl start ctr@silent.service
check_log "and the message says so" silent "did not say READY=1 in time"
declare_container gone << TOML
rootfs = "$PWD/tree"
start = "manual"
notify = true
command = ["/bin/false"]
TOML
check_status "one that ends before is a failure" 1 systemctl start ctr@gone.service
check_log "of which the message says so" gone "container 'gone' has ended: its first process exited with status 1"
# systemd sees the end, too, and kills who would say more: whoever is first.
for _ in {1..20}; do
    ! wait_for 1 log_has gone "ended before it said READY=1" || break
    systemctl start ctr@gone.service 2> /dev/null
done
check_log "and, where it comes to it, before what" gone "ended before it said READY=1"

# --- credentials -------------------------------------------------------------------------------------------------------
declare_container knows << TOML
rootfs = "$PWD/tree"
start = "manual"
user = "www-data"
command = ["/bin/sh", "-c", "cat \$CREDENTIALS_DIRECTORY/word \$CREDENTIALS_DIRECTORY/given; ls -ln \$CREDENTIALS_DIRECTORY; echo x > \$CREDENTIALS_DIRECTORY/word; exec sleep 1000"]

[credentials]
word = "$PWD/secrets/word"
TOML
mkdir -p /run/systemd/system/ctr@knows.service.d
at_exit rm -rf /run/systemd/system/ctr@knows.service.d
printf '[Service]\nSetCredential=given:by-a-drop-in\n' > /run/systemd/system/ctr@knows.service.d/more.conf
systemctl daemon-reload
check "a container with credentials starts" systemctl start ctr@knows.service
check "the program reads them, as its user" wait_for 30 log_has knows "a secret"
check "also those that a drop-in gives the unit" wait_for 30 log_has knows "by-a-drop-in"
check "nobody else can" wait_for 30 eval 'log_of knows | grep -qE "^-r-------- 1 33 33 .* word"'
check "it can't change them" wait_for 30 log_has knows "Read-only file system"
check_status "and they are nowhere else" 2 runuser -u tester -- ls /run/ctrd/host/
systemctl stop ctr@knows.service
check "they are gone with it" test ! -e /run/ctrd/host/knows
