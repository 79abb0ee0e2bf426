#!/bin/bash
# image = in declarations, and ctrctl run IMAGE: what the layers make together, what is kept of what is written, which
# image exactly runs, and that nobody removes it meanwhile.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/lib.sh"
needs ctrctl jq busybox umoci buildah nginx
. "$(dirname -- "$0")/declared.sh"
. "$(dirname -- "$0")/images.sh"

work=$(mktemp -d /var/tmp/image-run.XXXXXX)
at_exit rm -rf "$work"
cd "$work" || exit 1
at_exit sh -c 'rm -rf /var/lib/ctrd/*'

load() { ctrctl image load "$@" > /dev/null; }

# --- three layers: the second deletes and hides, the third writes over ------------------------------------------------
layered_trees
config='{"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo default"], "User": "web", "WorkingDir": "/keep",
    "Env": ["PATH=/bin", "A=image"], "StopSignal": "SIGUSR1"}'
docker_archive web.tar host.example/web:1 "$config" one.tar two.tar three.tar
check "an image of three layers is loaded" load web.tar
web=$(ctrctl image list --json | jq -r '.[0].digest')

run() { ctrctl run host.example/web:1 "$@"; }
check_equal "an image runs with its own command" default "$(run)"
check_equal "as its user, in its folder, with its environment" "33 34 34 40 /keep image /home/web" \
    "$(run 'echo $(id -u) $(id -g) $(id -G) $PWD $A $HOME')"
check_equal "what was deleted and hidden is not seen, what was written over is" "3 x dir=z k=1" \
    "$(run 'echo $(cat /etc/a) $(test -e /etc/b || echo x) dir=$(ls /dir) k=$(cat /keep/k)')"
check_equal "a hidden folder has the upper layer's owner" "0:0" "$(run 'stat -c %u:%g /dir')"
check_equal "another entrypoint takes the place of both" "a b" "$(ctrctl run --entrypoint /bin/echo host.example/web:1 a b)"
check_equal "by its digest, too" default "$(ctrctl run "$web")"
check_equal "its command may be root and write" "0 new" "$(ctrctl run -u 0 host.example/web:1 'echo new > /etc/n; echo $(id -u) $(cat /etc/n)')"
check_equal "the next one does not see that" x "$(run 'test -e /etc/n || echo x')"
check_status "--read-only" 1 ctrctl run -u 0 --read-only host.example/web:1 'touch /etc/n'
check_equal "the root folder has the image's mode" 755 "$(ctrctl run host.example/web:1 'stat -c %a /')"
check_status "an image that is neither there nor to be had" 1 ctrctl run host.example/none:1
check_contains "and the message says so" "image 'host.example/none:1' is not stored, and can't be pulled: " "$output"
check_equal "nothing of all that is left" "" "$(ls -A /var/lib/ctrd/tmp; find /run/ctrd/adhoc -mindepth 1; grep -w overlay /proc/self/mountinfo | grep -F /var/lib/ctrd)"

# --- declared ---------------------------------------------------------------------------------------------------------
sleeping() { # NAME MORE: declared, and running
    printf 'image = "host.example/web:1"\ncommand = ["echo up; sleep 3133337"]\nuser = "0"\nstart = "manual"\n%s\n' "$2" > "/etc/ctrd/containers/$1.toml"
    _declared+=("$1")
}
apply() { ctrctl apply "$@"; }
inside() { ctrctl exec "$1" sh -c "$2"; }
mkdir -p /etc/ctrd/containers
at_exit ctrctl apply
at_exit sh -c 'rm -f /etc/ctrd/containers/*'
sleeping a ''
sleeping b 'volatile = "overlay"'
sleeping c 'read-only = true'
sleeping d 'volatile = "state"'
check "containers of images are applied" apply
check_contains "which says what was done" "a: created" "$output"
for name in a b c d; do check "$name starts" systemctl start "ctr@$name"; done
check_equal "the image's entrypoint runs the declared command" "sleep 3133337" \
    "$(tr '\0' ' ' < /proc/"$(property a MainPID)"/cmdline | sed 's/ $//')"
inside a 'echo a > /etc/mine; rm /keep/k'
inside b 'echo b > /etc/mine'
check_equal "containers of one image don't see what the others write" "a b 1 1" \
    "$(inside a 'cat /etc/mine') $(inside b 'cat /etc/mine') $(inside b 'cat /keep/k') $(inside c 'cat /keep/k')"
check_status "a read-only one can't write" 1 inside c 'echo c > /etc/mine'
check_status "volatile = \"state\": nor this one, but" 1 inside d 'echo d > /etc/mine'
check "in /var it can" inside d 'echo d > /var/mine'
for name in a b d; do systemctl restart "ctr@$name"; done
check_equal "a restart keeps what was written, and what was deleted" "a gone" "$(inside a 'cat /etc/mine; test -e /keep/k || echo gone' | xargs)"
check_equal "a volatile one has forgotten it" "gone 1" "$(inside b 'test -e /etc/mine || echo gone; cat /keep/k' | xargs)"
check_equal "so has /var" gone "$(inside d 'test -e /var/mine || echo gone')"
check_equal "the layers themselves are as they were" 1 "$(cat /var/lib/ctrd/layers/*/keep/k)"
check_equal "no overlay is mounted on the host" "" "$(grep -w overlay /proc/self/mountinfo | grep -F -e /var/lib/ctrd -e upperdir=/proc)"

# --- names ------------------------------------------------------------------------------------------------------------
check_equal "a container of an image can look its own name up" "127.0.1.1 a 127.0.0.1" \
    "$(inside a 'echo $(hostname -i) $(grep -w 127.0.1.1 /etc/hosts | cut -f2) $(grep -w localhost /etc/hosts | head -n 1 | cut -f1)')"
check_equal "so can a 'ctrctl run', whatever its image holds" "127.0.1.1 named" \
    "$(ctrctl run --name named -u 0 host.example/web:1 'echo $(hostname -i) $(hostname)')"
check_equal "in the host's network it has the host's names" "$(cat /etc/hosts)" \
    "$(ctrctl run --network host --private-users pick -u 0 host.example/web:1 'cat /etc/hosts')"
check_status "in a file that it can't write to" 1 inside a 'echo 127.0.0.1 else >> /etc/hosts'
echo '127.0.0.9 mine' > hosts
sleeping e "$(printf '[[mount]]\nsource = "%s/hosts"\ntarget = "/etc/hosts"\n' "$work")"
sleeping f 'network = "host"'
check "two more" apply
for name in e f; do check "$name starts" systemctl start "ctr@$name"; done
check_equal "a file that is mounted there by declaration is left alone" "127.0.0.9 mine" "$(inside e 'cat /etc/hosts')"
check_equal "in the host's network it has the host's names" "$(cat /etc/hosts; echo; cat /etc/resolv.conf 2> /dev/null)" \
    "$(inside f 'cat /etc/hosts; echo; cat /etc/resolv.conf' 2> /dev/null)"
for name in e f; do systemctl stop "ctr@$name"; rm "/etc/ctrd/containers/$name.toml"; done
check "which are taken away again" apply

# --- which image exactly ----------------------------------------------------------------------------------------------
check_equal "the bus says which image runs" "host.example/web:1 $web" "$(ctrctl show --value -p Image -p ImageDigest a | xargs)"
check_contains "so does the unit" "CTRD_IMAGE=host.example/web:1@$web" "$(property a Environment)"
check_contains "and status" "$web" "$(ctrctl status a)"
check_equal "and the journal" "host.example/web:1@$web" \
    "$(journalctl --sync; journalctl -u ctr@a.service -o json SYSLOG_IDENTIFIER=a MESSAGE=up | tail -n 1 | jq -r .CTRD_IMAGE)"
check_equal "and the list of images says who uses it" "a b c d" "$(ctrctl image list --json | jq -r '.[0].usedBy | join(" ")')"
check_status "its name can't be removed" 1 ctrctl image rm host.example/web:1
check_contains "and the message says whose it is" "is used by container '" "$output"

mkdir four && echo 4 > four/new && tar -C four -cf four.tar .
docker_archive newer.tar host.example/web:1 "$config" one.tar two.tar three.tar four.tar
load --replace newer.tar
newer=$(ctrctl image list --json | jq -r '.[] | select(.name == "host.example/web:1") | .digest')
check_equal "the name means another image now" yes "$([ "$newer" != "$web" ] && echo yes)"
systemctl daemon-reload
check_equal "a reload does not change what a container uses" "$web" "$(ctrctl show --value -p ImageDigest a)"
systemctl restart ctr@b
check_equal "nor does a restart" "$web" "$(ctrctl show --value -p ImageDigest b)"
check_contains "apply says what it would do" "a: changed, its image is now host.example/web:1 (sha256:${newer:7:12}), restarted" "$(apply -n a)"
check_equal "and does nothing then" "$web" "$(ctrctl show --value -p ImageDigest a)"
check "prune leaves what containers use" ctrctl image prune
check_equal "they go on" "1" "$(inside b 'cat /keep/k')"
check "apply" apply a
check_contains "restarts with the new image" "restarted" "$output"
check_equal "which the bus says" "$newer" "$(ctrctl show --value -p ImageDigest a)"
check_equal "what was written to the other image is not in this one" "4 gone" "$(inside a 'cat /new; test -e /etc/mine || echo gone' | xargs)"
check_equal "the others still have theirs" "$web" "$(ctrctl show --value -p ImageDigest c)"
check_contains "which has no name any more" '"-"' "$(ctrctl image list | awk '$1 == "-" { print "\"-\"" }')"

# --- removed while they run -------------------------------------------------------------------------------------------
check "a name may be taken away by force" ctrctl image rm --force host.example/web:1
prune_while_starting() {
    local i
    for i in {1..8}; do
        ctrctl image prune > /dev/null || return 1
    done &
    for i in {1..4}; do
        systemctl restart ctr@b || return 1
    done
    wait $!
}
check "starts and prunes at the same time" prune_while_starting
check_equal "take nothing away" "1 4" "$(inside c 'cat /keep/k') $(inside a 'cat /new')"
check_status "what is gone can't be applied" 2 apply a
check_contains "which says where it was declared" "a.toml:1:9: image 'host.example/web:1' is not stored" "$output"
check_contains "and that nothing was changed" "nothing was changed" "$output"
check_equal "it goes on" active "$(systemctl is-active ctr@a)"
load --replace web.tar

# --- killed while it starts -------------------------------------------------------------------------------------------
start_and_kill() {
    systemctl start --no-block ctr@b
    sleep "0.0$((RANDOM % 60 + 10))"
    pid=$(property b MainPID)
    [ "$pid" -le 1 ] || kill -KILL "$pid"
    wait_for 60 sh -c '! systemctl list-jobs | grep -q ctr@b'
    systemctl stop ctr@b
    systemctl reset-failed ctr@b
}
systemctl stop ctr@b
for _ in {1..10}; do start_and_kill 2> /dev/null; done
check_equal "SIGKILL while it starts leaves no mount" "" "$(grep -w overlay /proc/self/mountinfo | grep -F /var/lib/ctrd)"
check "no note of a use" test ! -e /run/ctrd/run/b.image
check "and the next start works" systemctl start ctr@b

# --- removed ----------------------------------------------------------------------------------------------------------
rm /etc/ctrd/containers/[abcd].toml
check "containers are removed" apply
check "prune removes what they have written" ctrctl image prune
check_equal "all of it" "" "$(find /var/lib/ctrd/containers /var/lib/ctrd/pins -mindepth 1)"

# --- images of others -------------------------------------------------------------------------------------------------
umoci init --layout oci && umoci new --image oci:many
mkdir part
for i in {1..8}; do
    echo "$i" > part/f
    cp part/f "part/f$i"
    umoci insert --image oci:many --rootless part /parts > /dev/null
done
# Its "insert" gives hard links wrong names: without any.
mkdir few && cp one/bin/cat few/
umoci insert --image oci:many --rootless few /bin > /dev/null
umoci config --image oci:many --config.cmd cat --config.cmd /parts/f1 --config.cmd /parts/f8
check "an image that umoci made is loaded" load oci host.example/umoci:1
check_equal "and runs" "1 8" "$(ctrctl run host.example/umoci:1 | xargs)"

many_layers 129
docker_archive many.tar host.example/many:1 '{"Entrypoint": ["sh", "-c"]}' layers/{0..129}.tar
check "an image of 130 layers is loaded" load many.tar
check_equal "and runs: the uppermost counts, and all are there" "129 129" "$(ctrctl run host.example/many:1 'cat /top; ls / | grep -c "^f[0-9]"' | xargs)"

# --- a server, started by its first connection ------------------------------------------------------------------------
nginx_tree() { # DIR: nginx and what it loads
    local file
    mkdir -p "$1"/{etc,run,tmp,var/log/nginx,var/lib/nginx,var/www/html,usr/share/nginx}
    for file in /usr/sbin/nginx $(ldd /usr/sbin/nginx | grep -o '/[^ ]*'); do
        mkdir -p "$1$(dirname "$file")" && cp -L "$file" "$1$file"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n' > "$1/etc/passwd"
    printf 'root:x:0:\nwww-data:x:33:\n' > "$1/etc/group"
    echo from the image > "$1/var/www/html/index.html"
    mkdir -p "$1/etc/nginx" && cat > "$1/etc/nginx/nginx.conf" << 'CONF'
user www-data;
error_log stderr;
events {}
http { access_log off; server { listen 80; root /var/www/html; } }
CONF
}
nginx_tree tree
by_buildah() {
    local c
    c=$(buildah from scratch) && buildah add -q "$c" tree / &&
        buildah config --entrypoint '["/usr/sbin/nginx", "-g", "daemon off;"]' --stop-signal SIGQUIT --port 80 "$c" &&
        buildah commit -q "$c" oci-archive:nginx.tar:nginx && buildah rm "$c"
}
at_exit buildah rmi --all --force
check "buildah makes an image of nginx" by_buildah
check "it is loaded" load nginx.tar host.example/nginx:1
printf 'image = "host.example/nginx:1"\n[[socket]]\nlisten = "127.0.0.1:18080"\n' > /etc/ctrd/containers/nginx.toml
_declared+=(nginx)
check "it is declared by three lines, the port is the image's" apply
check_equal "nothing runs" inactive "$(systemctl is-active ctr@nginx)"
check_equal "the first connection starts it" "from the image" "$(curl -s --max-time 60 http://127.0.0.1:18080/)"
check_equal "it gets the image's stop signal" SIGQUIT "$(kill -l "$(property nginx KillSignal)" | sed s/^/SIG/)"
rm /etc/ctrd/containers/nginx.toml

# --- hostile ----------------------------------------------------------------------------------------------------------
docker_archive evil.tar host.example/evil:1 '{"Cmd": ["/bin/sh"], "User": "../../etc/shadow", "WorkingDir": "/../.."}' one.tar
load evil.tar
check_status "a user that is none is refused" 2 ctrctl run host.example/evil:1
printf 'image = "host.example/evil:1"\n' > /etc/ctrd/containers/evil.toml
_declared+=(evil)
check_status "also where it is declared" 2 apply evil
check_contains "with the place in the file, and the reason" "evil.toml:1:9: image 'host.example/evil:1': its working directory" "$output"
ln -s /etc/shadow links && mkdir shadow && mkdir shadow/etc && cp -P links shadow/etc/passwd && tar -C shadow -cf shadow.tar .
docker_archive link.tar host.example/link:1 '{"Entrypoint": ["sh", "-c", "cat /etc/passwd"], "User": "root"}' one.tar shadow.tar
load link.tar
check_status "a passwd that leads out of the image leads nowhere" 2 ctrctl run host.example/link:1
check_contains "which is said" "no user 'root'" "$output"
rm -f /etc/ctrd/containers/evil.toml
apply > /dev/null
