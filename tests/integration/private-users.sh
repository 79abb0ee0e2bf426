# Containers of images with private-users: for the nested bed and for the oldest kernel. Source it after declared.sh and
# images.sh, in a folder of one's own.
# shellcheck shell=bash disable=SC2016

layered_trees
mkdir -p four/etc && echo four > four/etc/seven && chown 7:8 four/etc/seven && cp /usr/bin/true four/capable
setcap cap_net_bind_service+ep four/capable
tar -C four --xattrs --xattrs-include='*' -cf four.tar .
docker_archive web.tar host.example/web:1 '{"Entrypoint": ["/bin/sh", "-c"]}' one.tar two.tar three.tar four.tar
ctrctl image load web.tar > /dev/null || give_up "an image is loaded"
private_container() { # NAME MORE
    declare_container "$1" < <(printf '%s\n' 'image = "host.example/web:1"' \
        'command = ["httpd -p 8080 -h /; sleep 3133337"]' 'start = "manual"' 'private-users = true' "$2")
}
inside() { ctrctl exec "$1" sh -c "$2"; }
leader() { property "$1" MainPID; }
first_of() { awk '{ print $2 }' "/proc/$(leader "$1")/uid_map"; }
owner_of_process() { awk '/^Uid:/ { print $2 }' "/proc/$1/status"; }

private_container one ''
private_container two 'volatile = "overlay"'
for name in one two; do check "a container with its own users starts ($name)" systemctl start "ctr@$name"; done
first=$(first_of one)
check "root in it is nobody who has a name on the host" test "$first" -ge 524288
check_equal "the host sees it so" "$first" "$(owner_of_process "$(leader one)")"
check_equal "each has a range of its own" "65536 yes" "$(awk '{ print $3 }' "/proc/$(leader two)/uid_map") $([ "$first" != "$(first_of two)" ] && echo yes)"
check_equal "the files of the layers are those of the image's users" "0:0 7:8 33" "$(inside one 'echo $(stat -c %u:%g /bin/sh /etc/seven) $(id -u web)')"
check_equal "layers lie over each other as ever" "3 x z" "$(inside one 'echo $(cat /etc/a) $(test -e /etc/b || echo x) $(ls /dir)')"
for name in one two; do
    check "it writes, takes over, deletes and gives away ($name)" inside "$name" 'echo mine > /etc/mine; echo more >> /etc/seven
        rm /keep/k; rm -r /dir; mkdir /dir; echo x > /tmp-file; chown 33:34 /tmp-file; chmod 4755 /tmp-file; mkdir /d; chown 5 /d'
    check_equal "and sees it so ($name)" "0:0 7:8 33:34 4755" "$(inside "$name" 'echo $(stat -c %u:%g /etc/mine /etc/seven /tmp-file) $(stat -c %a /tmp-file)')"
done
upper=$(echo /var/lib/ctrd/containers/one/*/upper)
check_equal "on the disk it has the owners that an image would have" "0:0 7:8 33:34 5" \
    "$(stat -c %u:%g "$upper/etc/mine" "$upper/etc/seven" "$upper/tmp-file" | xargs) $(stat -c %u "$upper/d")"
check_equal "the layers themselves are as they were" 1 "$(cat /var/lib/ctrd/layers/*/keep/k)"
becomes_root='sed -i "s/^root:[^:]*:/root::/" /etc/passwd; chmod 4755 /bin/busybox'
inside one "$becomes_root"
check_equal "a setuid program is what it is" 0 "$(ctrctl exec -u web one su -c 'id -u')"
check_status "the host's files are not its own" 1 inside one 'echo 1 > /proc/sys/kernel/panic'
check_status "nor can it make devices" 1 inside one 'mknod /null c 1 3'
systemctl restart ctr@one ctr@two
check_equal "a restart keeps ids and files" "$first mine 33:34 gone" \
    "$(first_of one) $(inside one 'echo $(cat /etc/mine) $(stat -c %u:%g /tmp-file) $(test -e /keep/k || echo gone)')"
check_equal "a volatile one has forgotten its files" "gone 1" "$(inside two 'echo $(test -e /etc/mine || echo gone) $(cat /keep/k)')"
check "prune leaves ids that are declared" ctrctl image prune
check_equal "of each" "one two" "$(cd /var/lib/ctrd/users && echo ?*)"
systemctl restart ctr@one
check_equal "and the same ones" "$first" "$(first_of one)"

# --- what leaves it and comes into it ---------------------------------------------------------------------------------
echo copied > copied && chown 4:5 copied
check "files are copied into it" ctrctl cp copied one:/copied
check_equal "and are its root's or their own there, never the host's" 1 "$(inside one 'stat -c %u /copied' | grep -cE '^(0|4)$')"
check_equal "and out of it" copied "$(ctrctl cp one:/copied out > /dev/null && cat out)"
check_equal "what it has written is shown" "A /etc/mine D /keep/k" \
    "$(for line in 'A /etc/mine' 'D /keep/k'; do ctrctl diff one | grep -Fx "$line"; done | xargs)"
check "and becomes an image" ctrctl commit one host.example/kept:1
check_equal "with the owners that it had inside" "0:0 7:8 33:34 4755 five" \
    "$(ctrctl run host.example/kept:1 'echo $(stat -c %u:%g /etc/mine /etc/seven /tmp-file) $(stat -c %a /tmp-file) $(test $(stat -c %u /d) = 5 && echo five)')"
check "all of its files are a tar" ctrctl export -o one-files.tar one
check_equal "with the same owners" "0/0 7/8 33/34" "$(for file in etc/mine etc/seven tmp-file; do tar --numeric-owner -tvf one-files.tar "$file" | awk '{ print $2 }'; done | xargs)"
check "a volatile one's, too" ctrctl export -o two-files.tar two
check_equal "as well" "7/8" "$(tar --numeric-owner -tvf two-files.tar etc/seven | awk '{ print $2 }')"
if getcap four/capable | grep -q net_bind; then
    check_equal "a file's capabilities are for root of any range, as in the image" "1" \
        "$(mkdir -p x && tar -C x --xattrs --xattrs-include='*' -xf one-files.tar ./capable 2> /dev/null || tar -C x --xattrs --xattrs-include='*' -xf one-files.tar capable; getcap x/capable | grep -c 'cap_net_bind_service=ep$')"
fi

# --- a foreground run -------------------------------------------------------------------------------------------------
check_equal "a run in the foreground" "0 0:0 7:8 33 yes" "$(ctrctl run --private-users=pick host.example/web:1 \
    'echo $(id -u) $(stat -c %u:%g /bin/sh /etc/seven) $(id -u web) $(awk "{ if (\$2 >= 524288) print \"yes\" }" /proc/self/uid_map)')"
check_equal "in which a setuid program is what it is, too" 0 "$(ctrctl run --private-users=pick -u web host.example/kept:1 \
    "exec su -c 'id -u'")"
check_equal "it can write" new "$(ctrctl run --private-users=pick host.example/web:1 'echo new > /etc/new; cat /etc/new')"
check_equal "with another user than root, too" 33 "$(ctrctl run --private-users=pick -u web host.example/web:1 'id -u')"
check_equal "nothing is mounted on the host" "" "$(grep -w overlay /proc/self/mountinfo | grep -F /var/lib/ctrd)"

# --- a first connection -----------------------------------------------------------------------------------------------
mkdir -p /etc/ctrd/containers
declare_container served << 'TOML'
image = "host.example/web:1"
command = ["exec httpd -f -p 80 -h /etc"]
private-users = true
[[socket]]
listen = "127.0.0.1:18080"
port = 80
TOML
listening served
check_equal "a first connection starts one" 3 "$(python3 -c 'import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:18080/a", timeout=60).read().decode().strip())')"
check "whose users are its own" test "$(first_of served)" -ge 524288
systemctl stop ctr@served.socket ctr@served
