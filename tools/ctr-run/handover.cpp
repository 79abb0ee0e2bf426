#include "tools/ctr-run/handover.hpp"

#include "ctrd/base/deadline.hpp"
#include "ctrd/base/fd.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace ctrd::run {
namespace {

using namespace std::chrono_literals;
constexpr const char* handover_path = "/run/ctrd/handover";

Result<UniqueFd> connect_to_ctrd() {
    UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, handover_path);
    if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        return fail(
            os_error(errno, "cannot connect to '" + std::string{handover_path} + "'",
                     "is ctrd-handover.socket active? until ctrd starts, nobody answers when the payload binds again"));
    return socket;
}

/// machined's own link from a unit to its machine (sd_pid_get_machine_name(3) looks there, too).
bool is_machine(const std::string& name) {
    std::error_code error;
    return std::filesystem::read_symlink("/run/systemd/machines/unit:ctr@" + name + ".service", error) == name;
}

enum class Answer : std::uint8_t { done, died, none };

/// `died`: of a ctrd that was killed meanwhile. The next one may be asked again.
Answer ask_to_remove(const std::string& name, const Deadline& deadline) {
    const auto socket = connect_to_ctrd();
    if (!socket || !send_fds(socket->get(), "{\"name\":\"" + name + "\",\"ended\":true}", {}))
        return Answer::none;
    pollfd answered{socket->get(), POLLIN, 0};
    if (::poll(&answered, 1, deadline.poll_timeout()) <= 0)
        return Answer::none;
    char byte = 0;
    return ::read(socket->get(), &byte, 1) == 1 ? Answer::done : Answer::died;
}

} // namespace

Result<void> hand_over(const std::string& name, pid_t leader, std::span<const int> fds) {
    const UniqueFd socket = TRY(connect_to_ctrd());
    const std::string message = "{\"name\":\"" + name + "\",\"leader\":" + std::to_string(leader) + "}";
    return send_fds(socket.get(), message, fds).context("hand-over to ctrd");
}

void leave_machined(const std::string& name) {
    const Deadline deadline{1s};
    while (is_machine(name) && !deadline.passed() && ask_to_remove(name, deadline) == Answer::died) {
    }
}

} // namespace ctrd::run
