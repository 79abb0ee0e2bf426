#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"
#include "tools/ctr-oci/criu_externals.hpp"
#include "tools/ctr-oci/mount_table.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <set>

namespace ctrd::ctr_oci {
namespace {

constexpr std::string_view null_device = "/dev/null";

/// The container's mounts, looked up by its own paths: through links, but never out of it.
class Mounts {
public:
    static Result<Mounts> of(pid_t pid) {
        const std::string number = std::to_string(pid);
        UniqueFd root = TRY(open_at(AT_FDCWD, "/proc/" + number + "/root", O_PATH | O_DIRECTORY));
        auto table = TRY(mount_table(number));
        return Mounts{std::move(root), std::move(table)};
    }

    /// The mount whose root `path` leads to; "" if it leads to none.
    [[nodiscard]] std::string at(const std::string& path) const {
        const UniqueFd fd{rooted::open_raw(root_.get(), path.c_str(), O_PATH)};
        const auto id = fd ? mount_id("self", fd.get()) : Result<int>{fail(os_error(errno, path))};
        const auto found = id ? table_.find(*id) : table_.end();
        return found == table_.end() || !is_root_of(found->second, fd.get()) ? "" : found->second;
    }
    [[nodiscard]] bool is_null(const std::string& path) const {
        const UniqueFd fd{rooted::open_raw(root_.get(), path.c_str(), O_PATH)};
        struct stat st {};
        return fd && ::fstat(fd.get(), &st) == 0 && S_ISCHR(st.st_mode);
    }
    [[nodiscard]] const MountTable& table() const { return table_; }

private:
    Mounts(UniqueFd root, MountTable table) : root_{std::move(root)}, table_{std::move(table)} {}

    [[nodiscard]] bool is_root_of(const std::string& mount_point, int fd) const {
        const UniqueFd top{rooted::open_raw(root_.get(), mount_point.c_str(), O_PATH)};
        struct stat one {};
        struct stat other {};
        return top && ::fstat(top.get(), &one) == 0 && ::fstat(fd, &other) == 0 && one.st_dev == other.st_dev &&
               one.st_ino == other.st_ino;
    }

    UniqueFd root_;
    MountTable table_;
};

/// The destination of a step that mounts something, and whether that is a piece of the host.
struct Mounted {
    std::string destination{};
    std::string source{}; // of a bind mount
    bool is_bind{false};
    bool is_cgroup{false};
    bool recursive{false};
};

std::optional<Mounted> mounted_by(const plan::Step& step) {
    if (const auto* bind = std::get_if<plan::BindMount>(&step))
        return Mounted{bind->destination, bind->host_source, true, false, bind->recursive};
    if (const auto* cgroup = std::get_if<plan::BindCgroup>(&step))
        return Mounted{cgroup->destination, "", true, true, false};
    if (const auto* fs = std::get_if<plan::MountFs>(&step))
        return Mounted{fs->destination, "", false, false, false};
    return std::nullopt;
}

/// In a user namespace devices are the host's, bound: nobody there may make one.
const plan::MakeDevice* bound_device(const plan::Plan& plan, const plan::Step& step) {
    return plan.in_user_namespace ? std::get_if<plan::MakeDevice>(&step) : nullptr;
}

/// Mount points below `top` that no other step has made: they came with a recursive bind.
void add_below(std::vector<ExternalMount>& found, const MountTable& table, const std::set<std::string>& known,
               const std::string& top, const std::string& destination) {
    for (const auto& [id, point] : table)
        if (is_below(point, top) && !known.contains(point))
            found.push_back({point, destination + point.substr(top.size())});
}

Result<std::string> real_path(const std::string& path) {
    char resolved[PATH_MAX];
    if (::realpath(path.c_str(), resolved) == nullptr)
        return fail(os_error(errno, "mount source '" + path + "'"));
    return std::string{resolved};
}

bool is_folder(const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

} // namespace

Result<std::vector<ExternalMount>> external_mounts_of(pid_t pid, const plan::Plan& plan) {
    const Mounts mounts = TRY(Mounts::of(pid));
    std::set<std::string> known;
    for (const plan::Step& step : plan.steps)
        if (const auto mounted = mounted_by(step))
            known.insert(mounts.at(mounted->destination));
    std::vector<ExternalMount> found;
    for (const plan::Step& step : plan.steps) {
        if (const auto mounted = mounted_by(step); mounted && mounted->is_bind) {
            const std::string point = mounts.at(mounted->destination);
            if (point.empty() || point == "/")
                continue; // unmounted since
            found.push_back({point, mounted->destination});
            if (mounted->recursive)
                add_below(found, mounts.table(), known, point, mounted->destination);
        } else if (const auto* mask = std::get_if<plan::MaskPath>(&step)) {
            if (const std::string point = mounts.at(mask->path); !point.empty() && mounts.is_null(mask->path))
                found.push_back({point, std::string{null_device}});
        } else if (const auto* device = bound_device(plan, step)) {
            if (const std::string point = mounts.at(device->path); !point.empty())
                found.push_back({point, device->path});
        }
    }
    return found;
}

Result<std::vector<ExternalMount>> external_mounts_for(const plan::Plan& plan, const std::string& cgroup_folder) {
    std::vector<ExternalMount> wanted{{std::string{null_device}, std::string{null_device}}};
    const MountTable host = TRY(mount_table("self"));
    for (const plan::Step& step : plan.steps) {
        if (const auto mounted = mounted_by(step); mounted && mounted->is_cgroup) {
            wanted.push_back({mounted->destination, cgroup_folder});
        } else if (mounted && mounted->is_bind) {
            const std::string source = TRY(real_path(mounted->source));
            wanted.push_back({mounted->destination, source});
            for (const auto& [id, point] : host)
                if (mounted->recursive && is_below(point, source))
                    wanted.push_back({mounted->destination + point.substr(source == "/" ? 0 : source.size()), point});
        } else if (const auto* device = bound_device(plan, step)) {
            wanted.push_back({device->path, device->path});
        }
    }
    return wanted;
}

Result<void> make_mount_points(const std::string& rootfs, const plan::Plan& plan) {
    const UniqueFd root = TRY(open_at(AT_FDCWD, rootfs, O_PATH | O_DIRECTORY));
    std::vector<std::string> made;
    for (const plan::Step& step : plan.steps) {
        const auto mounted = mounted_by(step);
        if (!mounted)
            continue;
        const std::string& path = mounted->destination;
        bool covered = false; // CRIU brings back what was below another mount
        for (const std::string& folder : made)
            covered = covered || path == folder || is_below(path, folder);
        made.push_back(path);
        if (covered)
            continue;
        const bool folder = !mounted->is_bind || mounted->is_cgroup || is_folder(mounted->source);
        const UniqueFd there{folder ? rooted::make_dirs_raw(root.get(), path.c_str(), 0755, RESOLVE_NO_SYMLINKS)
                                    : rooted::make_file_raw(root.get(), path.c_str(), 0644, RESOLVE_NO_SYMLINKS)};
        if (!there)
            return fail(os_error(errno, "mount point '" + path + "' in the rootfs",
                                 errno == ELOOP ? "there is a symbolic link on the way, which CRIU would follow" : ""));
    }
    return {};
}

} // namespace ctrd::ctr_oci
