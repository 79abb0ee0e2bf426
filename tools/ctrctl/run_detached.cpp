// run --detach and rm: a container in the background is one that is declared until the next boot. So it is a unit as
// all others are, and every verb works on it.
#include "tools/ctrctl/apply_images.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/run_spec.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "config/config.hpp"
#include "ctrd/base/fd.hpp"
#include "ctrd/base/file.hpp"
#include "machined-plugin/manager_client.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace ctrd::ctl {
namespace {

using systemd::ManagerClient;
constexpr const char* folder = "/run/ctrd/containers";

std::string file_of(const std::string& name) { return fmt::format("{}/{}.toml", folder, name); }
std::string service_of(const std::string& name) { return "ctr@" + name + ".service"; }

void remove_file(const std::string& name) { ::unlink(file_of(name).c_str()); }

/// The name is ours from here on. Its environment may hold secrets.
Result<void> write_new(const std::string& name, const std::string& text) {
    TRY_VOID(make_dirs(folder, 0755));
    const std::string path = file_of(name);
    const UniqueFd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!file)
        return fail(os_error(errno, "cannot make '" + path + "'",
                             errno == EEXIST ? "choose another name with --name, or 'ctrctl rm " + name + "'" : ""));
    if (auto written = write_all(file.get(), text).context("'" + path + "'"); !written) {
        remove_file(name);
        return written;
    }
    return {};
}

Outcome<void> check(const std::string& name) {
    const auto loaded = config::load(name, config::SearchDirs::system());
    if (!loaded)
        return refuse(exit_bad_input, config::to_error(loaded.error()));
    const auto compiled = config::compile(loaded->spec);
    return compiled ? Outcome<void>{} : refuse(exit_bad_input, config::to_error(compiled.error()));
}

Result<void> forget(ManagerClient& manager, const std::string& name) {
    remove_file(name);
    TRY_VOID(forget_images({name}));
    TRY_VOID(manager.reload());
    // A failed one would be listed by systemctl as if it were still to be looked after.
    [[maybe_unused]] auto reset = manager.reset_failed(service_of(name));
    return {};
}

Result<void> start(const std::string& name) {
    ManagerClient manager = TRY(ManagerClient::open());
    TRY_VOID(manager.reload());
    auto started = manager.start(service_of(name));
    if (started)
        return {};
    started.error().hint = "'journalctl -u " + service_of(name) + "' shows why; nothing of it was kept";
    [[maybe_unused]] auto forgotten = forget(manager, name);
    return started;
}

/// Only what `run --detach` and others have declared until the next boot.
Outcome<void> check_removable(const std::string& name) {
    const auto file = config::find_main_file(name, config::SearchDirs::system());
    if (!file)
        return refuse(exit_no_container,
                      {std::errc::no_such_file_or_directory, "there is no container '" + name + "'", ""});
    if (*file != file_of(name))
        return refuse(exit_bad_input, bad_input("container '" + name + "' is declared for good, by '" + *file + "'",
                                                "remove that file, then run 'ctrctl apply'"));
    return {};
}

Result<void> remove_one(ManagerClient& manager, const std::string& name, bool force) {
    const std::string socket = "ctr@" + name + ".socket";
    const auto state = TRY(manager.state(service_of(name)));
    if (!force && state.up())
        return fail(Error{std::errc::device_or_resource_busy, "container '" + name + "' is running",
                          "'ctrctl stop " + name + "' first, or remove it with --force"});
    if (TRY(manager.state(socket)).up())
        TRY_VOID(manager.stop(socket));
    if (state.up())
        TRY_VOID(manager.stop(service_of(name)));
    return forget(manager, name);
}

} // namespace

int run_detached(const RunOptions& options, const std::string& name, const config::UnitSpec& spec) {
    if (options.terminal)
        return report(exit_bad_input, bad_input("a container in the background has no terminal",
                                                "leave --tty or --detach out; 'ctrctl exec' has one in it"));
    if (auto written = write_new(name, declaration_of(spec)); !written)
        return report(exit_failure, written.error());
    if (auto good = check(name); !good) {
        remove_file(name);
        return report(good.error());
    }
    if (auto started = start(name); !started) {
        remove_file(name);
        return report(exit_failure, started.error());
    }
    return print(name + "\n");
}

int remove(const RemoveOptions& options) {
    for (const auto& name : options.names)
        if (auto good = check_removable(name); !good)
            return report(good.error());
    if (::geteuid() != 0)
        return report(exit_denied, {std::errc::operation_not_permitted, "cannot remove a container: permission denied",
                                    "run it as root"});
    auto manager = ManagerClient::open();
    if (!manager)
        return report(exit_internal, manager.error());
    int code = exit_ok;
    for (const auto& name : options.names)
        if (auto removed = remove_one(*manager, name, options.force); !removed)
            code = report(exit_failure, removed.error());
    return code;
}

} // namespace ctrd::ctl
