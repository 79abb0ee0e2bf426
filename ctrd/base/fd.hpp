// One owner per file descriptor, from the call that made it.
#pragma once

#include "ctrd/base/result.hpp"

#include <unistd.h>

#include <span>
#include <utility>
#include <vector>

namespace ctrd {

class UniqueFd {
public:
    explicit UniqueFd(int fd = -1) noexcept : fd_{fd} {}
    UniqueFd(UniqueFd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    UniqueFd& operator=(UniqueFd other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~UniqueFd() {
        if (fd_ >= 0)
            ::close(fd_);
    }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    explicit operator bool() const noexcept { return fd_ >= 0; }

private:
    int fd_;
};

/// A second descriptor (CLOEXEC) for the same open file.
Result<UniqueFd> dup(int fd);

struct SocketPair {
    UniqueFd ours;
    UniqueFd theirs;
};
/// AF_UNIX SOCK_SEQPACKET, both ends CLOEXEC.
Result<SocketPair> make_socket_pair();

/// An anonymous memory file (CLOEXEC) holding `data`, read offset at 0; sealed against any change.
Result<UniqueFd> make_memfd(const char* name, std::string_view data);

/// One message with up to 16 descriptors (SCM_RIGHTS). Never raises SIGPIPE.
Result<void> send_fds(int socket, std::string_view data, std::span<const int> fds);

struct FdMessage {
    std::string data;
    std::vector<UniqueFd> fds;
};
/// One message of at most `limit` bytes with its descriptors (CLOEXEC). Empty data and no fds: the peer closed.
Result<FdMessage> receive_fds(int socket, std::size_t limit = 4096, int flags = 0);

/// Descriptors `first`.. become close-on-exec, whatever opened them.
void close_on_exec_from(unsigned first) noexcept;

} // namespace ctrd
