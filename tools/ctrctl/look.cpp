// list and status: they change nothing, and everybody may ask.
#include "tools/ctrctl/describe.hpp"
#include "tools/ctrctl/instances.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/verbs.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <memory>

namespace ctrd::ctl {
namespace {

std::uint64_t now_in_microseconds() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<microseconds>(system_clock::now().time_since_epoch()).count());
}

/// Every container's details; what can't be shown is reported, and its exit code kept, and the others are shown.
int gather(Client& client, const std::vector<std::string>& names, std::vector<Details>& found) {
    int code = exit_ok;
    for (const auto& name : names) {
        auto details = client.details(name);
        if (details)
            if (auto added = add_instances(client.bus(), *details); !added)
                details = std::unexpected{added.error()};
        if (details)
            found.push_back(std::move(*details));
        else
            code = report(details.error());
        if (code == exit_internal)
            break;
    }
    return code;
}

} // namespace

int list(const ListOptions& options) {
    auto client = Client::connect(false);
    if (!client)
        return report(client.error());
    auto rows = client->list();
    if (!rows)
        return report(rows.error());
    if (auto added = add_instances(client->bus(), *rows); !added)
        return report(added.error());
    if (const Json json = json_of(options.json); json != Json::off)
        return print(json_text(list_json(*rows), json));
    if (options.quiet) {
        std::string names;
        for (const auto& row : *rows)
            names += row.name + "\n";
        return print(names);
    }
    if (rows->empty())
        return print("no containers are declared; write /etc/ctrd/containers/NAME.toml and run 'ctrctl apply'\n");
    return print(list_text(*rows, look_of_stdout()));
}

int status(const StatusOptions& options) {
    if (auto good = check_names(options.names); !good)
        return report(good.error());
    auto client = Client::connect(false);
    if (!client)
        return report(client.error());
    auto names = options.names;
    if (names.empty()) {
        const auto rows = client->list();
        if (!rows)
            return report(rows.error());
        for (const auto& row : *rows)
            names.push_back(row.name);
    }
    std::vector<Details> found;
    const int code = gather(*client, names, found);
    const Json json = json_of(options.json);
    const Look look = look_of_stdout();
    auto array = nlohmann::json::array();
    std::string text;
    for (const auto& details : found) {
        array.push_back(status_json(details));
        text += (text.empty() ? "" : "\n") + status_text(details, now_in_microseconds(), look);
    }
    const int printed = print(json == Json::off ? text : json_text(array, json));
    return code != exit_ok ? code : printed;
}

} // namespace ctrd::ctl
