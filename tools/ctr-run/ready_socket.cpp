#include "tools/ctr-run/ready_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace ctrd::run {
namespace {

constexpr std::size_t longest_message = 64U << 10;
constexpr int most_messages = 64; // at once: there is a deadline to look at

} // namespace

bool says_ready(std::string_view message) {
    while (!message.empty()) {
        const auto end = message.find('\n');
        if (message.substr(0, end) == "READY=1")
            return true;
        message = end == std::string_view::npos ? std::string_view{} : message.substr(end + 1);
    }
    return false;
}

Result<ReadySocket> ReadySocket::open(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(bad_input("'" + path + "' is too long for a socket"));
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    // Any user of the container may be the one who is ready.
    if (!socket || ::fchmod(socket.get(), 0666) < 0 ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
        ::chmod(path.c_str(), 0666) < 0)
        return fail(os_error(errno, "cannot make the socket '" + path + "'"));
    return ReadySocket{std::move(socket)};
}

/// Descriptors that come with a message, as those of BARRIER=1, are closed, which is the answer to that.
bool ReadySocket::take() {
    for (int i = 0; i < most_messages; ++i) {
        const auto message = receive_fds(socket_.get(), longest_message, MSG_DONTWAIT);
        if (!message)
            return false;
        if (says_ready(message->data))
            return true;
    }
    return false;
}

} // namespace ctrd::run
