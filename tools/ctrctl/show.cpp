// show and cat: a container's properties for scripts, and the files that declare it for people.
#include "tools/ctrctl/client.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "config/config.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace ctrd::ctl {
namespace {

using Properties = std::vector<std::pair<std::string_view, std::string>>;

/// By the names that they have on the bus.
Properties properties_of(const Details& details) {
    std::string sockets;
    for (const auto& socket : details.sockets)
        sockets += (sockets.empty() ? "" : " ") + socket.listen;
    return {{"Name", details.name},
            {"State", details.state},
            {"Source", details.source},
            {"Image", details.image},
            {"ImageDigest", details.image_digest},
            {"Leader", std::to_string(details.leader)},
            {"Unit", details.unit},
            {"CGroup", details.cgroup},
            {"Since", std::to_string(details.since)},
            {"MainCode", std::to_string(details.main_code)},
            {"MainStatus", std::to_string(details.main_status)},
            {"Result", details.result},
            {"Sockets", sockets}};
}

Outcome<std::string> text_of(const Details& details, const ShowOptions& options) {
    const Properties all = properties_of(details);
    std::string text;
    const auto add = [&](const auto& property) {
        text += (options.value ? "" : std::string{property.first} + "=") + printable(property.second) + "\n";
    };
    if (options.properties.empty())
        std::ranges::for_each(all, add);
    for (const auto& name : options.properties) {
        const auto at = std::ranges::find(all, name, &Properties::value_type::first);
        if (at == all.end()) {
            std::vector<std::string_view> known;
            for (const auto& [key, value] : all)
                known.push_back(key);
            const auto near = nearest(name, known);
            return refuse(exit_bad_input, bad_input("a container has no property '" + name + "'",
                                                    near.empty() ? "" : "did you mean '" + std::string{near} + "'?"));
        }
        add(*at);
    }
    return text;
}

int properties(const ShowOptions& options) {
    auto client = Client::connect(false);
    if (!client)
        return report(client.error());
    std::string text;
    for (const auto& name : options.names) {
        const auto details = client->details(name);
        if (!details)
            return report(details.error());
        auto part = text_of(*details, options);
        if (!part)
            return report(part.error());
        text += (text.empty() ? "" : "\n") + *part;
    }
    return print(text);
}

/// Every file is shown, also where what is in it is wrong.
Outcome<std::string> files_of(const std::string& name) {
    const auto dirs = config::SearchDirs::system();
    const auto main_file = config::find_main_file(name, dirs);
    if (!main_file)
        return refuse(exit_no_container,
                      {std::errc::no_such_file_or_directory, "no file declares a container '" + name + "'",
                       "'ctrctl list' shows those that are declared"});
    const auto loaded = config::load(name, dirs);
    const auto sources = loaded ? loaded->sources : std::vector<std::string>{*main_file};
    std::string text;
    for (const auto& path : sources) {
        const auto content = read_file(path);
        if (!content)
            return refuse(exit_failure, content.error());
        text += (text.empty() ? "" : "\n") + styled("# " + path, Style::title, look_of_stdout()) + "\n" + *content;
    }
    return text;
}

int files(const ShowOptions& options) {
    std::string text;
    for (const auto& name : options.names) {
        auto part = files_of(name);
        if (!part)
            return report(part.error());
        text += (text.empty() ? "" : "\n") + *part;
    }
    return print(text);
}

} // namespace

int show(const ShowOptions& options) {
    if (auto good = check_names(options.names); !good)
        return report(good.error());
    return options.verb == "cat" ? files(options) : properties(options);
}

} // namespace ctrd::ctl
