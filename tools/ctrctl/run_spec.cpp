#include "tools/ctrctl/run_spec.hpp"

#include "config/syntax.hpp"

#include <fmt/format.h>

namespace ctrd::ctl {
namespace {

void add(std::string& text, const char* key, const std::string& value) {
    if (!value.empty())
        text += fmt::format("{} = {}\n", key, toml_string(value));
}

std::string list_of(const std::vector<std::string>& strings) {
    std::string list;
    for (const auto& one : strings)
        list += (list.empty() ? "" : ", ") + toml_string(one);
    return "[" + list + "]";
}

} // namespace

std::string toml_string(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            quoted += fmt::format("\\{}", c);
        else if (static_cast<unsigned char>(c) < ' ' || c == '\x7f')
            quoted += fmt::format("\\u{:04X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
        else
            quoted += c;
    }
    return quoted + "\"";
}

std::string declaration_of(const config::UnitSpec& spec) {
    std::string text =
        "# Made by 'ctrctl run --detach'; 'ctrctl rm " + spec.name + "' removes it.\nstart = \"manual\"\n";
    add(text, "rootfs", spec.rootfs.value_or(""));
    add(text, "bundle", spec.bundle.value_or(""));
    add(text, "image", spec.image.value_or(""));
    if (spec.entrypoint)
        text += "entrypoint = " + list_of(*spec.entrypoint) + "\n";
    if (!spec.command.empty())
        text += "command = " + list_of(spec.command) + "\n";
    add(text, "user", spec.user.value_or(""));
    add(text, "working-directory", spec.working_directory.value_or(""));
    add(text, "hostname", spec.hostname.value_or(""));
    if (spec.network)
        add(text, "network", *spec.network == config::Network::host ? "host" : "none");
    if (spec.private_users)
        add(text, "private-users", config::private_users_text(*spec.private_users));
    add(text, "slice", spec.slice.value_or(""));
    if (spec.read_only)
        text += fmt::format("read-only = {}\n", *spec.read_only);
    if (spec.terminal)
        text += "terminal = true\n";
    add(text, "restart", spec.restart);
    if (!spec.environment.empty())
        text += "\n[environment]\n";
    for (const auto& [name, value] : spec.environment)
        text += fmt::format("{} = {}\n", toml_string(name), toml_string(value));
    return text;
}

} // namespace ctrd::ctl
