#!/bin/bash
# CVE-2026-31431: the kernel's ciphers as sockets, with which a payload wrote to pages of others. Here the kernel has them,
# and runs 32-bit programs. Without a profile, which is the build without the protection, each attack succeeds.
. "$(dirname -- "$0")/../integration/lib.sh"
attack=$CTRD_BUILD/tests/attack/attack
[ -x "$attack" ] || give_up "tests/attack is built"

make_busybox_tree tree
cp -- "$attack" tree/bin/attack
mkdir bundle
ln -s ../tree bundle/rootfs
ctr-oci spec --bundle bundle
mv bundle/config.json base.json
run() { # FILTER
    jq ".process.terminal = false | .process.args = [\"/bin/attack\", \"alg\"] | $1" base.json > bundle/config.json
    ctr-oci run --bundle bundle alg 2>&1
}
open=$(run .)
for how in socket "i386 socket" "i386 socketcall"; do
    check_contains "without a profile a payload gets an AF_ALG socket by $how" "$how: LOOT" "$open"
done
profile='.linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": [
    {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 93, "args": [{"index": 0, "value": 38, "op": "SCMP_CMP_EQ"}]}]}'
refused=$(run "$profile")
for how in socket "i386 socket" "i386 socketcall" "x32 socket"; do
    check_contains "with a profile that names every ABI it gets none by $how" "$how: Protocol not supported" "$refused"
done
refused=$(run "$profile | .linux.seccomp.architectures = [\"SCMP_ARCH_X86_64\"]")
for how in "i386 socket" "i386 socketcall" "x32 socket"; do
    check_contains "one that names this ABI alone ends who uses another: $how" "$how: ended by signal 31" "$refused"
done

# A declared container, whose profile nobody has written.
folder=/etc/ctrd/containers
mkdir -p $folder
printf 'rootfs = "%s"\ncommand = ["/bin/attack", "alg"]\nstart = "manual"\n' "$PWD/tree" > $folder/alg.toml
tidy() {
    systemctl stop ctr@alg.service
    rm -f $folder/alg.toml
    systemctl daemon-reload
    systemctl reset-failed 'ctr@*'
}
at_exit tidy
systemctl daemon-reload
systemctl start ctr@alg.service
said() { journalctl --sync; journalctl --no-pager -o cat -t alg; }
check "a declared container tries" wait_for 60 eval 'said | grep -qx tried'
declared=$(said)
check_not_contains "and gets none" LOOT "$declared"
check_contains "by the default profile" "socket: Address family not supported" "$declared"
check_contains "by socketcall neither, whose arguments no filter sees" "i386 socketcall: Address family not supported" "$declared"
