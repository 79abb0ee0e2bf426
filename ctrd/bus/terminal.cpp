#include "ctrd/bus/terminal.hpp"

#include "ctrd/bus/log.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace ctrd::bus {
namespace {

// A program that writes all the time is to be a burden to nobody but itself.
constexpr std::int64_t terminal_priority = SD_EVENT_PRIORITY_NORMAL + 20;
constexpr std::uint64_t rate_interval = 100'000; // microseconds
constexpr unsigned reads_per_interval = 200;     // of 4 KiB each, which is what the kernel gives at once
constexpr std::size_t most_recent = 16U << 10;
constexpr int most_reads_at_the_end = 64; // more than the kernel holds
constexpr std::size_t most_viewers = 16;
constexpr std::uint64_t longest_patience = 10'000'000;
constexpr std::uint64_t later = 200'000;

bool is_temporary(int error) { return error == EAGAIN || error == EINTR; }

void set_nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

} // namespace

Terminal::Terminal(sd_event* event, UniqueFd master, std::function<void()> gone)
    : event_{event}, master_{std::move(master)}, gone_{std::move(gone)} {}

Result<std::unique_ptr<Terminal>> Terminal::watch(sd_event* event, UniqueFd master, std::function<void()> gone) {
    set_nonblocking(master.get());
    std::unique_ptr<Terminal> terminal{new Terminal{event, std::move(master), std::move(gone)}};
    sd_event_source* source = nullptr;
    int r = sd_event_add_io(event, &source, terminal->master_.get(), EPOLLIN, on_master, terminal.get());
    terminal->readable_.reset(r >= 0 ? source : nullptr);
    if (r >= 0)
        r = sd_event_source_set_priority(source, terminal_priority);
    if (r >= 0)
        r = sd_event_source_set_ratelimit(source, rate_interval, reads_per_interval);
    if (r < 0)
        return fail(os_error(-r, "cannot watch a terminal"));
    return terminal;
}

Result<Terminal::Attached> Terminal::attach() {
    if (viewers_.size() >= most_viewers)
        return fail(Error{std::errc::resource_unavailable_try_again, "too many are attached to it already", ""});
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return fail(os_error(errno, "cannot make a socket"));
    UniqueFd ours{ends[0]};
    UniqueFd theirs{ends[1]};
    UniqueFd size = TRY(dup(master_.get()));
    set_nonblocking(ours.get());
    TRY_VOID(add(std::move(ours)));
    return Attached{std::move(theirs), std::move(size)};
}

Result<void> Terminal::add(UniqueFd socket) {
    Viewer& viewer = viewers_.emplace_back(Viewer{this, std::move(socket), {}, {}, recent_, {}, false});
    sd_event_source* source = nullptr;
    const int r = sd_event_add_io(event_, &source, viewer.socket.get(), EPOLLIN, on_viewer, &viewer);
    if (r < 0) {
        viewers_.pop_back();
        return fail(os_error(-r, "cannot watch who is attached"));
    }
    viewer.ready.reset(source);
    be_patient(viewer);
    update(viewer);
    update();
    return {};
}

/// False: there is nothing more for now, or for good.
bool Terminal::read_some() {
    char buffer[16384];
    const ssize_t n = ::read(master_.get(), buffer, sizeof buffer);
    if (n > 0) {
        spread({buffer, static_cast<std::size_t>(n)});
        return true;
    }
    hung_up_ = n == 0 || !is_temporary(errno); // EIO
    return false;
}

void Terminal::spread(std::string_view bytes) {
    recent_.append(bytes);
    if (recent_.size() > most_recent)
        recent_.erase(0, recent_.size() - most_recent);
    for (Viewer& viewer : viewers_) {
        if (viewer.output.empty())
            be_patient(viewer);
        viewer.output.append(bytes);
    }
    for (auto at = viewers_.begin(); at != viewers_.end();) {
        Viewer& viewer = *at++;
        if (!give_output(viewer))
            drop(viewer);
    }
}

/// False: he is gone.
bool Terminal::give_output(Viewer& viewer) {
    while (!viewer.output.empty()) {
        const ssize_t n = ::send(viewer.socket.get(), viewer.output.data(), viewer.output.size(), MSG_NOSIGNAL);
        if (n < 0 && !is_temporary(errno))
            return false;
        if (n <= 0)
            break;
        viewer.output.erase(0, static_cast<std::size_t>(n));
        be_patient(viewer);
    }
    if (viewer.output.empty())
        viewer.patience.reset();
    update(viewer);
    return true;
}

void Terminal::be_patient(Viewer& viewer) {
    sd_event_source* source = nullptr;
    if (sd_event_add_time_relative(event_, &source, CLOCK_MONOTONIC, longest_patience, 0, on_impatience, &viewer) >= 0)
        viewer.patience.reset(source);
}

void Terminal::take_input(Viewer& viewer) {
    char buffer[4096];
    const ssize_t n = ::recv(viewer.socket.get(), buffer, sizeof buffer, 0);
    if (n > 0)
        viewer.input.assign(buffer, static_cast<std::size_t>(n));
    else
        viewer.silent = n == 0 || !is_temporary(errno);
}

/// What a program does not read waits here, and its writer with it.
void Terminal::flush_inputs() {
    for (Viewer& viewer : viewers_) {
        if (viewer.input.empty())
            continue;
        const ssize_t n = ::write(master_.get(), viewer.input.data(), viewer.input.size());
        if (n > 0)
            viewer.input.erase(0, static_cast<std::size_t>(n));
        else if (n < 0 && !is_temporary(errno))
            viewer.input.clear();
        update(viewer);
    }
}

void Terminal::update(Viewer& viewer) {
    std::uint32_t events = 0;
    if (viewer.input.empty() && !viewer.silent)
        events |= EPOLLIN;
    if (!viewer.output.empty())
        events |= EPOLLOUT;
    sd_event_source_set_io_events(viewer.ready.get(), events);
}

/// It is read when nobody is behind with what there was; it is written to when somebody has typed something.
void Terminal::update() {
    const bool is_behind = std::ranges::any_of(viewers_, [](const Viewer& one) { return !one.output.empty(); });
    const bool has_input = std::ranges::any_of(viewers_, [](const Viewer& one) { return !one.input.empty(); });
    std::uint32_t events = 0;
    if (!is_behind)
        events |= EPOLLIN;
    if (has_input)
        events |= EPOLLOUT;
    const bool on = events != 0 && !hung_up_ && !ended_;
    sd_event_source_set_io_events(readable_.get(), events);
    sd_event_source_set_enabled(readable_.get(), on ? SD_EVENT_ON : SD_EVENT_OFF);
    if (hung_up_ && !ended_)
        look_again_later();
    if (ended_ && viewers_.empty() && !leaving_) {
        sd_event_source* source = nullptr;
        if (sd_event_add_defer(event_, &source, on_gone, this) >= 0)
            leaving_.reset(source);
    }
}

/// The last process that had it open has closed it, and the container has not ended: somebody may open it again.
void Terminal::look_again_later() {
    if (later_)
        return;
    sd_event_source* source = nullptr;
    if (sd_event_add_time_relative(event_, &source, CLOCK_MONOTONIC, later, 0, on_later, this) >= 0)
        later_.reset(source);
}

void Terminal::drop(const Viewer& viewer) {
    viewers_.remove_if([&](const Viewer& one) { return &one == &viewer; });
}

void Terminal::end() {
    for (int i = 0; i < most_reads_at_the_end && read_some(); ++i) {
    }
    ended_ = true;
    for (auto at = viewers_.begin(); at != viewers_.end();)
        if (const Viewer& viewer = *at++; viewer.output.empty())
            drop(viewer);
    update();
}

int Terminal::on_master(sd_event_source*, int, std::uint32_t events, void* userdata) noexcept {
    auto& terminal = *static_cast<Terminal*>(userdata);
    if ((events & EPOLLOUT) != 0)
        terminal.flush_inputs();
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        terminal.read_some();
    terminal.update();
    return 0;
}

int Terminal::on_viewer(sd_event_source*, int, std::uint32_t events, void* userdata) noexcept {
    auto& viewer = *static_cast<Viewer*>(userdata);
    Terminal& terminal = *viewer.owner;
    if ((events & EPOLLIN) != 0 && viewer.input.empty()) {
        terminal.take_input(viewer);
        terminal.flush_inputs();
    }
    const bool is_gone = (events & (EPOLLHUP | EPOLLERR)) != 0 || !terminal.give_output(viewer);
    if (is_gone || (terminal.ended_ && viewer.output.empty()))
        terminal.drop(viewer);
    else
        terminal.update(viewer);
    terminal.update();
    return 0;
}

int Terminal::on_impatience(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    auto& viewer = *static_cast<Viewer*>(userdata);
    Terminal& terminal = *viewer.owner;
    terminal.drop(viewer);
    terminal.update();
    return 0;
}

int Terminal::on_later(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    auto& terminal = *static_cast<Terminal*>(userdata);
    terminal.later_.reset();
    terminal.hung_up_ = false;
    terminal.read_some();
    terminal.update();
    return 0;
}

int Terminal::on_gone(sd_event_source*, void* userdata) noexcept {
    const auto gone = static_cast<Terminal*>(userdata)->gone_; // it may be destroyed by the call
    gone();
    return 0;
}

} // namespace ctrd::bus
