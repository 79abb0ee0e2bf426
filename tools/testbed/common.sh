# Shared by nested and vm: where things are, the cached rootfs, the layer with the current build.
# shellcheck shell=bash

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd -- "$here/../.." && pwd)
suite=${CTRD_TESTBED_SUITE:-bookworm}

die() {
    printf 'testbed: %s\n' "$*" >&2
    exit 125
}

say() {
    printf 'testbed: %s\n' "$*" >&2
}

need_root() {
    [ "$(id -u)" = 0 ] || die "must run as root (it makes namespaces, mounts and cgroups)"
}

need_tool() { # PROGRAM PACKAGE-GROUP
    command -v "$1" > /dev/null || die "'$1' is not installed; run tools/setup $2"
}

# Sets build and cache. The cache may be shared by several build folders.
find_build() {
    build=${CTRD_BUILD:-build}
    [[ $build = /* ]] || build=$repo/$build
    cache=${CTRD_TESTBED_CACHE:-$build/testbed}
    [[ $cache = /* ]] || cache=$repo/$cache
    case $cache in
        *[:,\\]*) die "the path '$cache' holds a ':', ',' or '\\', which overlayfs can't take; use another build folder" ;;
    esac
    mkdir -p "$cache/mnt"
}

# Takes the lock of a cached thing for as long as this process, or the one it becomes, lives: shared while it is used,
# exclusive while it is made. Usage: cached NAME COMMAND...; COMMAND gets the path of the new folder or file to make.
cached() {
    local path=$cache/$1 lock
    shift
    exec {lock}>> "$path.lock"
    flock -s "$lock"
    [ -e "$path" ] && return
    flock -x "$lock"
    if [ ! -e "$path" ]; then
        rm -rf -- "$path.new"
        "$@" "$path.new" || { rm -rf -- "$path.new"; return 1; }
        mv -- "$path.new" "$path"
    fi
    flock -s "$lock"
}

# Removes what is cached below PREFIX- under another name and not in use.
forget_others() { # PREFIX NAME-TO-KEEP
    local path lock
    for path in "$cache/$1-"*; do
        [ -e "$path" ] || continue
        case $path in *.lock | "$cache/$2" | "$cache/$2".*) continue ;; esac
        exec {lock}>> "${path%.new}.lock"
        ! flock -xn "$lock" || rm -rf -- "$path"
        exec {lock}>&-
    done
}

hash_of() {
    sha256sum | cut -c1-16
}

# What no test reads is left out, by dpkg itself: mmdebstrap's own way is a Python program for each essential package,
# which takes minutes.
exclude_docs='
    cd "$1/usr/share" && rm -rf man locale doc &&
    printf "path-exclude=/usr/share/%s/*\n" man locale doc > "$1/etc/dpkg/dpkg.cfg.d/50-testbed"'

make_tree() { # WHAT PACKAGES-FILE [MMDEBSTRAP-OPTION...] DIR
    local started=$SECONDS what=$1 packages options=("${@:3:$#-3}") folder=${!#}
    need_tool mmdebstrap testbed
    packages=$(sed 's/#.*//' "$2" | xargs | tr ' ' ,)
    say "making the Debian $what (once; about a minute)"
    if ! mmdebstrap --mode=root --variant=minbase --quiet --include="$packages" \
        --dpkgopt=force-unsafe-io --extract-hook="$exclude_docs" "${options[@]}" \
        "$suite" "$folder" ${CTRD_TESTBED_SOURCES:+"$CTRD_TESTBED_SOURCES"} > "$cache/$what.log" 2>&1; then
        tail -n 30 "$cache/$what.log" >&2
        die "mmdebstrap could not make the $what; its whole output is in '$cache/$what.log'"
    fi
    say "$what made in $((SECONDS - started)) s"
}

# Sets rootfs.
ensure_rootfs() {
    local name packages=$here/packages
    # What our programs were linked with here they bring along where it has another name; rootfs-setup does that.
    if [ "$suite" != bookworm ]; then
        packages=$cache/packages-$suite
        grep -v '^libfmt' "$here/packages" > "$packages.$$" && mv -- "$packages.$$" "$packages"
    fi
    name=rootfs-$suite-$(cat "$packages" "$here/rootfs-setup" | hash_of)
    cached "$name" make_tree rootfs "$packages" --customize-hook="$here/rootfs-setup" || exit 125
    forget_others "rootfs-$suite" "$name"
    rootfs=$cache/$name
}

# What `meson install` would install, as one text that changes whenever any of it does.
describe_build() {
    python3 -B - "$build" << 'PY'
import json, os, sys
build = sys.argv[1]
print(build)
with open(f"{build}/meson-info/intro-installed.json") as file:
    # Links are there with what they point to, which is no file of the build.
    installed = {source: target for source, target in json.load(file).items() if os.path.isabs(source)}
missing = [path for path in installed if not os.path.exists(path)]
if missing:
    sys.exit(f"testbed: '{missing[0]}' and {len(missing) - 1} more are not built; run: ninja -C {build}")
for source, target in sorted(installed.items()):
    stat = os.stat(source)
    print(source, target, stat.st_mtime_ns, stat.st_size, stat.st_mode)
PY
}

install_build() { # DIR
    mkdir -p "$1"
    meson install -C "$build" --no-rebuild --quiet --destdir "$1" > "$cache/install.log" 2>&1 && return
    cat "$cache/install.log" >&2
    die "cannot install the build in '$build'"
}

# Sets layer: a folder that holds the build as a package would install it.
ensure_layer() {
    local description name
    [ -f "$build/meson-info/intro-installed.json" ] || die "'$build' is not a build folder; run: meson setup '$build'"
    description=$(describe_build) || exit 125
    name=layer-$(hash_of <<< "$description")
    cached "$name" install_build || exit 125
    forget_others layer "$name"
    layer=$cache/$name
}

compile_boot() { # FILE
    need_tool g++ build
    g++ -std=c++23 -O1 -D_GNU_SOURCE -I "$repo" "$here"/boot/*.cpp -o "$1" || die "cannot compile tools/testbed/boot"
}

# Sets boot: the program that makes the namespaces.
ensure_boot() {
    local name
    name=boot-$(cat "$here"/boot/*.[ch]pp | hash_of)
    cached "$name" compile_boot || exit 125
    forget_others boot "$name"
    boot=$cache/$name
}
