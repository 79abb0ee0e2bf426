#include "tools/ctr-run/exec_terminal.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>

namespace ctrd::run {
namespace {

/// Looked at before it is opened: opening some devices does something.
Result<UniqueFd> open_slave(int root, const std::string& path) {
    const UniqueFd found{rooted::open_raw(root, path.c_str(), O_PATH, 0, RESOLVE_NO_SYMLINKS)};
    struct statfs fs {};
    struct stat st {};
    if (!found || ::fstatfs(found.get(), &fs) < 0 || ::fstat(found.get(), &st) < 0)
        return fail(os_error(errno, "cannot open the terminal '" + path + "' of the container"));
    if (fs.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(st.st_mode))
        return fail(bad_input("'" + path + "' of the container is not a terminal"));
    return open_at(AT_FDCWD, "/proc/self/fd/" + std::to_string(found.get()), O_RDWR | O_NOCTTY);
}

} // namespace

Result<void> take_terminal(const std::string& tty, int root) {
    if (tty != "stdin") {
        const UniqueFd slave = TRY(open_slave(root, tty));
        for (int fd = 0; fd < 3; ++fd)
            if (::dup2(slave.get(), fd) < 0)
                return fail(os_error(errno, "cannot use the terminal '" + tty + "' of the container"));
    }
    if (::isatty(STDIN_FILENO) == 0)
        return fail(bad_input("request: stdin is not a terminal"));
    return {};
}

bool has_hung_up(int terminal) noexcept {
    pollfd state{terminal, 0, 0};
    return ::poll(&state, 1, 0) != 0;
}

} // namespace ctrd::run
