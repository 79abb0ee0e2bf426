// One deadline over several waits.
#pragma once

#include <chrono>

namespace ctrd {

class Deadline {
public:
    using Clock = std::chrono::steady_clock;
    explicit Deadline(std::chrono::milliseconds after) : at_{Clock::now() + after} {}

    /// What is left, as poll(2) takes it; 0 when it has passed.
    [[nodiscard]] int poll_timeout() const {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now()).count();
        return left < 0 ? 0 : static_cast<int>(left);
    }
    [[nodiscard]] bool passed() const { return Clock::now() >= at_; }

private:
    Clock::time_point at_;
};

} // namespace ctrd
