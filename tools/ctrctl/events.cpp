// events: what happened to containers. The journal has it, with cursors to go on from, and journalctl reads it.
#include "tools/ctrctl/journal_reader.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "ctrd/base/journal.hpp"

namespace ctrd::ctl {
namespace {

/// Matches of one field are alternatives, those of several all have to be met.
std::vector<std::string> arguments_of(const EventsOptions& options) {
    auto arguments =
        journal_arguments({options.lines, options.since, options.until, options.after_cursor, options.follow});
    arguments.emplace_back("--no-pager");
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
    return read_journal(arguments_of(options));
}

} // namespace ctrd::ctl
