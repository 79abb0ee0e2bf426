#include "machined-plugin/scope_message.hpp"

#include <cerrno>
#include <charconv>
#include <cstdint>

namespace ctrd::systemd {
namespace {

template <class T> bool parse(std::string_view text, T& value, int base = 10) {
    const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return !text.empty() && err == std::errc{} && end == text.data() + text.size();
}

int append_bytes(sd_bus_message* call, std::string_view hex) {
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2)
        if (!parse(hex.substr(i, 2), bytes.emplace_back(), 16))
            return -EINVAL;
    return sd_bus_message_append_array(call, 'y', bytes.data(), bytes.size());
}

int append_pair(sd_bus_message* call, const std::string& text) {
    const auto space = text.find(' ');
    std::uint64_t value = 0;
    if (space == std::string::npos || !parse(std::string_view{text}.substr(space + 1), value))
        return -EINVAL;
    return sd_bus_message_append(call, "a(st)", 1, text.substr(0, space).c_str(), value);
}

int append_value(sd_bus_message* call, const std::string& signature, const std::string& text) {
    std::uint64_t number = 0;
    std::int32_t integer = 0;
    if (signature == "s")
        return sd_bus_message_append(call, "s", text.c_str());
    if (signature == "ay")
        return append_bytes(call, text);
    if (signature == "a(st)")
        return append_pair(call, text);
    if (signature == "t" && parse(text, number))
        return sd_bus_message_append(call, "t", number);
    if ((signature == "i" || signature == "b") && parse(text, integer))
        return sd_bus_message_append(call, signature.c_str(), integer);
    return -EINVAL;
}

int append_property(sd_bus_message* call, const std::string& property) {
    const auto equals = property.find('=');
    const auto colon = property.find(':', equals);
    if (equals == std::string::npos || colon == std::string::npos)
        return -EINVAL;
    const std::string signature = property.substr(equals + 1, colon - equals - 1);
    int r = sd_bus_message_open_container(call, 'r', "sv");
    if (r >= 0)
        r = sd_bus_message_append(call, "s", property.substr(0, equals).c_str());
    if (r >= 0)
        r = sd_bus_message_open_container(call, 'v', signature.c_str());
    if (r >= 0)
        r = append_value(call, signature, property.substr(colon + 1));
    if (r >= 0)
        r = sd_bus_message_close_container(call);
    return r < 0 ? r : sd_bus_message_close_container(call);
}

} // namespace

int append_properties(sd_bus_message* call, const std::vector<std::string>& properties) {
    int r = 0;
    for (const std::string& property : properties)
        if (r >= 0)
            r = append_property(call, property);
    return r;
}

int append_scope(sd_bus_message* call, const ScopeRequest& request, pid_t pid) {
    int r = sd_bus_message_append(call, "ss", request.unit.c_str(), "fail");
    if (r >= 0)
        r = sd_bus_message_open_container(call, 'a', "(sv)");
    const auto add = [&](auto... arguments) {
        if (r >= 0)
            r = sd_bus_message_append(call, "(sv)", arguments...);
    };
    add("PIDs", "au", 1, static_cast<std::uint32_t>(pid));
    add("Delegate", "b", 1);
    add("Slice", "s", request.slice.c_str());
    add("Description", "s", request.description.c_str());
    add("CollectMode", "s", "inactive-or-failed"); // no trace of a container that was killed
    add("DefaultDependencies", "b", 0);
    if (r >= 0)
        r = append_properties(call, request.properties);
    if (r >= 0)
        r = sd_bus_message_close_container(call);
    return r < 0 ? r : sd_bus_message_append(call, "a(sa(sv))", 0);
}

} // namespace ctrd::systemd
