#include "tools/ctr-oci/scope.hpp"

#include "ctrd/base/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

namespace ctrd::ctr_oci {
namespace {

struct ScopeName {
    std::string slice;
    std::string unit;
};

bool is_clean(std::string_view text) {
    return !text.empty() &&
           text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:@-\\") ==
               std::string_view::npos;
}

Result<ScopeName> parse_scope_name(const std::string& path, const std::string& id) {
    if (path.empty())
        return ScopeName{"machine.slice", "ctr-" + id + ".scope"};
    const auto first = path.find(':');
    const auto second = first == std::string::npos ? first : path.find(':', first + 1);
    if (second == std::string::npos)
        return fail(
            bad_input("linux.cgroupsPath '" + path + "' is not slice:prefix:name, as --systemd-cgroup wants it"));
    const std::string slice = path.substr(0, first);
    const std::string prefix = path.substr(first + 1, second - first - 1);
    const std::string name = path.substr(second + 1);
    ScopeName result{slice.empty() ? "machine.slice" : slice, (prefix.empty() ? "" : prefix + "-") + name + ".scope"};
    if (!is_clean(result.slice) || !is_clean(result.unit) || !result.slice.ends_with(".slice") ||
        result.unit.size() > 255)
        return fail(bad_input("linux.cgroupsPath '" + path + "' does not make valid names of a slice and a scope"));
    return result;
}

} // namespace

Result<Scope> Scope::request(const std::string& cgroups_path, const std::string& id) {
    const ScopeName name = TRY(parse_scope_name(cgroups_path, id));
    SocketPair pair = TRY(make_socket_pair());
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, pair.theirs.get(), STDIN_FILENO);
    const std::string description = "Container " + id;
    std::array<char*, 5> argv{const_cast<char*>("ctr-scope"), const_cast<char*>(name.unit.c_str()),
                              const_cast<char*>(name.slice.c_str()), const_cast<char*>(description.c_str()), nullptr};
    std::array<char*, 1> envp{nullptr};
    pid_t helper = -1;
    const int err = ::posix_spawn(&helper, CTRD_LIBEXECDIR "/ctr-scope", &actions, nullptr, argv.data(), envp.data());
    ::posix_spawn_file_actions_destroy(&actions);
    if (err != 0)
        return fail(os_error(err, "cannot run '" CTRD_LIBEXECDIR "/ctr-scope'", "--systemd-cgroup needs it"));
    return Scope{helper, std::move(pair.ours)};
}

Scope::Scope(Scope&& other) noexcept : helper_{std::exchange(other.helper_, -1)}, socket_{std::move(other.socket_)} {}

Scope::~Scope() {
    if (helper_ < 0)
        return;
    // Said, not shown by an end of file: the container's process holds a copy of the socket until its exec.
    [[maybe_unused]] auto sent = send_fds(socket_.get(), "leave", {});
    [[maybe_unused]] auto reaped = wait_exit(helper_);
}

Result<std::string> Scope::await() {
    pollfd waiting{socket_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 30000) <= 0)
        return fail(os_error(ETIMEDOUT, "systemd did not make the scope in time"));
    const FdMessage message = TRY(receive_fds(socket_.get()));
    if (message.data.starts_with("cgroup "))
        return TRY(cgroup_mount()) + message.data.substr(7);
    if (message.data.starts_with("error "))
        return fail(Error{std::errc::io_error, "systemd did not make the scope: " + message.data.substr(6), ""});
    return fail(os_error(ECHILD, "ctr-scope ended without an answer"));
}

} // namespace ctrd::ctr_oci
