// logs: the journal is the only log, and journalctl the only reader that is needed.
#include "tools/ctrctl/client.hpp"
#include "tools/ctrctl/journal_reader.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/verbs.hpp"

#include <unistd.h>

#include <memory>

namespace ctrd::ctl {
namespace {

std::vector<std::string> arguments_of(const LogsOptions& options) {
    auto arguments = journal_arguments({options.lines, options.since, options.until, {}, options.follow});
    arguments.push_back("--unit=ctr@" + options.name + ".service");
    if (const Json json = json_of(options.json); json != Json::off)
        arguments.emplace_back(json == Json::pretty ? "--output=json-pretty" : "--output=json");
    if (::isatty(STDOUT_FILENO) != 1)
        arguments.emplace_back("--no-pager");
    return arguments;
}

/// A wrong name is an error and not an empty log. Without ctrd the journal can still be read.
Outcome<void> check_exists(const std::string& name) {
    auto client = Client::connect(false);
    if (!client)
        return {};
    auto found = client->on_container("GetContainer", name);
    if (found || found.error().exit != exit_no_container)
        return {};
    Failure failure = std::move(found).error();
    if (!failure.error.hint.starts_with("did you mean"))
        failure.error.hint = "'journalctl -u ctr@" + name + ".service' shows what is left of a removed container";
    return std::unexpected{std::move(failure)};
}

} // namespace

int logs(const LogsOptions& options) {
    if (auto good = check_names({options.name}); !good)
        return report(good.error());
    if (auto exists = check_exists(options.name); !exists)
        return report(exists.error());
    return read_journal(arguments_of(options));
}

} // namespace ctrd::ctl
