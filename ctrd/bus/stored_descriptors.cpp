#include "ctrd/bus/stored_descriptors.hpp"

#include "ctrd/base/process.hpp"
#include "ctrd/bus/log.hpp"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

namespace ctrd::bus {
namespace {

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

} // namespace

Result<std::vector<UniqueFd>> take_descriptors_from(pid_t pid, bool (*like)(std::string_view link),
                                                    bool (*is_it)(int fd)) {
    const UniqueFd pidfd = TRY(open_pidfd(pid));
    const std::unique_ptr<DIR, CloseDir> dir{::opendir(("/proc/" + std::to_string(pid) + "/fd").c_str())};
    if (!dir)
        return fail(os_error(errno, "cannot list the descriptors of process " + std::to_string(pid)));
    std::vector<UniqueFd> found;
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string_view name = entry->d_name;
        int number = -1;
        char link[256];
        const ssize_t length = ::readlinkat(::dirfd(dir.get()), entry->d_name, link, sizeof link);
        if (std::from_chars(name.data(), name.data() + name.size(), number).ec != std::errc{} || length <= 0 ||
            !like({link, static_cast<std::size_t>(length)}))
            continue;
        auto fd = steal_fd(pidfd.get(), number);
        if (fd && is_it(fd->get())) // else closed since, or somebody else's
            found.push_back(*std::move(fd));
    }
    return found;
}

void recover_recorded(pid_t manager, const RecordedKind& kind, std::span<const std::string> containers,
                      const std::function<void(const activation::RunRecord& record, UniqueFd fd)>& found) {
    auto kept = take_descriptors_from(manager, kind.like, kind.is_it);
    if (!kept)
        return log_warning(
            std::move(kept).context(std::string{"cannot take "} + kind.name + " out of systemd's stores").error());
    if (kept->empty())
        return;
    for (const auto& name : containers) {
        const auto record = activation::read_record(name);
        if (!record || (*record).*kind.number == 0)
            continue;
        const auto its = std::ranges::find_if(*kept, [&](const UniqueFd& fd) {
            struct stat st {};
            return fd && ::fstat(fd.get(), &st) == 0 && kind.number_of(st) == (*record).*kind.number;
        });
        if (its != kept->end())
            found(*record, std::move(*its));
    }
}

} // namespace ctrd::bus
