#include "ctrd/image/project_quota.hpp"

#include "ctrd/base/fd.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <memory>
#include <string>

namespace ctrd::image {
namespace {

constexpr std::uint32_t first_project = 0x63000000;
constexpr std::uint32_t projects = 0x01000000;
constexpr std::uint32_t most_attempts = 1000;
constexpr std::uint64_t quota_block = 1024;
constexpr std::uint64_t bytes_for_a_file = 4096;
constexpr std::uint64_t some_files = 1000;
constexpr int deepest = 400; // of folders, two descriptors each

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

int quotactl(int file, unsigned command, std::uint32_t project, void* data) noexcept {
    const unsigned of_projects = static_cast<unsigned>(QCMD(command, PRJQUOTA));
    return static_cast<int>(::syscall(SYS_quotactl_fd, file, of_projects, project, data));
}

Result<std::uint32_t> project_of(int file) {
    fsxattr attributes{};
    if (::ioctl(file, FS_IOC_FSGETXATTR, &attributes) < 0)
        return fail(os_error(errno, "cannot find out the project of a folder"));
    return attributes.fsx_projid;
}

/// Nothing of it is used, and nobody has given it a limit.
bool is_free(int file, std::uint32_t project) {
    if_dqblk quota{};
    if (quotactl(file, Q_GETQUOTA, project, &quota) < 0)
        return errno == ENOENT; // xfs: nobody has ever used it
    return quota.dqb_curspace == 0 && quota.dqb_curinodes == 0 && quota.dqb_bhardlimit == 0;
}

/// From the name, so that it is mostly the same, and no other's.
Result<std::uint32_t> pick_project(int folder, const std::string& name) {
    std::uint32_t hash = 2166136261; // FNV-1a
    for (const char c : name)
        hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
    for (std::uint32_t i = 0; i < most_attempts; ++i) {
        const std::uint32_t project = first_project + (hash + i) % projects;
        if (is_free(folder, project))
            return project;
    }
    return fail(os_error(EBUSY, "cannot find a project that is free"));
}

Result<void> put_into(int file, bool is_folder, std::uint32_t project) {
    fsxattr attributes{};
    if (::ioctl(file, FS_IOC_FSGETXATTR, &attributes) < 0)
        return fail(os_error(errno, "cannot look at a file's project"));
    attributes.fsx_projid = project;
    if (is_folder)
        attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    if (::ioctl(file, FS_IOC_FSSETXATTR, &attributes) < 0)
        return fail(os_error(errno, "cannot set a file's project"));
    return {};
}

/// Nothing but folders and regular files is opened: a container made it. A folder comes after all that is in it, so who
/// is killed on the way does all of it once more.
Result<void> put_tree_into(int folder, std::uint32_t project, int depth = 0) {
    if (depth > deepest)
        return fail(os_error(ELOOP, "it is too deep"));
    const std::unique_ptr<DIR, CloseDir> dir{::fdopendir(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))};
    if (!dir)
        return fail(os_error(errno, "cannot list a folder"));
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string_view name = entry->d_name;
        struct stat st {};
        if (name == "." || name == ".." || ::fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)))
            continue;
        const UniqueFd file{::openat(folder, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
        if (!file)
            return fail(os_error(errno, "cannot open '" + printable(name) + "'"));
        TRY_VOID(S_ISDIR(st.st_mode) ? put_tree_into(file.get(), project, depth + 1)
                                     : put_into(file.get(), false, project));
    }
    return put_into(folder, true, project);
}

Result<void> set_limit(int folder, std::uint32_t project, std::uint64_t bytes) {
    if_dqblk quota{};
    const std::uint64_t blocks = (bytes + quota_block - 1) / quota_block;
    const std::uint64_t files = bytes == 0 ? 0 : bytes / bytes_for_a_file + some_files;
    if (quotactl(folder, Q_GETQUOTA, project, &quota) == 0 && quota.dqb_bhardlimit == blocks &&
        quota.dqb_ihardlimit == files)
        return {};
    quota = {};
    quota.dqb_bhardlimit = blocks;
    quota.dqb_ihardlimit = files;
    quota.dqb_valid = QIF_LIMITS;
    if (quotactl(folder, Q_SETQUOTA, project, &quota) < 0)
        return fail(os_error(errno, "cannot set a project's limit"));
    return {};
}

} // namespace

bool has_project_quotas(int file) noexcept {
    if_dqinfo info{};
    return quotactl(file, Q_GETINFO, 0, &info) == 0;
}

Result<void> set_bound(int folder, const std::string& name, std::uint64_t bytes) {
    if (!has_project_quotas(folder))
        return fail(Error{std::errc::not_supported, "its file system does not count what a project takes",
                          how_to_have_project_quotas});
    std::uint32_t project = TRY(project_of(folder));
    const bool is_new = project < first_project || project - first_project >= projects;
    if (is_new)
        project = TRY(pick_project(folder, name));
    // Before anything counts: what is there may be more already, and nobody is to write meanwhile.
    TRY_VOID(set_limit(folder, project, bytes));
    return is_new ? put_tree_into(folder, project) : Result<void>{};
}

Result<void> lift_bound(int folder) {
    const auto project = project_of(folder);
    const bool has_one = project && *project >= first_project && *project - first_project < projects;
    return has_one && has_project_quotas(folder) ? set_limit(folder, *project, 0) : Result<void>{};
}

} // namespace ctrd::image
