#!/bin/bash
# private-users on the oldest kernel and a disk's file system: both must do idmapped mounts, and overlayfs over them.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
. "$(dirname -- "$0")/../integration/lib.sh"
needs ctrctl jq busybox python3
. "$(dirname -- "$0")/../integration/declared.sh"
. "$(dirname -- "$0")/../integration/images.sh"
at_exit sh -c 'rm -rf /var/lib/ctrd/*'
. "$(dirname -- "$0")/../integration/private-users.sh"
