#include "tools/ctrctl/describe.hpp"

#include "ctrd/base/names.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <sys/wait.h>

#include <csignal>
#include <ctime>

namespace ctrd::ctl {
namespace {

constexpr std::uint64_t second = 1'000'000;

std::string local_time(std::uint64_t microseconds) {
    const auto seconds = static_cast<std::time_t>(microseconds / second);
    std::tm parts{};
    char text[64];
    if (!::localtime_r(&seconds, &parts) || std::strftime(text, sizeof text, "%a %Y-%m-%d %H:%M:%S %Z", &parts) == 0)
        return {};
    return text;
}

std::string describe_socket(const Socket& socket) {
    const std::string name = socket.name.empty() ? "" : "'" + socket.name + "', ";
    if (socket.port == 0)
        return fmt::format("{} ({}{})", socket.listen, name, socket.deliver);
    return fmt::format("{} -> port {} ({}{})", socket.listen, socket.port, name, socket.deliver);
}

double in_milliseconds(std::uint64_t microseconds) { return static_cast<double>(microseconds) / 1000; }

std::string describe_starts(const StartCounts& starts) {
    if (starts.succeeded + starts.failed == 0)
        return {};
    std::string text = fmt::format("{}, {} failed", starts.succeeded + starts.failed, starts.failed);
    if (starts.succeeded > 0)
        text += fmt::format("; ready within {:.1f} ms (p50), {:.1f} (p90), {:.1f} (p99)", in_milliseconds(starts.p50),
                            in_milliseconds(starts.p90), in_milliseconds(starts.p99));
    return text;
}

std::string describe(const Instance& one) {
    if (one.leader == 0)
        return one.unit;
    return fmt::format("{} (leader {}{})", one.unit, one.leader, one.waits ? "; waits for a connection" : "");
}

std::string describe_connections(const Details& details) {
    if (details.connections + details.queued == 0)
        return {};
    return fmt::format("{}, and {} in the queue", details.connections, details.queued);
}

nlohmann::json instances_json(const std::vector<Instance>& instances) {
    auto json = nlohmann::json::array();
    for (const auto& one : instances)
        json.push_back({{"name", one.name},
                        {"unit", one.unit},
                        {"leader", one.leader},
                        {"state", one.waits ? "created" : "running"}});
    return json;
}

nlohmann::json starts_json(const StartCounts& starts) {
    auto failures = nlohmann::json::array();
    for (const auto& failed : starts.failures)
        failures.push_back({{"when", failed.when}, {"reason", failed.reason}});
    return {{"succeeded", starts.succeeded}, {"failed", starts.failed}, {"p50_us", starts.p50},
            {"p90_us", starts.p90},          {"p99_us", starts.p99},    {"failures", std::move(failures)}};
}

std::string line(std::string_view title, std::string_view value) {
    return value.empty() ? std::string{} : fmt::format("{:>11}: {}\n", title, printable(value));
}

} // namespace

Style style_of_state(std::string_view state) {
    if (state == "running" || state == "listening")
        return Style::good;
    if (state == "failed")
        return Style::bad;
    return state == "stopped" || state == "created" || state == "frozen" ? Style::faint : Style::busy;
}

std::string describe_end(std::int32_t main_code, std::int32_t main_status, std::string_view result) {
    const std::string_view why = result == "oom-kill" ? ", for lack of memory" : "";
    if (main_code == CLD_EXITED)
        return fmt::format("exited with {}{}", main_status, why);
    if (main_code == CLD_KILLED || main_code == CLD_DUMPED)
        return fmt::format("killed by {}{}{}", signal_name(main_status), main_code == CLD_DUMPED ? ", core dumped" : "",
                           why);
    return {};
}

std::string describe_age(std::uint64_t microseconds) {
    const std::uint64_t seconds = microseconds / second;
    if (seconds < 60)
        return fmt::format("{}s", seconds);
    if (seconds < 3600)
        return fmt::format("{}min {}s", seconds / 60, seconds % 60);
    if (seconds < 86400)
        return fmt::format("{}h {}min", seconds / 3600, seconds / 60 % 60);
    return fmt::format("{} day{}", seconds / 86400, seconds < 2 * 86400 ? "" : "s");
}

Cell state_of(const Instance& one) {
    const std::string state = one.waits ? "created" : "running";
    return {state, style_of_state(state)};
}

std::string list_text(const std::vector<Row>& rows, const Look& look) {
    Table table{{"NAME", "STATE", "LEADER", "UNIT", "SOURCE"}};
    const auto leader_text = [](std::uint32_t leader) { return leader ? std::to_string(leader) : std::string{}; };
    for (const auto& row : rows) {
        table.add(
            {{row.name}, {row.state, style_of_state(row.state)}, {leader_text(row.leader)}, {row.unit}, {row.source}});
        for (const auto& one : row.instances)
            table.add({{one.name}, state_of(one), {leader_text(one.leader)}, {one.unit}, {row.source}});
    }
    return table.render(look);
}

nlohmann::json list_json(const std::vector<Row>& rows) {
    auto json = nlohmann::json::array();
    for (const auto& row : rows) {
        json.push_back({{"name", row.name},
                        {"state", row.state},
                        {"source", row.source},
                        {"leader", row.leader},
                        {"unit", row.unit},
                        {"path", row.path}});
        if (row.state == "listening" || !row.instances.empty())
            json.back()["instances"] = instances_json(row.instances);
    }
    return json;
}

std::string status_text(const Details& details, std::uint64_t now, const Look& look) {
    const Style style = style_of_state(details.state);
    std::string text = styled(look.utf8 ? "\u25cf" : "*", style, look) + " " + printable(details.name) + " - " +
                       styled(details.state, style, look);
    if (!details.standby.empty())
        text += " (" + printable(details.standby) + ")";
    if (details.since > 0)
        text += " since " + local_time(details.since) + "; " +
                describe_age(now > details.since ? now - details.since : 0) + " ago";
    text += "\n";
    text += line(details.image.empty() ? "source" : "image", details.source) + line("digest", details.image_digest);
    text += line("unit", details.unit);
    text += line("leader", details.leader ? std::to_string(details.leader) : "");
    text += line("cgroup", details.cgroup);
    for (const auto& socket : details.sockets)
        text += line("socket", describe_socket(socket));
    for (const auto& one : details.instances)
        text += line("instance", describe(one));
    text += line("connections", describe_connections(details)) + line("starts", describe_starts(details.starts));
    for (const auto& failed : details.starts.failures)
        text += line("failed", local_time(failed.when) + ": " + failed.reason);
    if (details.leader == 0)
        text += line("last run", describe_end(details.main_code, details.main_status, details.result));
    return text;
}

nlohmann::json status_json(const Details& details) {
    auto sockets = nlohmann::json::array();
    for (const auto& socket : details.sockets)
        sockets.push_back(
            {{"listen", socket.listen}, {"deliver", socket.deliver}, {"name", socket.name}, {"port", socket.port}});
    nlohmann::json json{{"name", details.name},
                        {"state", details.state},
                        {"source", details.source},
                        {"image", details.image},
                        {"image_digest", details.image_digest},
                        {"unit", details.unit},
                        {"leader", details.leader},
                        {"cgroup", details.cgroup},
                        {"since", details.since},
                        {"sockets", sockets},
                        {"standby", details.standby},
                        {"starts", starts_json(details.starts)},
                        {"connections", details.connections},
                        {"queued", details.queued}};
    if (details.state == "listening" || !details.instances.empty())
        json["instances"] = instances_json(details.instances);
    if (details.main_code == CLD_EXITED)
        json["exit_code"] = details.main_status;
    else if (details.main_code == CLD_KILLED || details.main_code == CLD_DUMPED)
        json["exit_signal"] = signal_name(details.main_status);
    json["result"] = details.result;
    return json;
}

} // namespace ctrd::ctl
