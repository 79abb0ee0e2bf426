// events: what happened to containers. The journal has it, with cursors to go on from, and journalctl reads it.
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "ctrd/base/journal.hpp"

#include <unistd.h>

#include <cerrno>

namespace ctrd::ctl {
namespace {

/// Every value is glued to its option, so that none can pass for another option. Matches of one field are
/// alternatives, those of several all have to be met.
std::vector<std::string> journal_arguments(const EventsOptions& options) {
    std::vector<std::string> arguments{"journalctl", "--no-pager"};
    if (options.follow)
        arguments.emplace_back("--follow");
    const std::pair<const char*, const std::string&> values[] = {{"--lines=", options.lines},
                                                                 {"--since=", options.since},
                                                                 {"--until=", options.until},
                                                                 {"--after-cursor=", options.after_cursor}};
    for (const auto& [option, value] : values)
        if (!value.empty())
            arguments.push_back(option + value);
    if (options.follow && options.lines.empty())
        arguments.emplace_back("--lines=0"); // journalctl would show ten old ones first
    const Json json = json_of(options.json);
    arguments.emplace_back(json == Json::off      ? "--output=short-iso"
                           : json == Json::pretty ? "--output=json-pretty"
                                                  : "--output=json");
    if (json != Json::off)
        arguments.push_back("--output-fields=" + std::string{event_id::fields});
    arguments.emplace_back("_UID=0"); // whoever may write to the journal could make up the rest
    for (const char* id : event_id::all)
        arguments.push_back(std::string{"MESSAGE_ID="} + id);
    for (const auto& name : options.names)
        arguments.push_back("CTRD_NAME=" + name);
    return arguments;
}

} // namespace

int events(const EventsOptions& options) {
    if (auto good = check_names(options.names); !good)
        return report(good.error());
    auto arguments = journal_arguments(options);
    std::vector<char*> argv;
    for (auto& argument : arguments)
        argv.push_back(argument.data());
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    return report(exit_internal, os_error(errno, "cannot run journalctl", "it belongs to the package systemd"));
}

} // namespace ctrd::ctl
