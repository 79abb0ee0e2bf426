#include "tools/testbed/boot/cgroup.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

namespace testbed {
namespace {

constexpr std::string_view name_prefix = "ctrd-testbed-";

void remove_dirs_bottom_up(const std::filesystem::path& dir) {
    std::error_code ec;
    for (const auto& entry : std::filesystem::directory_iterator(dir, ec))
        if (entry.is_directory(ec))
            remove_dirs_bottom_up(entry.path());
    ::rmdir(dir.c_str());
}

} // namespace

std::string find_cgroup2(const std::string& fallback) {
    std::ifstream mounts("/proc/self/mounts");
    for (std::string line; std::getline(mounts, line);) {
        std::istringstream fields(line);
        std::string source, target, type;
        fields >> source >> target >> type;
        if (type == "cgroup2")
            return target;
    }
    must(::mkdir(fallback.c_str(), 0755) == 0 || errno == EEXIST, "cannot create '" + fallback + "'");
    must(::mount("cgroup2", fallback.c_str(), "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0,
         "cannot mount cgroup2 (this machine has none mounted)");
    return fallback;
}

void remove_stale_cgroups(const std::string& cgroup2) {
    std::error_code ec;
    for (const auto& entry : std::filesystem::directory_iterator(cgroup2, ec)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(name_prefix))
            continue;
        const UniqueFd dir{::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        if (::flock(dir.get(), LOCK_EX | LOCK_NB) == 0)
            remove_cgroup_tree(entry.path().string());
    }
}

BedCgroup make_bed_cgroup(const std::string& cgroup2) {
    for (;;) {
        std::string path = cgroup2 + "/" + std::string(name_prefix) + "XXXXXX";
        must(::mkdtemp(path.data()) != nullptr, "cannot create cgroup '" + path + "'");
        UniqueFd lock{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        // A bed that starts at this moment may have taken it for a stale one.
        if (lock.get() >= 0 && ::flock(lock.get(), LOCK_SH | LOCK_NB) == 0 && ::chmod(path.c_str(), 0755) == 0)
            return {path, std::move(lock)};
    }
}

bool remove_cgroup_tree(const std::string& path) {
    // Killed processes leave their cgroups a moment after they were reaped, so a few tries are normal.
    for (int tries = 0; tries < 200; ++tries) {
        write_text(path + "/cgroup.kill", "1");
        remove_dirs_bottom_up(path);
        if (::access(path.c_str(), F_OK) != 0)
            return true;
        ::usleep(10'000);
    }
    return false;
}

} // namespace testbed
