// pause, resume, wait, set and bind: what is done with a container while it runs.
#include "tools/ctrctl/client.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/settings.hpp"
#include "tools/ctrctl/verbs.hpp"

#include <sys/wait.h>

#include <csignal>

namespace ctrd::ctl {
namespace {

/// As a shell has it.
int exit_code_of(const End& end) {
    if (end.code == CLD_EXITED)
        return end.status;
    return end.code == CLD_KILLED || end.code == CLD_DUMPED ? 128 + end.status : exit_ok;
}

} // namespace

int wait(const WaitOptions& options) {
    if (auto good = check_names(options.names); !good)
        return report(good.error());
    auto client = Client::connect(false);
    if (!client)
        return report(client.error());
    int code = exit_ok;
    for (const auto& name : options.names) {
        const auto end = client->wait(name);
        if (!end)
            return report(end.error());
        code = code == exit_ok ? exit_code_of(*end) : code;
    }
    return code;
}

int set(const SetOptions& options) {
    if (auto good = check_names({options.name}); !good)
        return report(good.error());
    std::vector<Setting> settings;
    for (const auto& assignment : options.assignments) {
        auto setting = parse_setting(assignment);
        if (!setting)
            return report(exit_bad_input, setting.error());
        settings.push_back(std::move(*setting));
    }
    auto client = Client::connect(!options.no_ask_password);
    if (!client)
        return report(client.error());
    const auto done = client->set_properties(options.name, options.runtime, settings);
    return done ? exit_ok : report(done.error());
}

int bind(const BindOptions& options) {
    if (auto good = check_names({options.name}); !good)
        return report(good.error());
    const std::string& target = options.target.empty() ? options.source : options.target;
    for (const auto& path : {options.source, target})
        if (!path.starts_with('/'))
            return report(exit_bad_input, bad_input("'" + path + "' is not an absolute path"));
    auto client = Client::connect(!options.no_ask_password);
    if (!client)
        return report(client.error());
    const auto done = client->bind_mount(options.name, options.source, target, options.read_only, options.make_target);
    return done ? exit_ok : report(done.error());
}

} // namespace ctrd::ctl
