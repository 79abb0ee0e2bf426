#include "ctrd/activation/cgroup_pids.hpp"

#include "ctrd/base/file.hpp"

#include <dirent.h>

#include <charconv>
#include <memory>

namespace ctrd::activation {
namespace {

constexpr int deepest = 8;

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

void collect_pids(const std::string& folder, int depth, std::vector<pid_t>& pids) {
    if (const auto text = read_file(folder + "/cgroup.procs"); text) {
        const char* at = text->data();
        const char* const end = at + text->size();
        for (pid_t pid = 0; at < end; ++at) {
            const auto [next, err] = std::from_chars(at, end, pid);
            if (err != std::errc{})
                break;
            pids.push_back(pid);
            at = next;
        }
    }
    const std::unique_ptr<DIR, CloseDir> dir{depth == 0 ? nullptr : ::opendir(folder.c_str())};
    while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            collect_pids(folder + "/" + entry->d_name, depth - 1, pids);
}

} // namespace

std::vector<pid_t> pids_in(const std::string& folder) {
    std::vector<pid_t> pids;
    collect_pids(folder, deepest, pids);
    return pids;
}

} // namespace ctrd::activation
