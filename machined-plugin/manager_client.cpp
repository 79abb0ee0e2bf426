#include "machined-plugin/manager_client.hpp"

#include <systemd/sd-bus.h>

#include <cerrno>
#include <string_view>
#include <utility>

namespace ctrd::systemd {
namespace {

constexpr const char* service = "org.freedesktop.systemd1";
constexpr const char* path = "/org/freedesktop/systemd1";
constexpr const char* manager = "org.freedesktop.systemd1.Manager";
constexpr const char* unit_interface = "org.freedesktop.systemd1.Unit";
constexpr std::uint64_t no_time_limit = UINT64_MAX; // jobs and reloads have systemd's own limits

struct Unref {
    void operator()(sd_bus_message* message) const noexcept { sd_bus_message_unref(message); }
    void operator()(sd_bus_slot* slot) const noexcept { sd_bus_slot_unref(slot); }
};
using Message = std::unique_ptr<sd_bus_message, Unref>;
using Slot = std::unique_ptr<sd_bus_slot, Unref>;

struct BusError {
    sd_bus_error value = SD_BUS_ERROR_NULL;
    BusError() = default;
    BusError(const BusError&) = delete;
    BusError& operator=(const BusError&) = delete;
    ~BusError() { sd_bus_error_free(&value); }
};

Error explain(int r, const BusError& error, const std::string& doing) {
    const std::string_view name = error.value.name ? error.value.name : "";
    const bool denied = name.ends_with(".AccessDenied") || name.ends_with(".InteractiveAuthorizationRequired");
    return {denied ? std::errc::permission_denied : static_cast<std::errc>(-r),
            doing + ": " + (error.value.message ? std::string{error.value.message} : errno_text(-r)), ""};
}

/// The job that is waited for. JobRemoved may come before the answer that names the job, so all of them are kept until
/// the name is known.
struct Wait {
    std::vector<std::pair<std::string, std::string>> ended{}; // job path, result
    [[nodiscard]] const std::string* result_of(std::string_view job) const {
        for (const auto& [name, result] : ended)
            if (name == job)
                return &result;
        return nullptr;
    }
};

int on_job_removed(sd_bus_message* signal, void* userdata, sd_bus_error*) {
    const char *job = nullptr, *result = nullptr;
    const int r = sd_bus_message_read(signal, "uoss", nullptr, &job, nullptr, &result);
    if (r >= 0)
        static_cast<Wait*>(userdata)->ended.emplace_back(job, result);
    return 0;
}

Result<std::string> object_path(const std::string& unit) {
    char* text = nullptr;
    if (const int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit.c_str(), &text); r < 0)
        return fail(os_error(-r, "cannot name the unit '" + unit + "' on the bus"));
    const std::unique_ptr<char, void (*)(void*)> owner{text, ::free};
    return std::string{text};
}

Result<std::string> get_string(sd_bus* bus, const std::string& object, const char* interface, const char* property) {
    BusError error;
    char* text = nullptr;
    const int r = sd_bus_get_property_string(bus, service, object.c_str(), interface, property, &error.value, &text);
    if (r < 0)
        return fail(explain(r, error, std::string{"cannot read the property "} + property + " of " + object));
    const std::unique_ptr<char, void (*)(void*)> owner{text, ::free};
    return std::string{text};
}

Result<std::uint64_t> get_time(sd_bus* bus, const std::string& object, const char* property) {
    BusError error;
    std::uint64_t value = 0;
    const int r =
        sd_bus_get_property_trivial(bus, service, object.c_str(), unit_interface, property, &error.value, 't', &value);
    if (r < 0)
        return fail(explain(r, error, std::string{"cannot read the property "} + property + " of " + object));
    return value;
}

Result<std::vector<std::string>> get_addresses(sd_bus* bus, const std::string& object) {
    BusError error;
    sd_bus_message* raw = nullptr;
    int r = sd_bus_get_property(bus, service, object.c_str(), "org.freedesktop.systemd1.Socket", "Listen", &error.value,
                                &raw, "a(ss)");
    const Message reply{raw};
    std::vector<std::string> addresses;
    if (r >= 0)
        r = sd_bus_message_enter_container(raw, 'a', "(ss)");
    while (r >= 0) {
        const char *type = nullptr, *address = nullptr;
        r = sd_bus_message_read(raw, "(ss)", &type, &address);
        if (r <= 0)
            break;
        addresses.emplace_back(address);
    }
    if (r < 0)
        return fail(explain(r, error, "cannot read what " + object + " listens on"));
    return addresses;
}

/// That of the unit's kind.
const char* interface_of(const std::string& unit) {
    if (unit.ends_with(".socket"))
        return "org.freedesktop.systemd1.Socket";
    if (unit.ends_with(".path"))
        return "org.freedesktop.systemd1.Path";
    return unit.ends_with(".timer") ? "org.freedesktop.systemd1.Timer" : "org.freedesktop.systemd1.Service";
}

} // namespace

void ManagerClient::Close::operator()(sd_bus* bus) const noexcept { sd_bus_flush_close_unref(bus); }

Result<ManagerClient> ManagerClient::open_directly() {
    sd_bus* raw = nullptr;
    if (sd_bus_new(&raw) < 0)
        return open();
    ManagerClient client{raw};
    if (sd_bus_set_address(raw, "unix:path=/run/systemd/private") < 0 || sd_bus_start(raw) < 0)
        return open();
    return client; // it has all signals without asking
}

Result<ManagerClient> ManagerClient::open() {
    sd_bus* bus = nullptr;
    if (const int r = sd_bus_open_system(&bus); r < 0)
        return fail(os_error(-r, "cannot reach systemd over the system bus", "is this system booted with systemd?"));
    ManagerClient client{bus};
    // Without a subscriber systemd sends no JobRemoved.
    BusError error;
    if (const int r = sd_bus_call_method(bus, service, path, manager, "Subscribe", &error.value, nullptr, ""); r < 0)
        return fail(explain(r, error, "cannot subscribe to systemd's signals"));
    return client;
}

Result<void> ManagerClient::reload() {
    BusError error;
    sd_bus_message* raw = nullptr;
    int r = sd_bus_message_new_method_call(bus_.get(), &raw, service, path, manager, "Reload");
    const Message call{raw};
    if (r >= 0)
        r = sd_bus_call(bus_.get(), raw, no_time_limit, &error.value, nullptr);
    if (r < 0)
        return fail(explain(r, error, "cannot make systemd read its units again"));
    return {};
}

namespace {

/// The job's path.
Result<std::string> ask_for_job(sd_bus* bus, const char* method, const std::string& unit, const char* mode) {
    BusError error;
    sd_bus_message* raw = nullptr;
    int r = sd_bus_call_method(bus, service, path, manager, method, &error.value, &raw, "ss", unit.c_str(), mode);
    const Message reply{raw};
    const char* job = nullptr;
    if (r < 0 || (r = sd_bus_message_read(raw, "o", &job)) < 0)
        return fail(explain(r, error, "unit '" + unit + "'"));
    return std::string{job};
}

Result<void> await_job(sd_bus* bus, const Wait& wait, const std::string& job, const std::string& unit) {
    while (!wait.result_of(job)) {
        int r = sd_bus_process(bus, nullptr);
        if (r == 0)
            r = sd_bus_wait(bus, no_time_limit);
        if (r < 0 && r != -EINTR)
            return fail(os_error(-r, "unit '" + unit + "': lost systemd while its job ran"));
    }
    if (const std::string& result = *wait.result_of(job); result != "done")
        return fail(Error{std::errc::io_error, "unit '" + unit + "': its job ended with '" + result + "'", ""});
    return {};
}

Result<Slot> listen_for_jobs(sd_bus* bus, Wait& wait) {
    sd_bus_slot* raw = nullptr;
    if (const int r = sd_bus_match_signal(bus, &raw, service, path, manager, "JobRemoved", on_job_removed, &wait);
        r < 0)
        return fail(os_error(-r, "cannot wait for systemd's jobs"));
    return Slot{raw};
}

} // namespace

Result<void> ManagerClient::run_job(const char* method, const std::string& unit) {
    Wait wait;
    const Slot slot = TRY(listen_for_jobs(bus_.get(), wait));
    const std::string job = TRY(ask_for_job(bus_.get(), method, unit, "replace"));
    return await_job(bus_.get(), wait, job, unit);
}

Result<std::size_t> ManagerClient::start_together(const std::vector<std::string>& units,
                                                  const std::function<void()>& asked) {
    Wait wait;
    const Slot slot = TRY(listen_for_jobs(bus_.get(), wait));
    std::vector<std::pair<std::string, std::string>> jobs; // and their units
    for (const auto& unit : units)
        if (auto job = ask_for_job(bus_.get(), "StartUnit", unit, "fail"))
            jobs.emplace_back(*std::move(job), unit);
    asked();
    std::size_t started = 0;
    for (const auto& [job, unit] : jobs)
        if (await_job(bus_.get(), wait, job, unit))
            ++started;
    return started;
}

Result<void> ManagerClient::start(const std::string& unit) { return run_job("StartUnit", unit); }

Result<void> ManagerClient::stop(const std::string& unit) { return run_job("StopUnit", unit); }

Result<void> ManagerClient::restart(const std::string& unit) { return run_job("RestartUnit", unit); }

Result<void> ManagerClient::reset_failed(const std::string& unit) {
    BusError error;
    const int r = sd_bus_call_method(bus_.get(), service, path, manager, "ResetFailedUnit", &error.value, nullptr, "s",
                                     unit.c_str());
    return r < 0 ? Result<void>{fail(explain(r, error, "unit '" + unit + "'"))} : Result<void>{};
}

Result<void> ManagerClient::begin_stop(const std::string& unit) {
    TRY(ask_for_job(bus_.get(), "StopUnit", unit, "replace"));
    return {};
}

Result<void> ManagerClient::kill(const std::string& unit, int signal) {
    BusError error;
    const int r = sd_bus_call_method(bus_.get(), service, path, manager, "KillUnit", &error.value, nullptr, "ssi",
                                     unit.c_str(), "all", static_cast<std::int32_t>(signal));
    return r < 0 ? Result<void>{fail(explain(r, error, "unit '" + unit + "'"))} : Result<void>{};
}

Result<UnitState> ManagerClient::state(const std::string& unit) {
    const std::string object = TRY(object_path(unit));
    UnitState state;
    state.load = TRY(get_string(bus_.get(), object, unit_interface, "LoadState"));
    state.active = TRY(get_string(bus_.get(), object, unit_interface, "ActiveState"));
    state.since = TRY(get_time(bus_.get(), object, "ActiveEnterTimestamp"));
    state.result = TRY(get_string(bus_.get(), object, interface_of(unit), "Result"));
    return state;
}

Result<std::vector<ListedUnit>> ManagerClient::units_like(const std::string& pattern) {
    BusError error;
    sd_bus_message* raw = nullptr;
    int r = sd_bus_call_method(bus_.get(), service, path, manager, "ListUnitsByPatterns", &error.value, &raw, "asas", 0,
                               1, pattern.c_str());
    const Message reply{raw};
    if (r >= 0)
        r = sd_bus_message_enter_container(raw, 'a', "(ssssssouso)");
    std::vector<ListedUnit> units;
    while (r >= 0) {
        const char *name = nullptr, *active = nullptr;
        std::uint32_t job = 0;
        r = sd_bus_message_read(raw, "(ssssssouso)", &name, nullptr, nullptr, &active, nullptr, nullptr, nullptr, &job,
                                nullptr, nullptr);
        if (r <= 0)
            break;
        units.push_back({name, active, job != 0});
    }
    if (r < 0)
        return fail(explain(r, error, "cannot list systemd's units '" + pattern + "'"));
    return units;
}

Result<std::string> ManagerClient::status_text(const std::string& unit) {
    return get_string(bus_.get(), TRY(object_path(unit)), interface_of(unit), "StatusText");
}

Result<std::uint64_t> ManagerClient::start_began(const std::string& unit) {
    return get_time(bus_.get(), TRY(object_path(unit)), "InactiveExitTimestamp");
}

Result<std::vector<ListeningUnit>> ManagerClient::listening_units() {
    std::vector<ListeningUnit> listening;
    for (const auto& unit : TRY(units_like("*.socket"))) {
        if (unit.active != "active")
            continue;
        const std::string object = TRY(object_path(unit.name));
        auto addresses = TRY(get_addresses(bus_.get(), object));
        listening.push_back({unit.name, std::move(addresses)});
    }
    return listening;
}

} // namespace ctrd::systemd
