// The pipe that one container's standard output and error are (output = "pipe"): ctrd reads it all the time and writes
// the lines into the journal, as what the container's first process has said.
//
// A journal that is busy holds the container up, as it would hold up who writes to it directly. The container is also
// held up while there is no ctrd, when the pipe is full.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/bus/event.hpp"

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>

namespace ctrd::bus {

class Output {
public:
    /// `journal`: a datagram socket, which outlives it.
    static Result<std::unique_ptr<Output>> watch(sd_event* event, std::string container, pid_t leader, UniqueFd pipe,
                                                 int journal);
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    /// The container has ended: what it has written last goes to the journal.
    void end();

private:
    Output(sd_event* event, std::string container, pid_t leader, UniqueFd pipe, int journal);

    bool read_some();
    bool give_lines(bool at_end);
    [[nodiscard]] bool give(std::string_view text, int priority);
    void wait_for_journal();
    static int on_output(sd_event_source* source, int fd, std::uint32_t events, void* userdata) noexcept;
    static int on_later(sd_event_source* source, std::uint64_t time, void* userdata) noexcept;

    sd_event* event_;
    std::string container_;
    pid_t leader_;
    UniqueFd pipe_;
    int journal_;
    EventSource readable_{};
    EventSource later_{};
    std::string written_{}; // and not in the journal yet
};

} // namespace ctrd::bus
