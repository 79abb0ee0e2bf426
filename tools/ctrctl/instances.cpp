#include "tools/ctrctl/instances.hpp"

#include "ctrd/base/names.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

namespace ctrd::ctl {
namespace {

constexpr const char* systemd = "org.freedesktop.systemd1";
constexpr std::string_view prefix = "ctr-";
constexpr std::string_view service_suffix = ".service";
constexpr std::string_view socket_suffix = ".socket";

struct Accepting {
    bool listening{false};
    std::vector<Instance> instances{};
};
using Accepted = std::map<std::string, Accepting, std::less<>>; // by container

/// "ctr-echo.socket" -> "echo".
std::string container_of_socket(std::string_view unit) {
    if (!unit.starts_with(prefix) || !unit.ends_with(socket_suffix))
        return {};
    unit.remove_prefix(prefix.size());
    unit.remove_suffix(socket_suffix.size());
    return is_container_name(unit) ? std::string{unit} : std::string{};
}

int append_words(sd_bus_message* message, std::initializer_list<const char*> words) {
    int r = sd_bus_message_open_container(message, 'a', "s");
    for (const char* word : words)
        if (r >= 0)
            r = sd_bus_message_append(message, "s", word);
    return r < 0 ? r : sd_bus_message_close_container(message);
}

/// With a warm pool: it has nobody yet.
bool waits(sd_bus* bus, const char* path) {
    char* text = nullptr;
    if (sd_bus_get_property_string(bus, systemd, path, "org.freedesktop.systemd1.Service", "StatusText", nullptr,
                                   &text) < 0)
        return false;
    const std::unique_ptr<char, void (*)(void*)> owner{text, ::free};
    return std::string_view{text} == waiting_status;
}

std::uint32_t main_pid_of(sd_bus* bus, const char* path) {
    std::uint32_t pid = 0;
    // It may have ended since it was listed.
    const int r = sd_bus_get_property_trivial(bus, systemd, path, "org.freedesktop.systemd1.Service", "MainPID",
                                              nullptr, 'u', &pid);
    return r < 0 ? 0 : pid;
}

int ask_systemd(sd_bus* bus, Message& reply) {
    sd_bus_message* raw = nullptr;
    int r = sd_bus_message_new_method_call(bus, &raw, systemd, "/org/freedesktop/systemd1",
                                           "org.freedesktop.systemd1.Manager", "ListUnitsByPatterns");
    const Message call{raw};
    if (r < 0 || (r = append_words(raw, {"active", "activating", "deactivating"})) < 0 ||
        (r = append_words(raw, {"ctr-*.socket", "ctr-*@*.service"})) < 0)
        return r;
    sd_bus_message* answer = nullptr;
    r = sd_bus_call(bus, raw, 0, nullptr, &answer);
    reply.reset(answer);
    return r;
}

int read_units(sd_bus* bus, sd_bus_message* reply, Accepted& accepted) {
    int r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
    const char *unit = nullptr, *path = nullptr;
    while (r >= 0 && (r = sd_bus_message_read(reply, "(ssssssouso)", &unit, nullptr, nullptr, nullptr, nullptr, nullptr,
                                              &path, nullptr, nullptr, nullptr)) > 0) {
        if (const auto container = container_of_socket(unit); !container.empty())
            accepted[container].listening = true;
        if (const auto name = short_name_of(unit); !name.empty())
            accepted[name.substr(0, name.find('@'))].instances.push_back(
                {name, unit, main_pid_of(bus, path), waits(bus, path)});
    }
    return r;
}

Outcome<Accepted> look(sd_bus* bus) {
    Message reply;
    Accepted accepted;
    int r = ask_systemd(bus, reply);
    if (r < 0 || (r = read_units(bus, reply.get(), accepted)) < 0)
        return refuse(exit_internal, os_error(-r, "cannot ask systemd for the containers of single connections"));
    return accepted;
}

void add(const Accepted& accepted, const std::string& name, std::string& state, std::vector<Instance>& instances) {
    const auto at = accepted.find(name);
    if (at == accepted.end())
        return;
    if (at->second.listening)
        state = "listening";
    instances = at->second.instances;
}

} // namespace

std::string short_name_of(std::string_view unit) {
    const auto at = unit.find('@');
    const auto number_end = unit.find('-', at == std::string_view::npos ? 0 : at);
    if (!unit.starts_with(prefix) || !unit.ends_with(service_suffix) || at == std::string_view::npos ||
        number_end == std::string_view::npos)
        return {};
    const std::string_view name = unit.substr(prefix.size(), at - prefix.size());
    return is_container_name(name) ? std::string{unit.substr(prefix.size(), number_end - prefix.size())}
                                   : std::string{};
}

Outcome<void> add_instances(sd_bus* bus, std::vector<Row>& rows) {
    const auto accepted = look(bus);
    if (!accepted)
        return std::unexpected{accepted.error()};
    for (Row& row : rows)
        add(*accepted, row.name, row.state, row.instances);
    return {};
}

Outcome<void> add_instances(sd_bus* bus, Details& details) {
    const auto accepted = look(bus);
    if (!accepted)
        return std::unexpected{accepted.error()};
    add(*accepted, details.name, details.state, details.instances);
    return {};
}

} // namespace ctrd::ctl
