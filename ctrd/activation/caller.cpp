#include "ctrd/activation/caller.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <fcntl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <charconv>

namespace ctrd::activation {
namespace {

constexpr unsigned pidfd_thread = O_EXCL; // PIDFD_THREAD, kernel 6.9

} // namespace

std::optional<std::uint64_t> field(std::string_view text, std::string_view key, int base) {
    const std::size_t at = text.find(key);
    if (at == std::string_view::npos)
        return std::nullopt;
    const std::size_t digits = text.find_first_not_of(" \t", at + key.size());
    std::uint64_t value = 0;
    if (digits == std::string_view::npos ||
        std::from_chars(text.data() + digits, text.data() + text.size(), value, base).ec != std::errc{})
        return std::nullopt;
    return value;
}

/// A thread that does not lead its process has no pidfd before 6.9; its process's serves, since threads share their
/// descriptors in all but the oddest programs.
Result<UniqueFd> open_caller(pid_t thread) {
    for (const unsigned flags : {0U, pidfd_thread}) {
        UniqueFd fd{static_cast<int>(::syscall(SYS_pidfd_open, thread, flags))};
        if (fd)
            return fd;
        if (errno == ESRCH)
            return fail(os_error(ESRCH, "cannot open thread " + std::to_string(thread)));
    }
    const std::string status = TRY(read_file("/proc/" + std::to_string(thread) + "/status"));
    const auto process = field(status, "\nTgid:", 10);
    if (!process)
        return fail(os_error(EPROTO, "cannot tell the process of thread " + std::to_string(thread)));
    return open_pidfd(static_cast<pid_t>(*process));
}

Result<Caller> look_at_caller(const BindRequest& request) {
    Caller caller;
    caller.pidfd = TRY(open_caller(request.thread));
    caller.socket = TRY(steal_fd(caller.pidfd.get(), request.fd));
    caller.facts = TRY(look_at(caller.socket.get()));
    const int flags = ::fcntl(caller.socket.get(), F_GETFL);
    if (flags < 0)
        return fail(os_error(errno, "cannot look at the payload's socket"));
    caller.nonblocking = (flags & O_NONBLOCK) != 0;
    const std::string info =
        TRY(read_file("/proc/" + std::to_string(request.thread) + "/fdinfo/" + std::to_string(request.fd)));
    caller.close_on_exec = (field(info, "flags:", 8).value_or(0) & O_CLOEXEC) != 0;
    return caller;
}

} // namespace ctrd::activation
