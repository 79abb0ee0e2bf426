// The pipe that one container's standard output and error are (output = "pipe"): ctrd reads it all the time and writes
// the lines into the journal, as what the container's first process has said.
//
// A journal that is busy holds the container up, as it would hold up who writes to it directly. The container is also
// held up while there is no ctrd, when the pipe is full.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/bus/event.hpp"

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace ctrd::bus {

/// In whose name the lines are in the journal.
struct Writer {
    std::string container{};
    pid_t leader{0}; // 0: it has ended
    uid_t uid{0};
    gid_t gid{0};
};
/// With the ids that the leader has on the host now.
Writer writer_of(const std::string& container, pid_t leader);

class Output {
public:
    /// `journal`: a datagram socket, which outlives it. `gone` is told when it has ended and all of it is in the
    /// journal: it may be destroyed then.
    static Result<std::unique_ptr<Output>> watch(sd_event* event, Writer writer, UniqueFd pipe, int journal,
                                                 std::function<void()> gone);
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    /// The container has ended: what it has written last goes to the journal.
    void end();

private:
    Output(sd_event* event, Writer writer, UniqueFd pipe, int journal, std::function<void()> gone);

    bool read_some();
    bool give_lines();
    [[nodiscard]] bool give(std::string_view text, int priority);
    void go_on();
    void look_again(std::uint64_t microseconds);
    static int on_output(sd_event_source* source, int fd, std::uint32_t events, void* userdata) noexcept;
    static int on_later(sd_event_source* source, std::uint64_t time, void* userdata) noexcept;

    sd_event* event_;
    Writer writer_;
    UniqueFd pipe_;
    int journal_;
    std::function<void()> gone_;
    EventSource readable_{};
    EventSource later_{};
    std::string written_{}; // and not in the journal yet
    bool ended_{false};
    int patience_{0}; // how often a journal that takes nothing is asked again after the end
};

} // namespace ctrd::bus
