// Buffers from one thread to others, a bounded number of them: what is faster waits, and nothing grows.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace ctrd::image {

inline constexpr std::size_t chunk_size = 128 * 1024;
using Chunk = std::shared_ptr<const std::string>;

class ChunkQueue {
public:
    explicit ChunkQueue(std::size_t most) : most_{most} {}

    /// False: nobody takes any more.
    bool push(Chunk chunk) {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return chunks_.size() < most_ || abandoned_; });
        if (abandoned_)
            return false;
        chunks_.push_back(std::move(chunk));
        changed_.notify_all();
        return true;
    }
    /// Nothing: the giver has finished, and all is taken.
    std::optional<Chunk> pop() {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return !chunks_.empty() || finished_; });
        if (chunks_.empty())
            return std::nullopt;
        Chunk chunk = std::move(chunks_.front());
        chunks_.pop_front();
        changed_.notify_all();
        return chunk;
    }
    /// By the giver. `whole` is false when what comes is not all there would have been.
    void finish(bool whole) {
        const std::lock_guard lock{mutex_};
        finished_ = true;
        whole_ = whole;
        changed_.notify_all();
    }
    /// By the taker, so that the giver does not wait for it.
    void abandon() {
        const std::lock_guard lock{mutex_};
        abandoned_ = true;
        chunks_.clear();
        changed_.notify_all();
    }
    [[nodiscard]] bool is_whole() {
        const std::lock_guard lock{mutex_};
        return whole_;
    }

private:
    std::mutex mutex_{};
    std::condition_variable changed_{};
    std::deque<Chunk> chunks_{};
    std::size_t most_;
    bool finished_{false}, whole_{false}, abandoned_{false};
};

} // namespace ctrd::image
