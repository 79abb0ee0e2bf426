#include "ctrd/base/sealed_self.hpp"

#include "ctrd/base/file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ctrd {
namespace {

constexpr const char* self = "/proc/self/exe";
constexpr int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

Result<bool> is_sealed() {
    const UniqueFd fd = TRY(open_at(AT_FDCWD, self, O_RDONLY));
    struct statvfs fs {};
    if (::fstatvfs(fd.get(), &fs) == 0 && (fs.f_flag & ST_RDONLY) != 0)
        return true;
    const int seals = ::fcntl(fd.get(), F_GET_SEALS); // -1 on a file that can't be sealed
    return seals >= 0 && (seals & all_seals) == all_seals;
}

/// A private, read-only mount of just this file; needs no copy. It goes when the process that runs from it goes.
UniqueFd read_only_mount() {
    UniqueFd tree{::open_tree(AT_FDCWD, self, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)};
    mount_attr attr{};
    attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    if (tree && ::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
        return UniqueFd{};
    return tree;
}

/// Without the right to mount: a copy that its seals protect.
Result<UniqueFd> sealed_copy() {
    const UniqueFd original = TRY(open_at(AT_FDCWD, self, O_RDONLY));
    UniqueFd copy{::memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    struct stat st {};
    if (!copy || ::fstat(original.get(), &st) < 0)
        return fail(os_error(errno, "cannot copy our own program"));
    for (off_t done = 0; done < st.st_size;) {
        const ssize_t n = ::sendfile(copy.get(), original.get(), &done, static_cast<std::size_t>(st.st_size - done));
        if (n <= 0)
            return fail(os_error(n < 0 ? errno : EIO, "cannot copy our own program"));
    }
    if (::fchmod(copy.get(), 0500) < 0 || ::fcntl(copy.get(), F_ADD_SEALS, all_seals) < 0)
        return fail(os_error(errno, "cannot seal the copy of our own program"));
    return copy;
}

} // namespace

Result<void> run_from_sealed_binary(char* const* argv) {
    if (runs_from_sealed_mount())
        return {}; // the kernel has said so
    if (TRY(is_sealed())) {
        // A program that was executed by descriptor is named after its number.
        ::prctl(PR_SET_NAME, ::basename(argv[0]), 0, 0, 0);
        return {};
    }
    if (const UniqueFd mount = read_only_mount())
        ::fexecve(mount.get(), argv, environ);
    const UniqueFd copy = TRY(sealed_copy());
    ::fexecve(copy.get(), argv, environ);
    return fail(os_error(errno, "cannot run from a protected copy of our own program"));
}

} // namespace ctrd
