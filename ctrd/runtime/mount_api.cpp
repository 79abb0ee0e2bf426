#include "ctrd/runtime/mount_api.hpp"

#include "ctrd/base/rooted.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <cerrno>

namespace ctrd::runtime {
namespace {

constexpr std::uint64_t atime_field = MOUNT_ATTR__ATIME;

int change(int tree, std::uint64_t set, std::uint64_t clear, std::uint64_t propagation, bool recursive) noexcept {
    mount_attr attr{};
    attr.attr_set = set;
    // The kernel wants the whole access-time field cleared by whoever sets a part of it.
    attr.attr_clr = (set & atime_field) != 0 ? clear | atime_field : clear;
    attr.propagation = propagation;
    return ::mount_setattr(tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U), &attr, sizeof attr);
}

int close_keeping_errno(int fd) noexcept {
    const int err = errno;
    ::close(fd);
    errno = err;
    return -1;
}

/// No printf: we may be in the child.
char digit(int mode, int shift) noexcept { return static_cast<char>('0' + ((mode >> shift) & 7)); }

} // namespace

int set_mount_attributes(int tree, const plan::MountAttributes& attributes) noexcept {
    if ((attributes.set | attributes.clear) != 0 && change(tree, attributes.set, attributes.clear, 0, false) < 0)
        return -1;
    if ((attributes.set_recursive | attributes.clear_recursive) != 0 &&
        change(tree, attributes.set_recursive, attributes.clear_recursive, 0, true) < 0)
        return -1;
    for (const std::uint64_t flags : attributes.propagation)
        if (set_propagation(tree, flags) < 0)
            return -1;
    return 0;
}

int set_propagation(int tree, std::uint64_t flags) noexcept {
    return change(tree, 0, 0, flags & ~std::uint64_t{MS_REC}, (flags & MS_REC) != 0);
}

int make_read_only(int tree, bool recursive) noexcept { return change(tree, MOUNT_ATTR_RDONLY, 0, 0, recursive); }

int make_fs(const char* type, const char* source, const std::vector<plan::FsOption>& options,
            const plan::MountAttributes& attributes, int mode) noexcept {
    const int context = ::fsopen(type, FSOPEN_CLOEXEC);
    if (context < 0)
        return -1;
    if (*source != '\0' && ::fsconfig(context, FSCONFIG_SET_STRING, "source", source, 0) < 0)
        return close_keeping_errno(context);
    for (const auto& option : options) {
        const int r = option.flag
                          ? ::fsconfig(context, FSCONFIG_SET_FLAG, option.key.c_str(), nullptr, 0)
                          : ::fsconfig(context, FSCONFIG_SET_STRING, option.key.c_str(), option.value.c_str(), 0);
        if (r < 0)
            return close_keeping_errno(context);
    }
    const char octal[] = {'0', digit(mode, 9), digit(mode, 6), digit(mode, 3), digit(mode, 0), '\0'};
    if (mode >= 0 && ::fsconfig(context, FSCONFIG_SET_STRING, "mode", octal, 0) < 0)
        return close_keeping_errno(context);
    if (::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
        return close_keeping_errno(context);
    const int tree =
        ::fsmount(context, FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes.set | attributes.set_recursive));
    close_keeping_errno(context);
    // A new mount has nothing to clear and none below it; its propagation is private.
    for (const std::uint64_t flags : attributes.propagation)
        if (tree >= 0 && change(tree, 0, 0, flags & ~std::uint64_t{MS_REC}, false) < 0)
            return close_keeping_errno(tree);
    return tree;
}

int write_proc(const char* path, const char* data, std::size_t size) noexcept {
    static const std::vector<plan::FsOption> no_options;
    static const plan::MountAttributes no_attributes;
    const int proc = make_fs("proc", "proc", no_options, no_attributes);
    if (proc < 0)
        return errno;
    const int file = rooted::open_raw(proc, path, O_WRONLY, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
    int err = file < 0 ? errno : 0;
    if (err == 0 && ::write(file, data, size) < 0)
        err = errno;
    if (file >= 0)
        ::close(file);
    ::close(proc);
    return err;
}

int clone_mount(int fd, bool recursive) noexcept {
    return ::open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U));
}

int attach(int tree, int target) noexcept {
    return ::move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

} // namespace ctrd::runtime
