// stats, top and ps: what running containers use, once or again and again.
#include "tools/ctrctl/client.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/use_text.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "ctrd/base/file.hpp"

#include <nlohmann/json.hpp>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>

namespace ctrd::ctl {
namespace {

constexpr double longest_delay = 86'400;

std::uint64_t steady_now() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count());
}

/// The named ones, or all that run.
Outcome<std::vector<Sample>> look_at(Client& client, const std::vector<std::string>& names) {
    std::vector<Sample> samples;
    if (names.empty()) {
        auto all = client.use_of_all();
        if (!all)
            return std::unexpected{std::move(all).error()};
        for (auto& [name, use] : *all)
            samples.push_back({name, std::move(use), steady_now()});
    }
    for (const auto& name : names) {
        auto use = client.use(name);
        if (!use)
            return std::unexpected{std::move(use).error()};
        samples.push_back({name, std::move(*use), steady_now()});
    }
    return samples;
}

int stats(Client& client, const UseOptions& options) {
    const auto samples = look_at(client, options.names);
    if (!samples)
        return report(samples.error());
    if (const Json json = json_of(options.json); json != Json::off)
        return print(json_text(use_json(*samples), json));
    return print(samples->empty() ? std::string{"no container runs\n"} : use_text(*samples, {}, look_of_stdout()));
}

void by_cpu(std::vector<Sample>& samples) {
    std::ranges::sort(samples, std::greater{}, [](const Sample& one) {
        const auto at = one.use.numbers.find("CPUUsageUSec");
        return at == one.use.numbers.end() ? 0 : at->second;
    });
}

/// On a terminal each look takes the place of the one before; elsewhere they follow each other.
int top(Client& client, const UseOptions& options) {
    double delay = 0;
    const auto& text = options.delay;
    if (const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), delay);
        err != std::errc{} || end != text.data() + text.size() || !(delay >= 0.1 && delay <= longest_delay))
        return report(exit_bad_input, bad_input("'" + text + "' is no delay", "seconds, 0.1 at least"));
    const bool screen = ::isatty(STDOUT_FILENO) == 1;
    std::vector<Sample> before;
    for (std::uint32_t round = 1;; ++round) {
        auto samples = look_at(client, options.names);
        if (!samples)
            return report(samples.error());
        by_cpu(*samples);
        const std::string table = use_text(*samples, before, look_of_stdout());
        if (const int code = print((screen ? "\x1b[H\x1b[2J" : round > 1 ? "\n" : "") + table); code != exit_ok)
            return code;
        if (round == options.rounds)
            return exit_ok;
        before = std::move(*samples);
        ::poll(nullptr, 0, static_cast<int>(delay * 1000));
    }
}

/// What the kernel shows of it to this user.
std::string command_of(std::uint32_t pid) {
    const std::string folder = "/proc/" + std::to_string(pid);
    auto line = read_file(folder + "/cmdline");
    if (line && !line->empty()) {
        std::ranges::replace(*line, '\0', ' ');
        while (line->ends_with(' '))
            line->pop_back();
        return *line;
    }
    auto name = read_file(folder + "/comm");
    while (name && name->ends_with('\n'))
        name->pop_back();
    return name ? "[" + *name + "]" : std::string{};
}

int ps(Client& client, const UseOptions& options) {
    auto found = client.processes(options.names.front());
    if (!found)
        return report(found.error());
    std::ranges::sort(*found);
    Table table{{"PID", "COMMAND"}};
    auto json = nlohmann::json::array();
    for (const auto pid : *found) {
        const std::string command = command_of(pid);
        table.add({{std::to_string(pid)}, {command}});
        json.push_back({{"pid", pid}, {"command", command}});
    }
    const Json how = json_of(options.json);
    return print(how == Json::off ? table.render(look_of_stdout()) : json_text(json, how));
}

} // namespace

int use(const UseOptions& options) {
    if (auto good = check_names(options.names); !good)
        return report(good.error());
    auto client = Client::connect(false);
    if (!client)
        return report(client.error());
    if (options.verb == "top")
        return top(*client, options);
    return options.verb == "ps" ? ps(*client, options) : stats(*client, options);
}

} // namespace ctrd::ctl
