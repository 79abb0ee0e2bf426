#include "ctrd/bus/output.hpp"

#include "ctrd/activation/caller.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/journal.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/output_lines.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace ctrd::bus {
namespace {

// A program that writes all the time is to be a burden to nobody but itself.
constexpr std::int64_t output_priority = SD_EVENT_PRIORITY_NORMAL + 20;
constexpr std::uint64_t rate_interval = 100'000; // microseconds
constexpr unsigned reads_per_interval = 100;
constexpr std::size_t read_size = 16384;
constexpr std::uint64_t journal_pause = 20'000;
constexpr int longest_patience = 500;     // pauses
constexpr int most_reads_at_the_end = 64; // more than the pipe holds

/// As the leader, or, where there is none any more, as ourselves. The journal takes the unit, and what is said of it,
/// from the sender's cgroup; who is root may speak for another. 0, or an errno.
int send_as(int socket, const Writer& writer, std::span<const JournalField> fields) {
    const std::string datagram = to_journal_datagram(fields);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, "/run/systemd/journal/socket");
    iovec data{const_cast<char*>(datagram.data()), datagram.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control{};
    msghdr message{};
    message.msg_name = &address;
    message.msg_namelen = sizeof address;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (writer.leader != 0) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_CREDENTIALS;
        header->cmsg_len = CMSG_LEN(sizeof(ucred));
        const ucred credentials{writer.leader, writer.uid, writer.gid};
        std::memcpy(CMSG_DATA(header), &credentials, sizeof credentials);
    }
    return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}

} // namespace

Writer writer_of(const std::string& container, pid_t leader) {
    Writer writer{container, leader, 0, 0};
    const auto status = read_file("/proc/" + std::to_string(leader) + "/status");
    if (status) { // else it has ended
        writer.uid = static_cast<uid_t>(activation::field(*status, "\nUid:", 10).value_or(0));
        writer.gid = static_cast<gid_t>(activation::field(*status, "\nGid:", 10).value_or(0));
    }
    return writer;
}

Output::Output(sd_event* event, Writer writer, UniqueFd pipe, int journal, std::function<void()> gone)
    : event_{event}, writer_{std::move(writer)}, pipe_{std::move(pipe)}, journal_{journal}, gone_{std::move(gone)} {}

Result<std::unique_ptr<Output>> Output::watch(sd_event* event, Writer writer, UniqueFd pipe, int journal,
                                              std::function<void()> gone) {
    std::unique_ptr<Output> output{new Output{event, std::move(writer), std::move(pipe), journal, std::move(gone)}};
    sd_event_source* source = nullptr;
    int r = sd_event_add_io(event, &source, output->pipe_.get(), EPOLLIN, on_output, output.get());
    output->readable_.reset(r >= 0 ? source : nullptr);
    if (r >= 0)
        r = sd_event_source_set_priority(source, output_priority);
    if (r >= 0)
        r = sd_event_source_set_ratelimit(source, rate_interval, reads_per_interval);
    if (r < 0)
        return fail(os_error(-r, "cannot watch its output"));
    return output;
}

/// False: there is nothing more for now, or for good.
bool Output::read_some() {
    const std::size_t had = written_.size();
    ssize_t n = -1;
    written_.resize_and_overwrite(had + read_size, [&](char* data, std::size_t) {
        n = ::read(pipe_.get(), data + had, read_size);
        return had + (n > 0 ? static_cast<std::size_t>(n) : 0);
    });
    if (n == 0 && readable_) // none of its processes has it open, and none can open it again
        sd_event_source_set_enabled(readable_.get(), SD_EVENT_OFF);
    return n > 0;
}

/// False where the journal takes no more for now.
bool Output::give(std::string_view text, int priority) {
    const std::array fields{JournalField{"MESSAGE", std::string{text}},
                            JournalField{"PRIORITY", std::to_string(priority)},
                            JournalField{"SYSLOG_IDENTIFIER", writer_.container}};
    int error = writer_.leader != 0 ? send_as(journal_, writer_, fields) : ESRCH;
    if (error == ESRCH) { // it has ended
        writer_.leader = 0;
        std::vector<JournalField> more{fields.begin(), fields.end()};
        more.push_back({"OBJECT_SYSTEMD_UNIT", "ctr@" + writer_.container + ".service"});
        more.push_back({"CTRD_NAME", writer_.container});
        error = send_as(journal_, writer_, more);
    }
    return error != EAGAIN && error != EINTR && error != ENOBUFS; // who can't be told at all is not waited for
}

/// False where the journal takes no more for now.
bool Output::give_lines() {
    std::string_view rest = written_;
    bool taken = true;
    for (std::string_view before = rest; auto line = take_line(rest, ended_); before = rest)
        if (!line->text.empty() && !give(line->text, line->priority)) {
            rest = before;
            taken = false;
            break;
        }
    written_.erase(0, written_.size() - rest.size());
    if (written_.empty())
        std::string{}.swap(written_); // who writes rarely takes no memory
    return taken;
}

/// What was read goes to the journal first; until it has taken that, nothing more is read.
void Output::go_on() {
    const bool taken = give_lines();
    if (ended_ && !taken && --patience_ == 0) {
        log_warning("container '" + writer_.container + "': the journal did not take the last " +
                    std::to_string(written_.size()) + " bytes that it has written");
        written_.clear();
    }
    if (ended_ && written_.empty())
        return look_again(0); // not from here: it will be destroyed
    if (!taken)
        look_again(journal_pause);
    if (readable_)
        sd_event_source_set_enabled(readable_.get(), taken ? SD_EVENT_ON : SD_EVENT_OFF);
}

void Output::look_again(std::uint64_t microseconds) {
    sd_event_source* source = nullptr;
    if (sd_event_add_time_relative(event_, &source, CLOCK_MONOTONIC, microseconds, 0, on_later, this) >= 0)
        later_.reset(source);
}

void Output::end() {
    readable_.reset();
    for (int i = 0; i < most_reads_at_the_end && read_some(); ++i) {
    }
    ended_ = true;
    patience_ = longest_patience;
    go_on();
}

int Output::on_output(sd_event_source*, int, std::uint32_t, void* userdata) noexcept {
    auto& output = *static_cast<Output*>(userdata);
    if (output.read_some())
        output.go_on();
    return 0;
}

int Output::on_later(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    auto& output = *static_cast<Output*>(userdata);
    output.later_.reset();
    if (output.ended_ && output.written_.empty()) {
        const auto gone = output.gone_; // it may be destroyed by the call
        gone();
        return 0;
    }
    output.go_on();
    return 0;
}

} // namespace ctrd::bus
