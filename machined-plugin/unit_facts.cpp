#include "machined-plugin/unit_facts.hpp"

#include <cstring>
#include <string_view>
#include <utility>

namespace ctrd::systemd {
namespace {

int read_text(sd_bus_message* message, std::string& value) {
    const char* text = nullptr;
    const int r = sd_bus_message_read(message, "v", "s", &text);
    if (r >= 0)
        value = text;
    return r;
}

int read_invocation(sd_bus_message* message, sd_id128_t& value) {
    const void* bytes = nullptr;
    std::size_t size = 0;
    int r = sd_bus_message_enter_container(message, 'v', "ay");
    if (r < 0 || (r = sd_bus_message_read_array(message, 'y', &bytes, &size)) < 0)
        return r;
    value = SD_ID128_NULL;
    if (size == sizeof value.bytes)
        std::memcpy(value.bytes, bytes, size);
    return sd_bus_message_exit_container(message);
}

int read_job(sd_bus_message* message, std::uint32_t& value) {
    int r = sd_bus_message_enter_container(message, 'v', "(uo)");
    if (r < 0 || (r = sd_bus_message_read(message, "(uo)", &value, nullptr)) < 0)
        return r;
    return sd_bus_message_exit_container(message);
}

int read_one(sd_bus_message* message, std::string_view name, UnitFacts& facts) {
    const std::pair<std::string_view, std::string*> texts[] = {{"ActiveState", &facts.active},
                                                               {"SubState", &facts.sub},
                                                               {"Result", &facts.result},
                                                               {"StatusText", &facts.status_text},
                                                               {"FreezerState", &facts.freezer}};
    for (const auto& [key, value] : texts)
        if (key == name)
            return read_text(message, *value);
    const std::pair<std::string_view, std::uint64_t*> times[] = {{"ActiveEnterTimestamp", &facts.active_enter},
                                                                 {"ActiveExitTimestamp", &facts.active_exit},
                                                                 {"InactiveEnterTimestamp", &facts.inactive_enter},
                                                                 {"InactiveExitTimestamp", &facts.inactive_exit}};
    for (const auto& [key, value] : times)
        if (key == name)
            return sd_bus_message_read(message, "v", "t", value);
    if (name == "MainPID")
        return sd_bus_message_read(message, "v", "u", &facts.main_pid);
    if (name == "ExecMainCode")
        return sd_bus_message_read(message, "v", "i", &facts.main_code);
    if (name == "ExecMainStatus")
        return sd_bus_message_read(message, "v", "i", &facts.main_status);
    if (name == "Job")
        return read_job(message, facts.job);
    if (name == "InvocationID")
        return read_invocation(message, facts.invocation);
    return sd_bus_message_skip(message, "v");
}

} // namespace

int read_properties(sd_bus_message* message, UnitFacts& facts) {
    int r = sd_bus_message_enter_container(message, 'a', "{sv}");
    if (r < 0)
        return r;
    while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
        const char* name = nullptr;
        if ((r = sd_bus_message_read(message, "s", &name)) < 0 || (r = read_one(message, name, facts)) < 0 ||
            (r = sd_bus_message_exit_container(message)) < 0)
            return r;
    }
    return r < 0 ? r : sd_bus_message_exit_container(message);
}

} // namespace ctrd::systemd
