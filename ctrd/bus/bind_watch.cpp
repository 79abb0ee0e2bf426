#include "ctrd/bus/bind_watch.hpp"

#include "ctrd/activation/late_bind.hpp"
#include "ctrd/activation/recover.hpp"
#include "ctrd/bus/log.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>

namespace ctrd::bus {
namespace {

// After the bus: a payload that binds without end must not keep ctrd from answering others. Among one another
// sd-event takes them in turn.
constexpr std::int64_t bind_priority = SD_EVENT_PRIORITY_NORMAL + 10;

void log_bind(const activation::LateBind& bind) {
    if (bind.outcome == activation::Outcome::adopted)
        log_info("container '" + bind.container + "': bound " + bind.bound + " again, and got its listener");
}

} // namespace

bool is_notify_fd(int fd) {
    char link[64];
    const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), link, sizeof link);
    return length > 0 && std::string_view{link, static_cast<std::size_t>(length)} == "anon_inode:seccomp notify";
}

bool BindWatch::add(UniqueFd notify_fd) {
    const auto known = [&](const Entry& entry) { return activation::same_open_file(entry.fd.get(), notify_fd.get()); };
    if (activation::is_dead(notify_fd.get()) || std::ranges::any_of(entries_, known))
        return false;
    auto& entry = entries_.emplace_back(Entry{this, std::move(notify_fd), {}});
    sd_event_source* source = nullptr;
    const int r = sd_event_add_io(event_, &source, entry.fd.get(), EPOLLIN, on_ready, &entry);
    if (r < 0) {
        log_error(os_error(-r, "cannot watch a seccomp listener"));
        entries_.pop_back();
        return false;
    }
    entry.source.reset(source);
    sd_event_source_set_priority(source, bind_priority);
    return true;
}

int BindWatch::on_ready(sd_event_source*, int fd, std::uint32_t events, void* userdata) noexcept {
    auto& entry = *static_cast<Entry*>(userdata);
    if ((events & EPOLLIN) != 0) {
        if (auto bind = activation::answer_late_bind(fd); !bind)
            log_warning(bind.error());
        else if (*bind)
            log_bind(**bind);
        return 0;
    }
    // Hung up. systemd watches the copies in its stores itself, and drops them for the same reason.
    entry.watch->entries_.remove_if([&](const Entry& one) { return &one == &entry; });
    return 0;
}

} // namespace ctrd::bus
