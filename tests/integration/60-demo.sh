#!/bin/bash
. "$(dirname -- "$0")/lib.sh"
needs curl nginx machinectl
# The machine's own tree has an nginx: none has to be made, or downloaded.
export CTRD_DEMO_ROOTFS=/
declaration=/etc/ctrd/containers/ctrd-demo.toml

nothing_is_left() {
    [ ! -e "$declaration" ] && [ "$(systemctl show -P ActiveState ctr@ctrd-demo.socket)" = inactive ] &&
        ! grep ctrd-demo /proc/self/mounts && ! compgen -G '/tmp/ctrd-demo.*'
}

run_demo() {
    "$CTRD_SOURCE/tools/demo" > demo.out 2>&1
}

check_status "the demo shows all that it wants to show" 0 run_demo
sed -n 's/^  ok  /ok - the demo: /p; s/^  NO  /not ok - the demo: /p' demo.out
grep -q '^  NO  ' demo.out && sed 's/^/    /' demo.out
check "after the demo nothing of it is left" nothing_is_left

"$CTRD_SOURCE/tools/demo" > demo.out 2>&1 &
demo=$!
wait_for 20 systemctl --quiet is-active ctr@ctrd-demo.service || give_up "the demo starts its container" "$(< demo.out)"
kill -TERM $demo
wait $demo
check_equal "a demo that is ended ends with the signal's status" 143 $?
check "a demo that is ended leaves nothing behind" nothing_is_left

touch "$declaration"
check_status "the demo refuses a name that is in use" 1 run_demo
check_contains "and says whose it is" "declared already, in '$declaration'" "$(< demo.out)"
rm -- "$declaration"
