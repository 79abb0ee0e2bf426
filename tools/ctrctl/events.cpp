// events: what happened to containers. The journal has it, with cursors to go on from, and journalctl reads it.
#include "tools/ctrctl/client.hpp"
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

/// Whether the journal has anything of it.
bool has_events(const std::string& name) {
    auto arguments = journal_arguments({.lines = "1"});
    arguments.insert(arguments.end(), {"--quiet", "--no-pager", "--output=cat", "_UID=0", "CTRD_NAME=" + name});
    for (const char* id : event_id::all)
        arguments.push_back(std::string{"MESSAGE_ID="} + id);
    return any_in_journal(std::move(arguments));
}

/// A wrong name is an error and not an empty list; one that was removed has had its events.
Outcome<void> check_known(const std::string& name) {
    auto client = Client::connect(false);
    if (!client)
        return {}; // the journal can be read without ctrd
    auto found = client->on_container("GetContainer", name);
    if (found || found.error().exit != exit_no_container || has_events(name))
        return {};
    return std::unexpected{std::move(found).error()};
}

} // namespace

int events(const EventsOptions& options) {
    if (auto good = check_names(options.names); !good)
        return report(good.error());
    for (const auto& name : options.names)
        if (auto exists = check_known(name); !exists)
            return report(exists.error());
    return read_journal(arguments_of(options));
}

} // namespace ctrd::ctl
