// output = "pipe": the payload's standard output and error are a pipe, since a program may open /dev/stdout and
// /dev/stderr, and a socket, such as the journal's, can't be opened. Until the container is ready we pass on to the
// journal what comes; from then on ctrd does (ctrd/bus/output.hpp).
#pragma once

#include "ctrd/base/fd.hpp"

#include <cstdint>

namespace ctrd::run {

class Output {
public:
    static Result<Output> make();
    /// That of a container that has ended.
    explicit Output(UniqueFd reading_end) : read_{std::move(reading_end)} {}

    /// The payload's end; ours is to be closed when it has its own, or we would never see an end.
    [[nodiscard]] int payloads_end() const { return write_.get(); }
    void close_payloads_end() { write_ = UniqueFd{}; }
    /// Readable when something has been written.
    [[nodiscard]] int fd() const { return read_.get(); }
    [[nodiscard]] std::uint64_t inode() const { return inode_; }

    /// Some of what there is goes to our own standard error, which is the journal. False: there is no more, and nobody
    /// who could write to it. Waits for a journal that is busy.
    [[nodiscard]] bool pass_on_some() const;
    /// All that was there when it was called.
    void pass_on() const;

private:
    Output() = default;
    UniqueFd read_{};
    UniqueFd write_{};
    std::uint64_t inode_{0};
};

} // namespace ctrd::run
