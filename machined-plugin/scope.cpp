#include "machined-plugin/scope.hpp"

#include "machined-plugin/scope_message.hpp"

#include <systemd/sd-bus.h>

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

namespace ctrd::systemd {
namespace {

constexpr const char* manager_path = "/org/freedesktop/systemd1";
constexpr const char* manager_interface = "org.freedesktop.systemd1.Manager";

struct Close {
    void operator()(sd_bus* bus) const noexcept { sd_bus_flush_close_unref(bus); }
    void operator()(sd_bus_message* message) const noexcept { sd_bus_message_unref(message); }
};
using Bus = std::unique_ptr<sd_bus, Close>;
using Message = std::unique_ptr<sd_bus_message, Close>;

struct BusError {
    sd_bus_error value = SD_BUS_ERROR_NULL;
    BusError() = default;
    BusError(const BusError&) = delete;
    BusError& operator=(const BusError&) = delete;
    ~BusError() { sd_bus_error_free(&value); }
    [[nodiscard]] bool is(const char* name) const { return sd_bus_error_has_name(&value, name) != 0; }
};

struct Job {
    std::string path{};
    std::string result{}; // empty: not done yet
};

int on_job_removed(sd_bus_message* signal, void* userdata, sd_bus_error*) {
    auto& job = *static_cast<Job*>(userdata);
    const char *path = nullptr, *result = nullptr;
    if (sd_bus_message_read(signal, "uoss", nullptr, &path, nullptr, &result) >= 0 && job.path == path)
        job.result = result;
    return 0;
}

Error bus_error(int r, const BusError& error, const std::string& doing) {
    return error.value.message == nullptr ? os_error(-r, doing)
                                          : Error{static_cast<std::errc>(-r), doing + ": " + error.value.message, ""};
}

constexpr const char* system_socket = "/run/systemd/private";

/// Root of a user's own namespace, as Podman is without root, is to the system's manager that user.
bool is_the_systems_root() { return ::geteuid() == 0 && (::access(system_socket, W_OK) == 0 || errno != EACCES); }

/// The system's manager for root, the user's own for others.
std::string private_socket() {
    if (is_the_systems_root())
        return system_socket;
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    return (runtime == nullptr ? "/run/user/" + std::to_string(::geteuid()) : std::string{runtime}) +
           "/systemd/private";
}

Result<Bus> connect() {
    sd_bus* raw = nullptr;
    int r = sd_bus_new(&raw);
    Bus bus{raw};
    const std::string path = private_socket();
    if (r >= 0)
        r = sd_bus_set_address(raw, ("unix:path=" + path).c_str());
    if (r >= 0)
        r = sd_bus_start(raw);
    if (r < 0)
        return fail(os_error(-r, "cannot reach systemd at '" + path + "'",
                             is_the_systems_root()
                                 ? "--systemd-cgroup needs systemd as PID 1"
                                 : "--systemd-cgroup needs your own service manager: log in, or loginctl "
                                   "enable-linger"));
    return bus;
}

Result<Message> new_call(sd_bus* bus, const char* method, const std::string& doing) {
    sd_bus_message* raw = nullptr;
    const int r = sd_bus_message_new_method_call(bus, &raw, nullptr, manager_path, manager_interface, method);
    if (r < 0)
        return fail(os_error(-r, doing));
    return Message{raw};
}

/// The signal can't overtake the answer on one connection, and none was processed before it.
Result<void> await(sd_bus* bus, Job& job, sd_bus_message* reply, const std::string& doing) {
    const char* path = nullptr;
    int r = sd_bus_message_read(reply, "o", &path);
    if (r >= 0)
        job.path = path;
    while (r >= 0 && job.result.empty()) {
        r = sd_bus_process(bus, nullptr);
        if (r == 0)
            r = sd_bus_wait(bus, 25'000'000);
    }
    if (r < 0)
        return fail(os_error(-r, doing));
    if (job.result != "done")
        return fail(Error{std::errc::io_error, doing + ": systemd's job ended as '" + job.result + "'", ""});
    return {};
}

/// A scope of that name that has just ended is gone a moment later.
constexpr int tries = 50;
constexpr int pause_ms = 20;

} // namespace

Result<void> enter_scope(const ScopeRequest& request) {
    const Bus bus = TRY(connect());
    const std::string doing = "scope '" + request.unit + "'";
    Job job;
    int r = sd_bus_match_signal(bus.get(), nullptr, nullptr, manager_path, manager_interface, "JobRemoved",
                                on_job_removed, &job);
    for (int attempt = 1; r >= 0; ++attempt) {
        const Message call = TRY(new_call(bus.get(), "StartTransientUnit", doing));
        if (r = append_scope(call.get(), request, ::getpid()); r < 0)
            break;
        BusError error;
        sd_bus_message* raw_reply = nullptr;
        r = sd_bus_call(bus.get(), call.get(), 0, &error.value, &raw_reply);
        const Message reply{raw_reply};
        if (r >= 0)
            return await(bus.get(), job, raw_reply, doing);
        if (!error.is("org.freedesktop.systemd1.UnitExists") || attempt == tries)
            return fail(bus_error(r, error, doing));
        r = 0;
        ::poll(nullptr, 0, pause_ms);
    }
    return fail(os_error(-r, doing));
}

Result<void> set_scope_properties(const std::string& unit, const std::vector<std::string>& properties) {
    const Bus bus = TRY(connect());
    const std::string doing = "scope '" + unit + "'";
    const Message call = TRY(new_call(bus.get(), "SetUnitProperties", doing));
    int r = sd_bus_message_append(call.get(), "sb", unit.c_str(), 1);
    if (r >= 0)
        r = sd_bus_message_open_container(call.get(), 'a', "(sv)");
    if (r >= 0)
        r = append_properties(call.get(), properties);
    if (r >= 0)
        r = sd_bus_message_close_container(call.get());
    BusError error;
    if (r >= 0)
        r = sd_bus_call(bus.get(), call.get(), 0, &error.value, nullptr);
    if (r < 0)
        return fail(bus_error(r, error, doing));
    return {};
}

} // namespace ctrd::systemd
