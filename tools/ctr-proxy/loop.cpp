#include "tools/ctr-proxy/loop.hpp"

#include <algorithm>
#include <array>

namespace ctrd::proxy {

bool Loop::watch(int fd, std::uint32_t events, Source& source) const {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &source;
    return ::epoll_ctl(set_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

int Loop::timeout() const {
    if (!again_.empty())
        return 0;
    auto due = Clock::time_point::max();
    for (const auto& source : sources_)
        due = std::min(due, source->due);
    if (due == Clock::time_point::max())
        return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

void Loop::keep_time() {
    const auto now = Clock::now();
    for (std::size_t i = 0; i < sources_.size(); ++i) // on_time may add some
        if (Source& source = *sources_[i]; source.due <= now && !over_.contains(&source) && !source.on_time(now))
            over_.insert(&source);
}

void Loop::run() {
    while (!sources_.empty()) {
        std::array<epoll_event, 64> events{};
        const int n = ::epoll_wait(set_.get(), events.data(), events.size(), timeout());
        const auto tell = [&](Source* source, std::uint32_t what) {
            if (!over_.contains(source) && !source->on_event(what))
                over_.insert(source);
        };
        for (Source* source : std::exchange(again_, {}))
            tell(source, EPOLLIN | EPOLLOUT);
        for (int i = 0; i < n; ++i)
            tell(static_cast<Source*>(events[static_cast<std::size_t>(i)].data.ptr),
                 events[static_cast<std::size_t>(i)].events);
        keep_time();
        if (over_.empty())
            continue;
        for (Source* source : over_)
            again_.erase(source);
        std::erase_if(sources_, [&](const auto& source) { return over_.contains(source.get()); });
        over_.clear();
    }
}

} // namespace ctrd::proxy
