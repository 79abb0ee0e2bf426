// Answers the containers' binds after they are ready: holds their seccomp notification descriptors and lets
// ctrd/activation answer each as it comes.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/bus/event.hpp"

#include <list>

namespace ctrd::bus {

class BindWatch {
public:
    explicit BindWatch(sd_event* event) : event_{event} {}
    BindWatch(const BindWatch&) = delete;
    BindWatch& operator=(const BindWatch&) = delete;

    /// Watches it until nobody lives behind it any more. One that is watched already is dropped. True: it is new.
    bool add(UniqueFd notify_fd);

    [[nodiscard]] std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        BindWatch* watch{nullptr};
        UniqueFd fd{};
        EventSource source{};
    };
    static int on_ready(sd_event_source* source, int fd, std::uint32_t events, void* userdata) noexcept;

    sd_event* event_;
    std::list<Entry> entries_{};
};

/// Really a seccomp notification descriptor?
bool is_notify_fd(int fd);

} // namespace ctrd::bus
