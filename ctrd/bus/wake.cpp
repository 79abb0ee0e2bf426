#include "ctrd/bus/wake.hpp"

#include "ctrd/base/ctrd_socket.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/machine_sockets.hpp"
#include "machined-plugin/bus_types.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

namespace ctrd::bus {
namespace {

constexpr const char* destination = "org.freedesktop.systemd1";
constexpr const char* own_unit = "/org/freedesktop/systemd1/unit/ctrd_2eservice";
constexpr std::uint64_t call_time = 2'000'000;
constexpr int start_time = 10'000; // milliseconds in which systemd ends us for ctrd, if it can
constexpr int pause_time = 1'000;  // between hang-ups: root of a container may connect as often as it likes

/// What systemd does with ctrd.service; empty: nothing.
std::string current_job(sd_bus* bus) {
    sd_bus_message* reply = nullptr;
    std::uint32_t id = 0;
    const char* path = nullptr;
    int r = sd_bus_get_property(bus, destination, own_unit, "org.freedesktop.systemd1.Unit", "Job", nullptr, &reply,
                                "(uo)");
    const systemd::BusMessage job{reply};
    if (r < 0 || sd_bus_message_read(reply, "(uo)", &id, &path) < 0 || id == 0)
        return {};
    char* type = nullptr;
    r = sd_bus_get_property_string(bus, destination, path, "org.freedesktop.systemd1.Job", "JobType", nullptr, &type);
    const std::string word = r < 0 ? "" : type;
    ::free(type);
    return word;
}

std::vector<pollfd> watch(const std::vector<UniqueFd>& sockets) {
    std::vector<pollfd> watched;
    for (const UniqueFd& socket : sockets)
        watched.push_back({socket.get(), POLLIN, 0});
    return watched;
}

/// Returns only where ctrd can't be started: systemd ends us before it starts that.
void start_ctrd() {
    auto asked = connect_to_ctrd();
    if (!asked)
        return log_warning(asked.error());
    pollfd answer{asked->get(), POLLIN, 0}; // the end of it: systemd has given up the socket
    ::poll(&answer, 1, start_time);
    log_warning("ctrd can't be started: machined is told that it can't have a terminal");
}

void hang_up(const std::vector<pollfd>& watched) {
    for (const pollfd& one : watched)
        if ((one.revents & POLLIN) != 0)
            while (const UniqueFd caller{::accept4(one.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)}) {
            }
    ::poll(nullptr, 0, pause_time);
}

} // namespace

Result<void> run_wake() {
    const auto sockets = TRY(take_machine_sockets_from(1));
    auto watched = watch(sockets);
    while (true) {
        if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR)
            return fail(os_error(errno, "cannot wait for connections"));
        // Of a container that has ended: nobody can come any more.
        std::erase_if(watched, [](const pollfd& one) { return (one.revents & ~POLLIN) != 0; });
        if (std::ranges::none_of(watched, [](const pollfd& one) { return one.revents != 0; }))
            continue;
        start_ctrd();
        hang_up(watched);
    }
}

void leave_wake(sd_bus* bus) {
    sd_bus_set_method_call_timeout(bus, call_time);
    if (current_job(bus) != "stop")
        return;
    // "fail": not where the whole machine is to stop.
    if (const int r =
            sd_bus_call_method(bus, destination, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                               "StartUnit", nullptr, nullptr, "ss", "ctrd-wake.service", "fail");
        r < 0)
        log_debug(os_error(-r, "ctrd-wake.service is not started").message);
}

} // namespace ctrd::bus
