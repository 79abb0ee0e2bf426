#include "tools/ctrctl/declaring.hpp"

#include "tools/ctrctl/apply_images.hpp"

#include "config/config.hpp"
#include "ctrd/base/fd.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"
#include "machined-plugin/manager_client.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>

namespace ctrd::ctl {
namespace {

using systemd::ManagerClient;
constexpr const char* folder = "/run/ctrd/containers";
constexpr std::array drop_in_roots{folder, "/etc/ctrd/containers"};

std::string file_of(const std::string& name) { return folder + ("/" + name) + ".toml"; }
std::string service_of(const std::string& name) { return "ctr@" + name + ".service"; }
/// All that may start it, one way or another.
std::array<std::string, 4> starters_of(const std::string& name) {
    return {"ctr@" + name + ".socket", "ctr-" + name + ".socket", "ctr@" + name + ".path", "ctr@" + name + ".timer"};
}

Result<void> check_unused(const std::string& name) {
    TRY_VOID(check_container_name(name));
    if (const auto file = config::find_main_file(name, config::SearchDirs::system()))
        return fail(
            Error{std::errc::file_exists, "'" + *file + "' declares a container '" + name + "' already",
                  *file == file_of(name) ? "choose another name, or 'ctrctl rm " + name + "'" : "choose another name"});
    if (::access(("/run/ctrd/adhoc/" + name).c_str(), F_OK) == 0)
        return fail(Error{std::errc::file_exists, "a 'ctrctl run' in the foreground has the name '" + name + "'",
                          "choose another name"});
    return {};
}

/// Before anything is written.
Result<void> check_text(const std::string& name, const std::string& text) {
    const auto invalid = [](Error error) {
        error.code = std::errc::invalid_argument;
        return fail(std::move(error));
    };
    const auto spec = config::parse(name, {{file_of(name), text}});
    if (!spec)
        return invalid(config::to_error(spec.error()));
    if (const auto compiled = config::compile(*spec); !compiled)
        return invalid(config::to_error(compiled.error()));
    return {};
}

/// The name is ours from here on. Its environment may hold secrets.
Result<void> write_new(const std::string& name, const std::string& text) {
    TRY_VOID(make_dirs(folder, 0755));
    const std::string path = file_of(name);
    const UniqueFd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!file)
        return fail(os_error(errno, "cannot make '" + path + "'", errno == EEXIST ? "choose another name" : ""));
    if (auto written = write_all(file.get(), text).context("'" + path + "'"); !written) {
        ::unlink(path.c_str());
        return written;
    }
    return {};
}

std::string drop_ins_of(const char* root, const std::string& name) { return root + ("/" + name) + ".toml.d"; }

/// Its drop-ins change what the container is, whoever wrote them: they go by its name. A package's stay.
Result<void> move_drop_ins(const std::string& name, const std::string& to) {
    for (std::size_t i = 0; i < drop_in_roots.size(); ++i) {
        const std::string from = drop_ins_of(drop_in_roots[i], name);
        const std::string target = drop_ins_of(drop_in_roots[i], to);
        if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) == 0 || errno == ENOENT)
            continue;
        auto failed =
            fail(os_error(errno, "cannot rename '" + from + "' to '" + target + "'",
                          errno == EEXIST ? "it is of an earlier container: remove it, or choose another name" : ""));
        while (i-- > 0)
            ::renameat2(AT_FDCWD, drop_ins_of(drop_in_roots[i], to).c_str(), AT_FDCWD,
                        drop_ins_of(drop_in_roots[i], name).c_str(), RENAME_NOREPLACE);
        return failed;
    }
    return {};
}

/// Only what was declared until the next boot.
Result<void> check_ours(const std::string& name) {
    const auto file = config::find_main_file(name, config::SearchDirs::system());
    if (!file)
        return fail(Error{std::errc::no_such_file_or_directory, "no file declares a container '" + name + "'", ""});
    if (*file != file_of(name))
        return fail(bad_input("it is declared for good, by '" + *file + "'",
                              "change that file's name or remove it, then run 'ctrctl apply'"));
    return {};
}

Result<void> forget(ManagerClient& manager, const std::string& name) {
    ::unlink(file_of(name).c_str());
    std::error_code error; // until the next boot, as the file: another container of that name would have them
    std::filesystem::remove_all(drop_ins_of(folder, name), error);
    TRY_VOID(forget_images({name}));
    TRY_VOID(manager.reload());
    // A failed one would be listed by systemctl as if it were still to be looked after.
    [[maybe_unused]] auto reset = manager.reset_failed(service_of(name));
    return {};
}

} // namespace

Result<void> declare_until_boot(const std::string& name, const std::string& declaration) {
    TRY_VOID(check_unused(name));
    TRY_VOID(check_text(name, declaration));
    ManagerClient manager = TRY(ManagerClient::open());
    TRY_VOID(write_new(name, declaration));
    auto reloaded = manager.reload();
    if (!reloaded)
        ::unlink(file_of(name).c_str());
    return reloaded;
}

Result<void> rename_declared(const std::string& name, const std::string& to) {
    TRY_VOID(check_ours(name));
    TRY_VOID(check_unused(to));
    ManagerClient manager = TRY(ManagerClient::open());
    if (TRY(manager.state(service_of(name))).up())
        return fail(Error{std::errc::device_or_resource_busy, "container '" + name + "' is running",
                          "'ctrctl stop " + name + "' first: a unit that runs keeps its name"});
    const auto starters = starters_of(name);
    std::array<bool, starters.size()> waits{};
    for (std::size_t i = 0; i < starters.size(); ++i) {
        waits[i] = TRY(manager.state(starters[i])).up();
        if (waits[i])
            TRY_VOID(manager.stop(starters[i]));
    }
    // First, so that the new name is never without what it is about.
    TRY_VOID(move_image(name, to));
    if (auto moved = move_drop_ins(name, to); !moved) {
        [[maybe_unused]] auto back = move_image(to, name);
        return moved;
    }
    if (::renameat2(AT_FDCWD, file_of(name).c_str(), AT_FDCWD, file_of(to).c_str(), RENAME_NOREPLACE) < 0) {
        auto failed = fail(os_error(errno, "cannot rename '" + file_of(name) + "' to '" + file_of(to) + "'"));
        [[maybe_unused]] auto drop_ins_back = move_drop_ins(to, name);
        [[maybe_unused]] auto back = move_image(to, name);
        return failed;
    }
    TRY_VOID(manager.reload());
    [[maybe_unused]] auto reset = manager.reset_failed(service_of(name));
    for (std::size_t i = 0; i < starters.size(); ++i)
        if (waits[i])
            TRY_VOID(manager.start(starters_of(to)[i]));
    return {};
}

Result<void> undeclare(const std::string& name, bool force) {
    TRY_VOID(check_ours(name));
    ManagerClient manager = TRY(ManagerClient::open());
    const auto state = TRY(manager.state(service_of(name)));
    if (!force && state.up())
        return fail(Error{std::errc::device_or_resource_busy, "container '" + name + "' is running",
                          "'ctrctl stop " + name + "' first, or remove it with --force"});
    for (const auto& starter : starters_of(name))
        if (TRY(manager.state(starter)).up())
            TRY_VOID(manager.stop(starter));
    if (state.up())
        TRY_VOID(manager.stop(service_of(name)));
    return forget(manager, name);
}

} // namespace ctrd::ctl
