#include "tools/ctr-run/handover.hpp"

#include "ctrd/base/ctrd_socket.hpp"
#include "ctrd/base/deadline.hpp"

#include <poll.h>
#include <unistd.h>

#include <filesystem>

namespace ctrd::run {
namespace {

using namespace std::chrono_literals;
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
    auto connected = connect_to_ctrd();
    if (!connected)
        connected.error().hint += " until ctrd starts, nobody answers when the payload binds again";
    const UniqueFd socket = TRY(std::move(connected));
    const std::string message = "{\"name\":\"" + name + "\",\"leader\":" + std::to_string(leader) + "}";
    return send_fds(socket.get(), message, fds).context("hand-over to ctrd");
}

void leave_machined(const std::string& name) {
    const Deadline deadline{1s};
    while (is_machine(name) && !deadline.passed() && ask_to_remove(name, deadline) == Answer::died) {
    }
}

} // namespace ctrd::run
