#include "ctrd/activation/freezer.hpp"

#include "ctrd/base/deadline.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>

namespace ctrd::activation {
namespace {

bool says(const std::string& events, std::string_view line) {
    return ("\n" + events).contains("\n" + std::string{line} + "\n");
}

Result<std::string> folder_of(const std::string& cgroup) {
    if (cgroup.find_first_not_of('/') == std::string::npos)
        return fail(bad_input("the root of all cgroups is nobody's to freeze")); // it would freeze ourselves
    return TRY(cgroup_mount()) + cgroup;
}

/// An empty cgroup counts as frozen.
Result<void> wait_frozen(int events, const Deadline& deadline) {
    for (;;) {
        if (::lseek(events, 0, SEEK_SET) < 0)
            return fail(os_error(errno, "cannot read 'cgroup.events'"));
        if (says(TRY(read_all(events, 4096)), "frozen 1"))
            return {};
        if (deadline.passed())
            return fail(os_error(ETIMEDOUT, "the cgroup did not freeze"));
        pollfd changed{events, POLLPRI, 0};
        ::poll(&changed, 1, deadline.poll_timeout());
    }
}

} // namespace

Result<bool> is_frozen(const std::string& cgroup) {
    const std::string folder = TRY(folder_of(cgroup));
    return TRY(read_file(folder + "/cgroup.freeze")).starts_with("1") ||
           says(TRY(read_file(folder + "/cgroup.events")), "frozen 1");
}

Result<void> freeze(const std::string& cgroup, std::chrono::milliseconds timeout) {
    const std::string folder = TRY(folder_of(cgroup));
    // Opened before: a change is seen that comes between the write and the wait.
    const UniqueFd events = TRY(open_at(AT_FDCWD, folder + "/cgroup.events", O_RDONLY));
    TRY_VOID(write_control(folder + "/cgroup.freeze", "1"));
    return wait_frozen(events.get(), Deadline{timeout}).context("'" + folder + "'");
}

Result<void> thaw(const std::string& cgroup) { return write_control(TRY(folder_of(cgroup)) + "/cgroup.freeze", "0"); }

} // namespace ctrd::activation
