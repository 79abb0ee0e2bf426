#!/bin/bash
# Images on the oldest kernel and a disk's file system: overlayfs is older there, and what it takes is another.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/../integration/lib.sh"
needs ctrctl jq busybox
. "$(dirname -- "$0")/../integration/declared.sh"
. "$(dirname -- "$0")/../integration/images.sh"
at_exit sh -c 'rm -rf /var/lib/ctrd/*'

layered_trees
docker_archive web.tar host.example/web:1 '{"Entrypoint": ["sh", "-c"], "User": "web"}' one.tar two.tar three.tar
check "an image of three layers is loaded" ctrctl image load web.tar
check_equal "what was deleted and hidden is not seen, what was written over is" "33 3 x z 1" \
    "$(ctrctl run host.example/web:1 'echo $(id -u) $(cat /etc/a) $(test -e /etc/b || echo x) $(ls /dir) $(cat /keep/k)')"
many_layers 129
docker_archive many.tar host.example/many:1 '{"Entrypoint": ["sh", "-c"]}' layers/{0..129}.tar
check "an image of 130 layers is loaded" ctrctl image load many.tar
check_equal "and runs" "129 129" "$(ctrctl run host.example/many:1 'cat /top; ls / | grep -c "^f[0-9]"' | xargs)"

image_container() { # NAME MORE
    declare_container "$1" < <(printf '%s\n' 'image = "host.example/web:1"' 'user = "0"' 'command = ["sleep 3133337"]' 'start = "manual"' "$2")
}
image_container kept ''
image_container forgets 'volatile = "overlay"'
for name in kept forgets; do
    check "a container of it starts ($name)" systemctl start "ctr@$name"
    check "and can be written to ($name)" ctrctl exec "$name" sh -c 'echo mine > /etc/mine; rm /keep/k'
    systemctl restart "ctr@$name"
done
check_equal "what was written is kept over a restart" mine "$(ctrctl exec kept cat /etc/mine)"
check_status "so is what was deleted" 1 ctrctl exec kept test -e /keep/k
check_equal "or forgotten, as declared" 1 "$(ctrctl exec forgets cat /keep/k)"
check_equal "nothing is mounted on the host" "" "$(grep -w overlay /proc/self/mountinfo | grep -F /var/lib/ctrd)"
