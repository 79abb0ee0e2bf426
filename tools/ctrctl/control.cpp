// start, stop, restart, pause, resume and kill.
#include "tools/ctrctl/client.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "ctrd/base/names.hpp"

namespace ctrd::ctl {
namespace {

/// Asks for each name; goes on after a container's own failure, not after one that all would share. The first
/// failure's code is ctrctl's.
template <class Ask> int for_each_name(const ControlOptions& options, Ask ask) {
    if (auto good = check_names(options.names); !good)
        return report(good.error());
    auto client = Client::connect(!options.no_ask_password);
    if (!client)
        return report(client.error());
    int code = exit_ok;
    for (const auto& name : options.names) {
        const Outcome<void> done = ask(*client, name);
        if (done)
            continue;
        const int failed = report(done.error());
        if (code == exit_ok)
            code = failed;
        if (failed == exit_internal || failed == exit_denied)
            break;
    }
    return code;
}

int kill(const ControlOptions& options) {
    const auto signal = parse_signal(options.signal);
    if (!signal)
        return report(exit_bad_input, signal.error());
    return for_each_name(
        options, [&](Client& client, const std::string& name) { return client.kill(name, options.whom, *signal); });
}

} // namespace

int control(const ControlOptions& options) {
    if (options.verb == "kill")
        return kill(options);
    const char* method = options.verb == "start"    ? "StartContainer"
                         : options.verb == "stop"   ? "StopContainer"
                         : options.verb == "pause"  ? "PauseContainer"
                         : options.verb == "resume" ? "ResumeContainer"
                                                    : "RestartContainer";
    return for_each_name(options,
                         [&](Client& client, const std::string& name) { return client.on_container(method, name); });
}

} // namespace ctrd::ctl
