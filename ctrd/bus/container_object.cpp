#include "ctrd/bus/container_object.hpp"

#include "ctrd/activation/record.hpp"
#include "ctrd/bus/image_properties.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/reply.hpp"
#include "ctrd/bus/start_properties.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace ctrd::bus {
namespace {

constexpr const char* prefix = "/io/ctrd1/container";
constexpr const char* interface = "io.ctrd1.Container";

std::string name_of(const char* path) {
    char* name = nullptr;
    if (sd_bus_path_decode(path, prefix, &name) <= 0)
        return {};
    const std::unique_ptr<char, void (*)(void*)> owner{name, ::free};
    return name;
}

Actions& actions_of(void* userdata) { return *static_cast<Actions*>(userdata); }

/// What "auto" has come to in this run, "auto: proxy".
std::string delivery_of(const DeclaredSocket& socket, const std::string& container) {
    if (socket.deliver != "auto")
        return socket.deliver;
    const auto record = activation::read_record(container);
    if (!record)
        return socket.deliver;
    const auto at = std::ranges::find(record->sockets, socket.name, &activation::RecordedSocket::name);
    return at == record->sockets.end() ? socket.deliver : socket.deliver + ": " + at->deliver;
}

int append_sockets(sd_bus_message* reply, const Container& container) {
    int r = sd_bus_message_open_container(reply, 'a', "(sssu)");
    if (container.declared)
        for (const auto& socket : container.declared->sockets)
            if (r >= 0)
                r = sd_bus_message_append(reply, "(sssu)", socket.listen.c_str(),
                                          delivery_of(socket, container.name).c_str(), socket.name.c_str(),
                                          socket.port);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

int append_property(sd_bus_message* reply, std::string_view property, const Container& container,
                    const Registry& registry) {
    const auto& unit = container.unit;
    if (property == "Name")
        return sd_bus_message_append(reply, "s", container.name.c_str());
    if (property == "State")
        return sd_bus_message_append(reply, "s", state_of(unit));
    if (property == "Standby")
        return sd_bus_message_append(reply, "s", registry.phase_of(container.name).c_str());
    if (property == "Source")
        return sd_bus_message_append(reply, "s", container.declared ? container.declared->source.c_str() : "");
    if (property == "Image")
        return sd_bus_message_append(reply, "s", container.declared ? container.declared->image.c_str() : "");
    if (property == "ImageDigest")
        return sd_bus_message_append(reply, "s", image_digest_of(container).c_str());
    if (property == "Leader")
        return sd_bus_message_append(reply, "u", static_cast<std::uint32_t>(leader_of(unit)));
    if (property == "Unit")
        return sd_bus_message_append(reply, "s", systemd::unit_of(container.name).c_str());
    if (property == "CGroup")
        return sd_bus_message_append(reply, "s", cgroup_of_container(container).c_str());
    if (property == "Since")
        return sd_bus_message_append(reply, "t", since_of(unit));
    if (property == "MainCode")
        return sd_bus_message_append(reply, "i", unit.main_code);
    if (property == "MainStatus")
        return sd_bus_message_append(reply, "i", unit.main_status);
    if (property == "Result")
        return sd_bus_message_append(reply, "s", unit.result.c_str());
    if (property == "Starts")
        return append_starts(reply, container.name);
    if (property == "Connections")
        return append_connections(reply, container.name);
    return append_sockets(reply, container);
}

// Handlers.

int get_property(sd_bus*, const char* path, const char*, const char* property, sd_bus_message* reply, void* userdata,
                 sd_bus_error*) noexcept {
    const Registry& registry = actions_of(userdata).registry();
    const Container* container = registry.find(name_of(path));
    return container == nullptr ? -ENOENT : append_property(reply, property, *container, registry);
}

template <int (Actions::*action)(sd_bus_message* call, const std::string& name)>
int on(sd_bus_message* call, void* userdata, sd_bus_error*) noexcept {
    return (actions_of(userdata).*action)(call, name_of(sd_bus_message_get_path(call)));
}

int on_kill(sd_bus_message* call, void* userdata, sd_bus_error*) noexcept {
    const char* whom = nullptr;
    std::int32_t signal = 0;
    if (const int r = sd_bus_message_read(call, "si", &whom, &signal); r < 0)
        return r;
    return actions_of(userdata).kill(call, name_of(sd_bus_message_get_path(call)), whom, signal);
}

const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Name", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("State", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Standby", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Source", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Image", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("ImageDigest", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Leader", "u", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Unit", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("CGroup", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Since", "t", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Sockets", "a(sssu)", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("MainStatus", "i", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("MainCode", "i", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Result", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Starts", "(tt(ttt)a(ts))", get_property, 0, 0),
    SD_BUS_PROPERTY("Connections", "(uu)", get_property, 0, 0),
    SD_BUS_METHOD("Start", "", "", on<&Actions::start>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Stop", "", "", on<&Actions::stop>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Restart", "", "", on<&Actions::restart>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Pause", "", "", on<&Actions::pause>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Resume", "", "", on<&Actions::resume>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Hold", "", "", on<&Actions::hold>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Release", "", "", on<&Actions::release>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Kill", SD_BUS_ARGS("s", whom, "i", signal), SD_BUS_NO_RESULT, on_kill,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Wait", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", state, "i", code, "i", status),
                            on<&Actions::wait>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Exec",
                            SD_BUS_ARGS("as", argv, "a{sv}", options, "h", stdin_fd, "h", stdout_fd, "h", stderr_fd),
                            SD_BUS_RESULT("i", status), on<&Actions::exec>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Attach", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", stream, "h", terminal), on<&Actions::attach>,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("SetProperties", SD_BUS_ARGS("b", runtime, "a{sv}", properties), SD_BUS_NO_RESULT,
                            on<&Actions::set_properties>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetStats", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", stats), on<&Actions::stats>,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetProcesses", SD_BUS_NO_ARGS, SD_BUS_RESULT("au", pids), on<&Actions::processes>,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("CopyTo", SD_BUS_ARGS("s", path, "h", data_fd, "a{sv}", options), SD_BUS_NO_RESULT,
                            on<&Actions::copy_to>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("CopyFrom", SD_BUS_ARGS("s", path, "h", data_fd), SD_BUS_NO_RESULT, on<&Actions::copy_from>,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("BindMount", SD_BUS_ARGS("s", source, "s", target, "a{sv}", options), SD_BUS_NO_RESULT,
                            on<&Actions::bind_mount>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Rename", SD_BUS_ARGS("s", to), SD_BUS_RESULT("o", container), on<&Actions::rename>,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT, on<&Actions::remove>,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetLogs", SD_BUS_ARGS("h", output_fd, "a{sv}", options), SD_BUS_NO_RESULT,
                            on<&Actions::logs>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END};

int find_object(sd_bus*, const char* path, const char*, void* userdata, void** found, sd_bus_error*) noexcept {
    if (actions_of(userdata).registry().find(name_of(path)) == nullptr)
        return 0;
    *found = userdata;
    return 1;
}

int enumerate(sd_bus*, const char*, void* userdata, char*** nodes, sd_bus_error*) noexcept {
    const auto& containers = actions_of(userdata).registry().containers();
    auto** list = static_cast<char**>(::calloc(containers.size() + 1, sizeof(char*)));
    if (list == nullptr)
        return -ENOMEM;
    std::size_t i = 0;
    for (const auto& [name, container] : containers)
        list[i++] = ::strdup(container_path(name).c_str());
    *nodes = list; // sd-bus frees it
    return 0;
}

} // namespace

std::string container_path(const std::string& name) {
    char* path = nullptr;
    if (sd_bus_path_encode(prefix, name.c_str(), &path) < 0)
        return prefix;
    const std::unique_ptr<char, void (*)(void*)> owner{path, ::free};
    return path;
}

Result<systemd::BusSlot> add_container_objects(sd_bus* bus, Actions& actions) {
    sd_bus_slot* slot = nullptr;
    if (const int r = sd_bus_add_fallback_vtable(bus, &slot, prefix, interface, vtable, find_object, &actions); r < 0)
        return fail(os_error(-r, "cannot add the containers' objects to the bus"));
    return systemd::BusSlot{slot};
}

Result<systemd::BusSlot> add_container_enumerator(sd_bus* bus, Actions& actions) {
    sd_bus_slot* slot = nullptr;
    if (const int r = sd_bus_add_node_enumerator(bus, &slot, prefix, enumerate, &actions); r < 0)
        return fail(os_error(-r, "cannot list the containers' objects on the bus"));
    return systemd::BusSlot{slot};
}

void announce_change(sd_bus* bus, const Container& container, Change change) {
    const std::string path = container_path(container.name);
    int r = 0;
    if (change.unit)
        r = sd_bus_emit_properties_changed(bus, path.c_str(), interface, "State", "Leader", "CGroup", "Since",
                                           "MainStatus", "MainCode", "Result", "Standby", "ImageDigest", nullptr);
    if (r >= 0 && change.declared)
        r = sd_bus_emit_properties_changed(bus, path.c_str(), interface, "Source", "Image", "ImageDigest", "Sockets",
                                           nullptr);
    if (r < 0)
        log_warning(os_error(-r, "cannot announce a change of container '" + container.name + "'"));
}

} // namespace ctrd::bus
