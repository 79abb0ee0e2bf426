// What has been written goes to the disk while more is made, so that the flush at the end, which decides, finds little
// left to wait for.
#pragma once

#include "ctrd/base/fd.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace ctrd::image {

class EarlyFlush {
public:
    /// `folder`: any of the file system.
    explicit EarlyFlush(int folder);
    ~EarlyFlush();
    EarlyFlush(const EarlyFlush&) = delete;
    EarlyFlush& operator=(const EarlyFlush&) = delete;

    /// All that is written now; returns at once. By any thread.
    void begin();

private:
    void work();

    UniqueFd folder_;
    std::mutex mutex_{};
    std::condition_variable changed_{};
    bool wanted_{false}, ended_{false};
    std::thread thread_{};
};

} // namespace ctrd::image
