#include "tools/ctr-oci/scope.hpp"

#include "ctrd/base/ctrd_socket.hpp"
#include "ctrd/base/process.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <spawn.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>
#include <vector>

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

struct Helper {
    pid_t pid{-1};
    UniqueFd socket{};
};

Result<Helper> start_helper(std::vector<std::string> words) {
    SocketPair pair = TRY(make_socket_pair());
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, pair.theirs.get(), STDIN_FILENO);
    words.insert(words.begin(), "ctr-scope");
    std::vector<char*> argv;
    for (std::string& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    // Where a user's own service manager listens; nothing else of our environment concerns the helper.
    const char* runtime_dir = std::getenv("XDG_RUNTIME_DIR");
    std::string runtime = std::string{"XDG_RUNTIME_DIR="} + (runtime_dir == nullptr ? "" : runtime_dir);
    std::array<char*, 2> envp{runtime_dir == nullptr ? nullptr : runtime.data(), nullptr};
    // Who kills our group must not kill it while systemd puts it in: systemd keeps a scope for ever whose process was
    // dying then. It ends by itself when we are gone.
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    Helper helper{-1, std::move(pair.ours)};
    const int err =
        ::posix_spawn(&helper.pid, CTRD_LIBEXECDIR "/ctr-scope", &actions, &attributes, argv.data(), envp.data());
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (err != 0)
        return fail(os_error(err, "cannot run '" CTRD_LIBEXECDIR "/ctr-scope'", "--systemd-cgroup needs it"));
    return helper;
}

/// What to_text() made of it.
Error helpers_error(std::string_view text) {
    constexpr std::string_view mark = "\n  hint: ";
    const auto end = text.find(mark);
    const auto hint = end == std::string_view::npos ? std::string_view{} : text.substr(end + mark.size());
    return {std::errc::io_error, "systemd: " + std::string{text.substr(0, end)}, std::string{hint}};
}

constexpr int systemds_time = 30000;
constexpr int ctrds_time = 10000;

Result<std::string> await_answer(int socket, int time) {
    pollfd waiting{socket, POLLIN, 0};
    if (::poll(&waiting, 1, time) <= 0)
        return fail(os_error(ETIMEDOUT, "systemd did not do what a scope needs in time"));
    FdMessage message = TRY(receive_fds(socket));
    if (message.data.starts_with("error "))
        return fail(helpers_error(std::string_view{message.data}.substr(6)));
    if (message.data.empty())
        return fail(os_error(ECHILD, "ctr-scope ended without an answer"));
    return std::move(message.data);
}

Result<void> ask_helper(std::vector<std::string> words) {
    const Helper helper = TRY(start_helper(std::move(words)));
    auto answer = await_answer(helper.socket.get(), systemds_time);
    [[maybe_unused]] auto reaped = wait_exit(helper.pid);
    if (!answer)
        return fail(answer.error());
    return {};
}

std::string unit_of(const std::string& cgroup) { return cgroup.substr(cgroup.rfind('/') + 1); }

} // namespace

Result<Scope> Scope::request(const std::string& cgroups_path, const std::string& id,
                             const std::vector<std::string>& properties) {
    ScopeName name = TRY(parse_scope_name(cgroups_path, id));
    const Request request{std::move(name.unit), std::move(name.slice), "Container " + id, properties};
    if (is_host_root() && is_ctrd_running())
        if (auto scope = from_ctrd(request))
            return scope;
    return from_helper(request);
}

Result<Scope> Scope::from_ctrd(const Request& request) {
    const nlohmann::json message{{"scope",
                                  {{"unit", request.unit},
                                   {"slice", request.slice},
                                   {"description", request.description},
                                   {"properties", request.properties}}}};
    Scope scope{request, TRY(connect_to_ctrd())};
    scope.placeholder_.emplace(TRY(Placeholder::make()));
    const int fd = scope.placeholder_->pidfd();
    TRY_VOID(send_fds(scope.socket_.get(), message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                      {&fd, 1}));
    return scope;
}

Result<Scope> Scope::from_helper(const Request& request) {
    std::vector<std::string> words{request.unit, request.slice, request.description};
    words.insert(words.end(), request.properties.begin(), request.properties.end());
    Helper helper = TRY(start_helper(std::move(words)));
    Scope scope{request, std::move(helper.socket)};
    scope.helper_ = helper.pid;
    return scope;
}

Scope::Scope(Scope&& other) noexcept
    : request_{std::move(other.request_)}, socket_{std::move(other.socket_)},
      placeholder_{std::move(other.placeholder_)}, helper_{std::exchange(other.helper_, -1)} {
    other.placeholder_.reset();
}

Scope::~Scope() {
    if (helper_ < 0)
        return;
    // Said, not shown by an end of file: the container's process holds a copy of the socket until its exec.
    [[maybe_unused]] auto sent = send_fds(socket_.get(), "leave", {});
    [[maybe_unused]] auto reaped = wait_exit(helper_);
}

Result<std::string> Scope::await() {
    if (placeholder_) {
        if (await_answer(socket_.get(), ctrds_time)) {
            TRY_VOID(send_fds(socket_.get(), "ok", {})); // our process is in it, and not dead meanwhile
            return TRY(cgroup_mount()) + TRY(cgroup_of(placeholder_->pid()));
        }
        // Whatever ctrd could not do, ctr-scope says what is wrong with it.
        placeholder_.reset();
        Scope other = TRY(from_helper(request_));
        socket_ = std::move(other.socket_);
        helper_ = std::exchange(other.helper_, -1);
    }
    const std::string answer = TRY(await_answer(socket_.get(), systemds_time));
    if (!answer.starts_with("cgroup "))
        return fail(os_error(EPROTO, "ctr-scope gave another answer than a cgroup"));
    return TRY(cgroup_mount()) + answer.substr(7);
}

Result<void> set_scope_properties(const std::string& cgroup, const std::vector<std::string>& properties) {
    if (properties.empty())
        return {};
    std::vector<std::string> words{"--set", unit_of(cgroup)};
    words.insert(words.end(), properties.begin(), properties.end());
    return ask_helper(std::move(words));
}

} // namespace ctrd::ctr_oci
