// check: everything that is wrong with declarations, each with its place in the file. Touches nothing, needs no ctrd.
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "config/config.hpp"

#include <nlohmann/json.hpp>

#include <memory>

namespace ctrd::ctl {
namespace {

/// What reading the file says; if that is nothing, what compiling it says: missing folders, users, a broken bundle.
config::Diagnostics problems_of(const std::string& file) {
    const auto loaded = config::check_file(file);
    if (!loaded)
        return loaded.error();
    const auto compiled = config::compile(loaded->spec);
    return compiled ? config::Diagnostics{} : compiled.error();
}

nlohmann::json to_json(const config::Diagnostics& problems) {
    auto array = nlohmann::json::array();
    for (const auto& problem : problems)
        array.push_back({{"file", problem.at.file},
                         {"line", problem.at.line},
                         {"column", problem.at.column},
                         {"message", problem.message},
                         {"hint", problem.hint}});
    return array;
}

} // namespace

int check(const CheckOptions& options) {
    config::Diagnostics all;
    for (const auto& file : options.files)
        for (auto& problem : problems_of(file))
            all.push_back(std::move(problem));
    const int code = all.empty() ? exit_ok : exit_bad_input;
    if (const Json json = json_of(options.json); json != Json::off) {
        const int printed = print(json_text(to_json(all), json));
        return code != exit_ok ? code : printed;
    }
    if (code != exit_ok)
        std::fputs((config::to_text(all) + "\n").c_str(), stderr);
    return code;
}

} // namespace ctrd::ctl
