#include "ctrd/runtime/hooks.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <ctime>

namespace ctrd::runtime {
namespace {

long milliseconds_now() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

[[noreturn]] void become_hook(const PreparedHook& hook, int state_fd, int errors) noexcept {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    for (int number = 1; number < 65; ++number)
        ::sigaction(number, &action, nullptr);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::umask(0022);
    ::setpgid(0, 0); // a timeout ends all of it
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    ::lseek(state_fd, 0, SEEK_SET);
    if (::dup2(state_fd, STDIN_FILENO) < 0 || (errors >= 0 && ::dup2(errors, STDERR_FILENO) < 0))
        ::_exit(126);
    ::syscall(SYS_close_range, 3U, ~0U, 0U);
    ::execve(hook.path, hook.argv.data(), hook.envp.data());
    ::_exit(errno == ENOENT ? 127 : 126);
}

/// By waitpid in short steps: a payload's seccomp profile may know neither clone3 nor pidfds.
int await_hook(pid_t pid, int timeout_ms) noexcept {
    const long until = timeout_ms < 0 ? 0 : milliseconds_now() + timeout_ms;
    int status = 0;
    while (true) {
        const pid_t ended = ::waitpid(pid, &status, timeout_ms < 0 ? 0 : WNOHANG);
        if (ended == pid)
            return -status;
        if (ended < 0 && errno != EINTR)
            return errno;
        if (timeout_ms < 0)
            continue;
        if (milliseconds_now() >= until)
            break;
        ::poll(nullptr, 0, 5);
    }
    ::kill(-pid, SIGKILL);
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return ETIMEDOUT;
}

int run(const PreparedHook& hook, int state_fd, int errors) noexcept {
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
    if (pid < 0)
        return errno;
    if (pid == 0)
        become_hook(hook, state_fd, errors);
    return await_hook(pid, hook.timeout_ms);
}

/// The end of what a hook has said on its standard error: the reason is in the last line.
std::string last_words(int file) {
    constexpr off_t most = 400;
    const off_t size = ::lseek(file, 0, SEEK_END);
    std::string text(static_cast<std::size_t>(std::min(size, most)), '\0');
    const ssize_t n = ::pread(file, text.data(), text.size(), size - static_cast<off_t>(text.size()));
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ')
        text.pop_back();
    for (char& c : text)
        if (static_cast<unsigned char>(c) < ' ')
            c = ' ';
    return text;
}

} // namespace

std::string state_json(const StateFacts& facts, std::string_view status, pid_t pid) {
    nlohmann::ordered_json json{
        {"ociVersion", facts.version}, {"id", facts.id}, {"status", status}, {"pid", pid}, {"bundle", facts.bundle}};
    if (pid == 0)
        json.erase("pid");
    if (!facts.annotations.empty())
        json["annotations"] = facts.annotations;
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Error hook_error(const oci::Hook& hook, std::string_view kind, int result, std::string_view said) {
    std::string text = fmt::format("{} hook '{}'", kind, hook.path);
    const int status = -result;
    if (result == ETIMEDOUT)
        text += fmt::format(" did not end within {} s and was killed", hook.timeout_seconds.value_or(0));
    else if (result > 0)
        return os_error(result, "cannot run the " + text);
    else if (WIFSIGNALED(status))
        text += fmt::format(" was killed by signal {}", WTERMSIG(status));
    else if (WEXITSTATUS(status) == 127)
        text += " could not be run: no such file";
    else
        text += fmt::format(" exited with status {}", WEXITSTATUS(status));
    if (!said.empty())
        text += fmt::format(": {}", said);
    return {std::errc::operation_canceled, std::move(text), ""};
}

std::chrono::milliseconds time_for(const oci::Hooks& hooks) {
    constexpr std::chrono::hours as_long_as_it_takes{24};
    std::chrono::seconds sum{0};
    for (const auto* kind : {&hooks.create_runtime, &hooks.create_container, &hooks.start_container})
        for (const oci::Hook& hook : *kind)
            sum += hook.timeout_seconds ? std::chrono::seconds{*hook.timeout_seconds} : as_long_as_it_takes;
    return std::min<std::chrono::seconds>(sum, as_long_as_it_takes);
}

std::vector<PreparedHook> prepare_hooks(const std::vector<oci::Hook>& hooks,
                                        const std::vector<std::string>& inherited) {
    std::vector<PreparedHook> result;
    const auto mutable_text = [](const std::string& text) { return const_cast<char*>(text.c_str()); };
    for (const oci::Hook& hook : hooks) {
        PreparedHook& prepared = result.emplace_back();
        prepared.path = hook.path.c_str();
        for (const std::string& arg : hook.args)
            prepared.argv.push_back(mutable_text(arg));
        if (hook.args.empty())
            prepared.argv.push_back(mutable_text(hook.path));
        for (const std::string& entry : hook.env.empty() ? inherited : hook.env)
            prepared.envp.push_back(mutable_text(entry));
        prepared.argv.push_back(nullptr);
        prepared.envp.push_back(nullptr);
        if (hook.timeout_seconds)
            prepared.timeout_ms = static_cast<int>(std::min(*hook.timeout_seconds, 2'000'000U) * 1000);
    }
    return result;
}

int run_prepared_hook(const PreparedHook& hook, int state_fd) noexcept { return run(hook, state_fd, -1); }

Result<void> run_hooks(const std::vector<oci::Hook>& hooks, std::string_view kind, const std::string& state) {
    if (hooks.empty())
        return {};
    const UniqueFd input = TRY(make_memfd("state", state));
    const auto prepared = prepare_hooks(hooks);
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        const UniqueFd errors{::memfd_create("hook", MFD_CLOEXEC)};
        if (const int result = run(prepared[i], input.get(), errors.get()); result != 0)
            return fail(hook_error(hooks[i], kind, result, errors ? last_words(errors.get()) : ""));
    }
    return {};
}

} // namespace ctrd::runtime
