#!/bin/bash
# Groups of containers in slices, and limits that systemd keeps.
. "$(dirname -- "$0")/../integration/lib.sh"
. "$(dirname -- "$0")/../integration/declared.sh"
needs busybox busctl jq python3

make_busybox_tree /srv/tree
at_exit rm -rf /srv/tree
top=/sys/fs/cgroup/machine.slice/machine-shop.slice
value() { # UNIT FILE
    xargs < "$top/$1/$2"
}

# --- a slice of several ----------------------------------------------------------------------------------------------
for name in one two; do
    declare_container $name << TOML
rootfs = "/srv/tree"
start = "manual"
slice = "machine-shop.slice"
command = ["/bin/sleep", "1000"]
stop-signal = "SIGKILL"
[resources]
memory-max = "64M"
tasks-max = 100
TOML
done
check "two containers of one slice start" ctrctl start one two
check_equal "in its cgroup" "/machine.slice/machine-shop.slice/ctr@one.service" "$(property one ControlGroup)"
check_equal "each has its own limits" "67108864 100 67108864 100" \
    "$(value ctr@one.service memory.max) $(value ctr@one.service pids.max) $(value ctr@two.service memory.max) $(value ctr@two.service pids.max)"
check "the slice gets limits for all of it" systemctl set-property machine-shop.slice MemoryMax=96M TasksMax=9 CPUWeight=50
at_exit systemctl revert machine-shop.slice
check_equal "which the kernel has" "100663296 9 50" "$(value . memory.max) $(value . pids.max) $(value . cpu.weight)"
check_status "no more processes than the slice allows" 2 ctrctl exec -T one sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do sleep 3 & done 2> /dev/null'
check_equal "ctrd finds a container by its cgroup there" '"/io/ctrd1/container/two"' \
    "$(busctl --json=short call io.ctrd1 /io/ctrd1 io.ctrd1.Manager GetContainerByCGroup s "$(property two ControlGroup)/payload" | jq -c '.data[0]')"
check_equal "machined, too" ctr@two.service "$(machinectl show two --value -p Unit)"
check "pause" ctrctl pause two
check_equal "stops that one alone" "0 1" \
    "$(value ctr@one.service/payload cgroup.freeze) $(sed -n 's/^frozen //p' "$top/ctr@two.service/payload/cgroup.events")"
check "and resume" ctrctl resume two
systemctl set-property machine-shop.slice TasksMax=infinity
check "run --slice" ctrctl run --detach --name three --slice machine-shop --rootfs /srv/tree -- /bin/sleep 1000
check_equal "puts one in the background there, too" "/machine.slice/machine-shop.slice/ctr@three.service" "$(property three ControlGroup)"
check "rm" ctrctl rm --force three
check_contains "and one in the foreground" "/machine.slice/machine-shop.slice/ctr-four.scope" \
    "$(ctrctl run --name four --slice machine-shop --rootfs /srv/tree -- /bin/sleep 3 & \
        wait_for 20 ls -d $top/ctr-four.scope; systemctl show --value -p ControlGroup ctr-four.scope; wait)"
check_status "a slice that is not below machine.slice is refused" 2 ctrctl run --slice shop --rootfs /srv/tree -- /bin/true
check_contains "with what to write" 'write "machine-shop.slice"' "$output"

# --- what is set by hand, later ---------------------------------------------------------------------------------------
check "systemctl set-property" systemctl set-property ctr@one.service MemoryMax=48M
check "ctrctl set" ctrctl set two memory-max=40M cpu-weight=33
systemctl daemon-reload
ctrctl restart one two
check_equal "hold after a restart and a reload, and win over the declaration" "50331648 41943040 33" \
    "$(value ctr@one.service memory.max) $(value ctr@two.service memory.max) $(value ctr@two.service cpu.weight)"
check_equal "what was not set is as declared" 100 "$(value ctr@two.service pids.max)"
systemctl revert ctr@one.service ctr@two.service
check_equal "and goes with systemctl revert" "67108864 67108864" "$(value ctr@one.service memory.max) $(value ctr@two.service memory.max)"
ctrctl stop one

# --- an adopted socket is in the slice as well ------------------------------------------------------------------------
check "a rootfs of this machine's own installation" system_tree "$PWD/system"
cat > system/srv/greet.py << 'PYTHON'
import socket
server = socket.create_server(("0.0.0.0", 80))
while True:
    client, peer = server.accept()
    client.send(b"hello\n")
    client.close()
PYTHON
declare_container greet << TOML
rootfs = "$PWD/system"
slice = "machine-shop-front.slice"
command = ["/usr/bin/python3", "/srv/greet.py"]
[[socket]]
listen = "0.0.0.0:8106"
port = 80
TOML
listening greet
check_equal "a server in a slice below another is adopted" hello "$(ask 8106)"
check_equal "it is there" "/machine.slice/machine-shop.slice/machine-shop-front.slice/ctr@greet.service" "$(property greet ControlGroup)"
systemctl set-property --runtime machine-shop-front.slice IPAddressDeny=127.0.0.1
check_equal "who the slice denies gets no connection" "" "$(timeout 3 python3 -c 'import socket
print(socket.create_connection(("127.0.0.1", 8106), 2).recv(99))' 2> /dev/null)"
systemctl revert machine-shop-front.slice
systemctl stop ctr@greet.socket ctr@greet.service
