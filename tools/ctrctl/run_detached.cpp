// run --detach, create, rename and rm: a container in the background is one that is declared until the next boot. So it
// is a unit as all others are, and every verb works on it.
#include "tools/ctrctl/client.hpp"
#include "tools/ctrctl/declaring.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/run_spec.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "machined-plugin/manager_client.hpp"

namespace ctrd::ctl {
namespace {

Result<void> start(const std::string& name) {
    auto manager = TRY(systemd::ManagerClient::open());
    const std::string unit = "ctr@" + name + ".service";
    auto started = manager.start(unit);
    if (!started)
        started.error().hint = "'journalctl -u " + unit + "' shows why; nothing of it was kept";
    return started;
}

int report_declared(const Error& error) {
    return report(error.code == std::errc::invalid_argument ? exit_bad_input : exit_failure, error);
}

} // namespace

int run_detached(const RunOptions& options, const std::string& name, const config::UnitSpec& spec) {
    if (auto declared = declare_until_boot(name, declaration_of(spec)); !declared)
        return report_declared(declared.error());
    if (options.detach)
        if (auto started = start(name); !started) {
            [[maybe_unused]] auto forgotten = undeclare(name, true);
            return report(exit_failure, started.error());
        }
    return print(name + "\n");
}

int remove(const RemoveOptions& options) {
    if (auto good = check_names(options.names); !good)
        return report(good.error());
    auto client = Client::connect(!options.no_ask_password);
    if (!client)
        return report(client.error());
    int code = exit_ok;
    for (const auto& name : options.names)
        if (auto removed = client->remove(name, options.force); !removed)
            code = report(removed.error());
    return code;
}

int rename(const RenameOptions& options) {
    if (auto good = check_names({options.name, options.to}); !good)
        return report(good.error());
    auto client = Client::connect(!options.no_ask_password);
    if (!client)
        return report(client.error());
    const auto renamed = client->rename(options.name, options.to);
    return renamed ? exit_ok : report(renamed.error());
}

} // namespace ctrd::ctl
