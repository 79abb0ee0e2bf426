#include "ctrd/image/early_flush.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace ctrd::image {

// A descriptor of its own: a disk's error is told once to each, and must be left for the flush that decides.
EarlyFlush::EarlyFlush(int folder) : folder_{::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)} {
    if (folder_)
        thread_ = std::thread{[this] { work(); }};
}

EarlyFlush::~EarlyFlush() {
    if (!thread_.joinable())
        return;
    {
        const std::lock_guard lock{mutex_};
        ended_ = true;
        changed_.notify_one();
    }
    thread_.join();
}

void EarlyFlush::begin() {
    const std::lock_guard lock{mutex_};
    wanted_ = true;
    changed_.notify_one();
}

void EarlyFlush::work() {
    std::unique_lock lock{mutex_};
    for (;;) {
        changed_.wait(lock, [&] { return wanted_ || ended_; });
        if (ended_)
            return;
        wanted_ = false;
        lock.unlock();
        ::syncfs(folder_.get());
        lock.lock();
    }
}

} // namespace ctrd::image
