#include "ctrd/bus/view.hpp"

#include "ctrd/base/names.hpp"
#include "machined-plugin/units.hpp"

#include <nlohmann/json.hpp>

#include <charconv>
#include <csignal>

namespace ctrd::bus {
namespace {

using nlohmann::json;

DeclaredSocket to_socket(const json& value) {
    return {value.at("listen").get<std::string>(), value.at("deliver").get<std::string>(),
            value.at("name").get<std::string>(), value.value("port", std::uint32_t{0})};
}

std::chrono::milliseconds milliseconds_of(const json& value, const char* key) {
    return std::chrono::milliseconds{value.value(key, std::uint64_t{0})};
}

StandbyPolicy to_policy(const json& value) {
    return {value.at("mode").get<std::string>(),
            milliseconds_of(value, "idle_timeout_ms"),
            milliseconds_of(value, "max_lifetime_ms"),
            value.value("idle_cpu_permille", std::uint32_t{0}),
            value.value("graceful", false),
            value.value("reclaim_memory", false),
            value.value("always_there", false)};
}

std::string root_of(const json& document) {
    const auto root = document.find("root");
    const std::string path = root == document.end() ? std::string{} : root->value("path", std::string{});
    return path.starts_with('/') ? path : std::string{};
}

std::string ended_how(const systemd::UnitFacts& unit) {
    if (unit.main_code == CLD_EXITED)
        return "its first process exited with status " + std::to_string(unit.main_status);
    if (unit.main_code == CLD_KILLED || unit.main_code == CLD_DUMPED)
        return "its first process was ended by " + signal_name(unit.main_status);
    return {};
}

/// systemd's words for Result=, in ours.
std::string reason_of(const systemd::UnitFacts& unit) {
    const std::string_view result = unit.result;
    if (result == "timeout")
        return "it was not ready in time";
    if (result == "start-limit-hit")
        return "it was started too often in a short time";
    if (result == "oom-kill")
        return "it was killed for lack of memory";
    if (result == "resources")
        return "systemd could not make what its unit asks for";
    if (result == "protocol")
        return "it ended before it was ready";
    return {};
}

} // namespace

Result<Declaration> parse_declaration(std::string_view config_json) {
    // The rest, which may be large, is passed over.
    const auto keep = [](int depth, json::parse_event_t event, json& parsed) {
        return depth != 1 || event != json::parse_event_t::key || parsed == "ctrd" || parsed == "root";
    };
    Declaration declaration;
    try {
        const json document = json::parse(config_json, keep);
        const json& own = document.at("ctrd");
        declaration.source = own.value("source", std::string{});
        declaration.root = root_of(document);
        if (const auto image = own.find("image"); image != own.end()) {
            declaration.image = image->at("name").get<std::string>();
            declaration.image_digest = image->at("digest").get<std::string>();
        }
        for (const json& socket : own.at("sockets"))
            declaration.sockets.push_back(to_socket(socket));
        if (own.contains("standby"))
            declaration.standby = to_policy(own.at("standby"));
    } catch (const json::exception& error) {
        return fail(bad_input("key 'ctrd': " + std::string{error.what()}));
    }
    return declaration;
}

const char* state_of(const systemd::UnitFacts& unit) {
    if (unit.active == "active" || unit.active == "reloading")
        return unit.freezer == "frozen" ? "paused" : "running";
    if (unit.active == "activating")
        return "starting";
    if (unit.active == "deactivating")
        return "stopping";
    return unit.active == "failed" ? "failed" : "stopped";
}

bool is_up(const systemd::UnitFacts& unit) { return unit.active == "active" || unit.active == "reloading"; }

pid_t leader_of(const systemd::UnitFacts& unit) {
    return is_up(unit) || unit.active == "deactivating" ? static_cast<pid_t>(unit.main_pid) : 0;
}

std::uint64_t since_of(const systemd::UnitFacts& unit) {
    const std::string_view state = state_of(unit);
    if (is_up(unit))
        return unit.active_enter;
    if (state == "starting")
        return unit.inactive_exit;
    return state == "stopping" ? unit.active_exit : unit.inactive_enter;
}

EndFacts parse_end(std::string_view text) {
    const auto space = text.find(' ');
    const std::string_view code = text.substr(0, space);
    std::string status{space == std::string_view::npos ? "" : text.substr(space + 1)};
    while (status.ends_with('\n'))
        status.pop_back();
    if (code == "exited") {
        int number = 0;
        const auto [end, err] = std::from_chars(status.data(), status.data() + status.size(), number);
        return err == std::errc{} ? EndFacts{CLD_EXITED, number} : EndFacts{};
    }
    const auto signal = parse_signal(status);
    if (!signal || (code != "killed" && code != "dumped"))
        return {};
    return {code == "killed" ? CLD_KILLED : CLD_DUMPED, *signal};
}

bool is_listed(const Container& container) {
    if (container.declared)
        return true;
    const std::string_view state = state_of(container.unit);
    return state != "stopped" && state != "failed";
}

Error start_failure(const std::string& name, std::string_view job, const systemd::UnitFacts& unit) {
    Error error{std::errc::io_error, "container '" + name + "' did not start",
                "journalctl -u " + systemd::unit_of(name)};
    if (job == "canceled") {
        error.message += ": somebody asked for something else meanwhile";
        error.hint.clear();
        return error;
    }
    if (job == "dependency") {
        error.message += ": something that it needs did not start";
        error.hint = "systemctl list-dependencies " + systemd::unit_of(name);
        return error;
    }
    // ctr-run's own sentence, where it had one to say, is the best that there is.
    if (!unit.status_text.empty() && unit.status_text != "Running" && !unit.status_text.starts_with("Created; "))
        error.message += ": " + unit.status_text;
    else if (const auto reason = reason_of(unit); !reason.empty())
        error.message += ": " + reason;
    else if (const auto ended = ended_how(unit); !ended.empty())
        error.message += ": " + ended;
    else
        error.message += ": its job ended with '" + std::string{job} + "', its unit with '" + unit.result + "'";
    return error;
}

} // namespace ctrd::bus
