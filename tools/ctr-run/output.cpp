#include "tools/ctr-run/output.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace ctrd::run {
namespace {

/// Room for what is written while ctrd is restarted. The kernel takes memory for what is in it only.
constexpr int pipe_size = 256 << 10;
constexpr std::size_t buffer_size = 16384;
constexpr std::size_t longest_rest = 4096; // of a line: programs write no more than that in one piece (PIPE_BUF)
/// A program may drop root's rights and open it again after that; it reads what it wrote only as root.
constexpr mode_t pipe_mode = 0622;

void write_all(std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
        if (n < 0 && errno != EINTR)
            return; // there is no other place to say it
        text.remove_prefix(n > 0 ? static_cast<std::size_t>(n) : 0);
    }
}

} // namespace

Result<Output> Output::make() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        return fail(os_error(errno, "cannot make a pipe for its output"));
    Output output;
    output.read_ = UniqueFd{ends[0]};
    output.write_ = UniqueFd{ends[1]};
    struct stat st {};
    if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 || ::fchmod(ends[1], pipe_mode) < 0 || ::fstat(ends[0], &st) < 0)
        return fail(os_error(errno, "cannot set up the pipe for its output"));
    ::fcntl(ends[1], F_SETPIPE_SZ, pipe_size); // without it there is less room
    output.inode_ = st.st_ino;
    return output;
}

/// Up to the end of a line, if that is there: what comes next may be read by ctrd, and a half line would be two.
bool Output::pass_on_some() const {
    char buffer[buffer_size];
    const ssize_t n = ::read(read_.get(), buffer, sizeof buffer - longest_rest);
    if (n > 0) {
        auto size = static_cast<std::size_t>(n);
        while (buffer[size - 1] != '\n' && size < sizeof buffer && ::read(read_.get(), &buffer[size], 1) == 1)
            ++size;
        write_all({buffer, size});
    }
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

void Output::pass_on() const {
    int left = 0;
    if (::ioctl(read_.get(), FIONREAD, &left) < 0)
        return;
    for (; left > 0 && pass_on_some(); left -= static_cast<int>(buffer_size - longest_rest)) {
    }
}

} // namespace ctrd::run
