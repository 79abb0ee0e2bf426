#include "ctrd/bus/manager_object.hpp"

#include "ctrd/activation/late_bind.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/bus/container_object.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/reply.hpp"

namespace ctrd::bus {
namespace {

constexpr const char* path = "/io/ctrd1";
constexpr const char* interface = "io.ctrd1.Manager";

Actions& actions_of(void* userdata) { return *static_cast<Actions*>(userdata); }

/// Of one that waits for a connection what it waits as: its unit runs, and it does not.
std::string listed_state(const Registry& registry, const Container& container) {
    const std::string_view state = state_of(container.unit);
    const std::string phase = state == "running" ? registry.phase_of(container.name) : std::string{};
    return phase.empty() ? std::string{state} : phase;
}

int append_row(sd_bus_message* reply, const Registry& registry, const Container& container) {
    return sd_bus_message_append(reply, "(sssuso)", container.name.c_str(), listed_state(registry, container).c_str(),
                                 container.declared ? container.declared->source.c_str() : "",
                                 static_cast<std::uint32_t>(leader_of(container.unit)),
                                 systemd::unit_of(container.name).c_str(), container_path(container.name).c_str());
}

int append_rows(sd_bus_message* reply, const Registry& registry) {
    int r = sd_bus_message_open_container(reply, 'a', "(sssuso)");
    for (const auto& [name, container] : registry.containers())
        if (r >= 0)
            r = append_row(reply, registry, container);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

/// The name that every method's call begins with.
int read_name(sd_bus_message* call, std::string& name) {
    const char* text = nullptr;
    const int r = sd_bus_message_read(call, "s", &text);
    if (r >= 0)
        name = text;
    return r;
}

template <int (Actions::*action)(sd_bus_message* call, const std::string& name)>
int on(sd_bus_message* call, void* userdata, sd_bus_error*) noexcept {
    std::string name;
    if (const int r = read_name(call, name); r < 0)
        return r;
    if (auto good = check_container_name(name); !good)
        return reply_error(call, error_name::bad_input, good.error());
    return (actions_of(userdata).*action)(call, name);
}

/// The object of a container that was found by something else than its name.
int reply_path(sd_bus_message* call, void* userdata, const std::string& name, const std::string& what) {
    if (name.empty() || actions_of(userdata).registry().find(name) == nullptr)
        return reply_error(call, error_name::no_such_container,
                           {std::errc::no_such_process, what + " is in no container", ""});
    return sd_bus_reply_method_return(call, "o", container_path(name).c_str());
}

// Handlers.

int on_list(sd_bus_message* call, void* userdata, sd_bus_error*) noexcept {
    sd_bus_message* raw = nullptr;
    int r = sd_bus_message_new_method_return(call, &raw);
    const systemd::BusMessage reply{raw};
    if (r >= 0)
        r = append_rows(raw, actions_of(userdata).registry());
    return r < 0 ? r : sd_bus_send(nullptr, raw, nullptr);
}

int on_get(sd_bus_message* call, void* userdata, sd_bus_error*) noexcept {
    std::string name;
    if (const int r = read_name(call, name); r < 0)
        return r;
    if (auto good = check_container_name(name); !good)
        return reply_error(call, error_name::bad_input, good.error());
    if (actions_of(userdata).registry().find(name) == nullptr)
        return reply_no_such_container(call, name);
    return sd_bus_reply_method_return(call, "o", container_path(name).c_str());
}

int on_get_by_pid(sd_bus_message* call, void* userdata, sd_bus_error*) noexcept {
    std::uint32_t pid = 0;
    if (const int r = sd_bus_message_read(call, "u", &pid); r < 0)
        return r;
    return reply_path(call, userdata, container_of_process(static_cast<pid_t>(pid)), "process " + std::to_string(pid));
}

int on_get_by_unit(sd_bus_message* call, void* userdata, sd_bus_error*) noexcept {
    std::string unit;
    if (const int r = read_name(call, unit); r < 0)
        return r;
    return reply_path(call, userdata, systemd::container_of(unit), "unit '" + printable(unit) + "'");
}

int on_get_by_cgroup(sd_bus_message* call, void* userdata, sd_bus_error*) noexcept {
    std::string cgroup;
    if (const int r = read_name(call, cgroup); r < 0)
        return r;
    return reply_path(call, userdata, activation::container_of_cgroup(cgroup), "cgroup '" + printable(cgroup) + "'");
}

int on_kill(sd_bus_message* call, void* userdata, sd_bus_error*) noexcept {
    const char *name = nullptr, *whom = nullptr;
    std::int32_t signal = 0;
    if (const int r = sd_bus_message_read(call, "ssi", &name, &whom, &signal); r < 0)
        return r;
    if (auto good = check_container_name(name); !good)
        return reply_error(call, error_name::bad_input, good.error());
    return actions_of(userdata).kill(call, name, whom, signal);
}

int on_events(sd_bus_message* call, void* userdata, sd_bus_error*) noexcept {
    return actions_of(userdata).events(call);
}

int on_all_stats(sd_bus_message* call, void* userdata, sd_bus_error*) noexcept {
    return actions_of(userdata).all_stats(call);
}

int get_version(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void*, sd_bus_error*) noexcept {
    return sd_bus_message_append(reply, "s", CTRD_VERSION);
}

int get_count(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* userdata,
              sd_bus_error*) noexcept {
    return sd_bus_message_append(reply, "u",
                                 static_cast<std::uint32_t>(actions_of(userdata).registry().containers().size()));
}

const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Containers", "u", get_count, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_METHOD_WITH_ARGS("ListContainers", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sssuso)", containers), on_list,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetContainer", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", container), on_get,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetContainerByPID", SD_BUS_ARGS("u", pid), SD_BUS_RESULT("o", container), on_get_by_pid,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetContainerByUnit", SD_BUS_ARGS("s", unit), SD_BUS_RESULT("o", container), on_get_by_unit,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetContainerByCGroup", SD_BUS_ARGS("s", cgroup), SD_BUS_RESULT("o", container),
                            on_get_by_cgroup, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("StartContainer", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, on<&Actions::start>,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("StopContainer", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, on<&Actions::stop>,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("RestartContainer", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, on<&Actions::restart>,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("KillContainer", SD_BUS_ARGS("s", name, "s", whom, "i", signal), SD_BUS_NO_RESULT, on_kill,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS(
        "Exec", SD_BUS_ARGS("s", name, "as", argv, "a{sv}", options, "h", stdin_fd, "h", stdout_fd, "h", stderr_fd),
        SD_BUS_RESULT("i", status), on<&Actions::exec>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("AttachContainer", SD_BUS_ARGS("s", name), SD_BUS_RESULT("h", stream, "h", terminal),
                            on<&Actions::attach>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("PauseContainer", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, on<&Actions::pause>,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ResumeContainer", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, on<&Actions::resume>,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("HoldContainer", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, on<&Actions::hold>,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ReleaseContainer", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, on<&Actions::release>,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("WaitContainer", SD_BUS_ARGS("s", name), SD_BUS_RESULT("s", state, "i", code, "i", status),
                            on<&Actions::wait>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("SetContainerProperties", SD_BUS_ARGS("s", name, "b", runtime, "a{sv}", properties),
                            SD_BUS_NO_RESULT, on<&Actions::set_properties>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetContainerStats", SD_BUS_ARGS("s", name), SD_BUS_RESULT("a{sv}", stats),
                            on<&Actions::stats>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ListContainerStats", SD_BUS_ARGS("s", after),
                            SD_BUS_RESULT("a(sa{sv})", containers, "s", next), on_all_stats,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetContainerProcesses", SD_BUS_ARGS("s", name), SD_BUS_RESULT("au", pids),
                            on<&Actions::processes>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("CopyToContainer", SD_BUS_ARGS("s", name, "s", path, "h", data_fd, "a{sv}", options),
                            SD_BUS_NO_RESULT, on<&Actions::copy_to>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("CopyFromContainer", SD_BUS_ARGS("s", name, "s", path, "h", data_fd), SD_BUS_NO_RESULT,
                            on<&Actions::copy_from>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("BindMountContainer", SD_BUS_ARGS("s", name, "s", source, "s", target, "a{sv}", options),
                            SD_BUS_NO_RESULT, on<&Actions::bind_mount>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("CreateContainer", SD_BUS_ARGS("s", name, "s", declaration), SD_BUS_RESULT("o", container),
                            on<&Actions::create>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("RenameContainer", SD_BUS_ARGS("s", name, "s", to), SD_BUS_RESULT("o", container),
                            on<&Actions::rename>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("RemoveContainer", SD_BUS_ARGS("s", name, "a{sv}", options), SD_BUS_NO_RESULT,
                            on<&Actions::remove>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetContainerLogs", SD_BUS_ARGS("s", name, "h", output_fd, "a{sv}", options),
                            SD_BUS_NO_RESULT, on<&Actions::logs>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetEvents", SD_BUS_ARGS("h", output_fd, "a{sv}", options), SD_BUS_NO_RESULT, on_events,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_SIGNAL_WITH_ARGS("ContainerNew", SD_BUS_ARGS("s", name, "o", container), 0),
    SD_BUS_SIGNAL_WITH_ARGS("ContainerRemoved", SD_BUS_ARGS("s", name, "o", container), 0),
    SD_BUS_SIGNAL_WITH_ARGS("ContainerStateChanged", SD_BUS_ARGS("s", name, "s", state), 0),
    SD_BUS_VTABLE_END};

void announce(sd_bus* bus, const char* signal, const std::string& name, const char* type, const std::string& value) {
    if (const int r = sd_bus_emit_signal(bus, path, interface, signal, type, name.c_str(), value.c_str()); r < 0)
        log_warning(os_error(-r, "cannot announce a change of container '" + name + "'"));
}

} // namespace

Result<systemd::BusSlot> add_manager_object(sd_bus* bus, Actions& actions) {
    sd_bus_slot* slot = nullptr;
    if (const int r = sd_bus_add_object_vtable(bus, &slot, path, interface, vtable, &actions); r < 0)
        return fail(os_error(-r, "cannot add the manager's object to the bus"));
    return systemd::BusSlot{slot};
}

void announce_new(sd_bus* bus, const Container& container) {
    announce(bus, "ContainerNew", container.name, "so", container_path(container.name));
    sd_bus_emit_properties_changed(bus, path, interface, "Containers", nullptr);
}

void announce_removed(sd_bus* bus, const Container& container) {
    announce(bus, "ContainerRemoved", container.name, "so", container_path(container.name));
    sd_bus_emit_properties_changed(bus, path, interface, "Containers", nullptr);
}

void announce_state(sd_bus* bus, const Container& container) {
    announce(bus, "ContainerStateChanged", container.name, "ss", state_of(container.unit));
}

} // namespace ctrd::bus
