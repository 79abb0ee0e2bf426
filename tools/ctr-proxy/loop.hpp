// One epoll set; whoever is registered there is told what happened.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/epoll.h>

#include <chrono>
#include <memory>
#include <set>

namespace ctrd::proxy {

using Clock = std::chrono::steady_clock;

class Source {
public:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual ~Source() = default;
    /// False: it is over, and will be destroyed.
    virtual bool on_event(std::uint32_t events) = 0;
    /// Called at `due`.
    virtual bool on_time(Clock::time_point) { return true; }
    Clock::time_point due{Clock::time_point::max()};
};

class Loop {
public:
    Loop() : set_{::epoll_create1(EPOLL_CLOEXEC)} {}

    /// `fd` may be registered for one source only; the source is the loop's from then on, whatever it returns.
    bool watch(int fd, std::uint32_t events, Source& source) const;
    void unwatch(int fd) const { ::epoll_ctl(set_.get(), EPOLL_CTL_DEL, fd, nullptr); }
    void adopt(std::unique_ptr<Source> source) { sources_.push_back(std::move(source)); }
    /// A second round at once, for what has more to do than it should at a time.
    void again(Source& source) { again_.insert(&source); }
    [[nodiscard]] bool empty() const { return sources_.empty(); }
    [[nodiscard]] std::size_t size() const { return sources_.size(); }
    /// Until no source is left.
    void run();

private:
    [[nodiscard]] int timeout() const;
    void keep_time();

    UniqueFd set_;
    std::vector<std::unique_ptr<Source>> sources_;
    std::set<Source*> again_;
    std::set<Source*> over_;
};

} // namespace ctrd::proxy
