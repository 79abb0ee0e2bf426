#include "machined-plugin/scope.hpp"

#include <systemd/sd-bus.h>

#include <unistd.h>

#include <cstdint>
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

Error bus_error(int r, const sd_bus_error& error, const std::string& doing) {
    return error.message == nullptr ? os_error(-r, doing)
                                    : Error{static_cast<std::errc>(-r), doing + ": " + error.message, ""};
}

Result<Bus> connect() {
    sd_bus* raw = nullptr;
    int r = sd_bus_new(&raw);
    Bus bus{raw};
    if (r >= 0)
        r = sd_bus_set_address(raw, "unix:path=/run/systemd/private");
    if (r >= 0)
        r = sd_bus_start(raw);
    if (r < 0)
        return fail(os_error(-r, "cannot reach systemd at '/run/systemd/private'",
                             "--systemd-cgroup needs root and systemd as PID 1"));
    return bus;
}

int append_properties(sd_bus_message* call, const std::string& slice, const std::string& description) {
    const auto self = static_cast<std::uint32_t>(::getpid());
    int r = sd_bus_message_open_container(call, 'a', "(sv)");
    const auto add = [&](auto... arguments) {
        if (r >= 0)
            r = sd_bus_message_append(call, "(sv)", arguments...);
    };
    add("PIDs", "au", 1, self);
    add("Delegate", "b", 1);
    add("Slice", "s", slice.c_str());
    add("Description", "s", description.c_str());
    add("CollectMode", "s", "inactive-or-failed"); // no trace of a container that was killed
    add("DefaultDependencies", "b", 0);
    if (r >= 0)
        r = sd_bus_message_close_container(call);
    return r < 0 ? r : sd_bus_message_append(call, "a(sa(sv))", 0);
}

} // namespace

Result<void> enter_scope(const std::string& unit, const std::string& slice, const std::string& description) {
    const Bus bus = TRY(connect());
    const std::string doing = "scope '" + unit + "'";
    Job job;
    int r = sd_bus_match_signal(bus.get(), nullptr, nullptr, manager_path, manager_interface, "JobRemoved",
                                on_job_removed, &job);
    sd_bus_message* raw = nullptr;
    if (r >= 0)
        r = sd_bus_message_new_method_call(bus.get(), &raw, nullptr, manager_path, manager_interface,
                                           "StartTransientUnit");
    const Message call{raw};
    if (r >= 0)
        r = sd_bus_message_append(raw, "ss", unit.c_str(), "fail");
    if (r >= 0)
        r = append_properties(raw, slice, description);
    if (r < 0)
        return fail(os_error(-r, doing));
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message* raw_reply = nullptr;
    r = sd_bus_call(bus.get(), raw, 0, &error, &raw_reply);
    const Message reply{raw_reply};
    const char* path = nullptr;
    if (r >= 0)
        r = sd_bus_message_read(raw_reply, "o", &path);
    if (r < 0) {
        Error explained = bus_error(r, error, doing);
        sd_bus_error_free(&error);
        return fail(std::move(explained));
    }
    // The signal can't overtake the answer on one connection, and none was processed before it.
    job.path = path;
    while (job.result.empty()) {
        r = sd_bus_process(bus.get(), nullptr);
        if (r == 0)
            r = sd_bus_wait(bus.get(), 25'000'000);
        if (r < 0)
            return fail(os_error(-r, doing));
    }
    if (job.result != "done")
        return fail(Error{std::errc::io_error, doing + ": systemd's job ended as '" + job.result + "'", ""});
    return {};
}

} // namespace ctrd::systemd
