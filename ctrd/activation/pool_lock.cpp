#include "ctrd/activation/pool_lock.hpp"

#include "ctrd/activation/compiled.hpp"
#include "ctrd/base/file.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

namespace ctrd::activation {

Result<UniqueFd> open_pool_lock(std::string_view container, PoolLock which) {
    const auto folder = TRY(open_at(AT_FDCWD, compiled_folder(container), O_RDONLY | O_DIRECTORY));
    return open_at(folder.get(), which == PoolLock::filling ? "filling" : "accepting", O_RDWR | O_CREAT, 0600);
}

Result<void> hold(const UniqueFd& lock, int how) {
    while (::flock(lock.get(), how) < 0)
        if (errno != EINTR)
            return fail(os_error(errno, "cannot lock the pool"));
    return {};
}

} // namespace ctrd::activation
