// attach: the user's terminal in front of a container's own, which ctrd reads and passes on. When ctrd is restarted we
// come back to it; the container has not noticed.
#include "tools/ctrctl/client.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "ctrd/base/terminal_relay.hpp"

#include <chrono>
#include <csignal>
#include <optional>
#include <thread>

namespace ctrd::ctl {
namespace {

using namespace std::chrono_literals;

int exit_code_of(std::int32_t code, std::int32_t status) { return code == CLD_EXITED ? status : 128 + status; }

int report_lost(const std::string& name) {
    return report(exit_internal, {std::errc::connection_reset,
                                  "container '" + name + "' has ended and was started again: its exit code is lost",
                                  "'ctrctl events " + name + "' shows how it ended"});
}

constexpr auto longest_absence = 30s; // of ctrd

/// Why the stream has ended: the container's exit code when it has ended, nothing when it runs on and only ctrd was
/// restarted, or has let us go.
Outcome<std::optional<int>> why_ended(Client& client, const std::string& name, std::uint32_t leader) {
    const auto give_up = std::chrono::steady_clock::now() + longest_absence;
    for (;;) {
        const auto now = client.details(name);
        if (!now && now.error().exit == exit_internal && std::chrono::steady_clock::now() < give_up) {
            std::this_thread::sleep_for(50ms);
            continue;
        }
        if (!now && now.error().exit == exit_no_container)
            return refuse(exit_internal,
                          {std::errc::no_such_process, "container '" + name + "' was removed: its exit code is lost"});
        if (!now)
            return std::unexpected{now.error()};
        const bool is_up = now->state == "running" || now->state == "paused";
        if (now->leader == leader && is_up)
            return std::nullopt;
        if (now->leader != leader && now->main_code != 0)
            return exit_code_of(now->main_code, now->main_status);
        if (now->leader != leader && is_up)
            return report_lost(name);
        std::this_thread::sleep_for(50ms);
    }
}

class Session {
public:
    Session(Client& client, const AttachOptions& options, DetachKeys keys)
        : client_{client}, options_{options}, keys_{std::move(keys)} {}

    int run() {
        for (;;) {
            const auto before = client_.details(options_.name);
            if (!before)
                return report(before.error());
            const auto terminal = client_.attach(options_.name);
            if (!terminal)
                return report(terminal.error());
            const auto end =
                relay_shared_terminal({terminal->stream.get(), terminal->window.get(), !options_.no_stdin, keys_});
            if (!end)
                return report(exit_internal, end.error());
            if (*end == RelayEnd::detached)
                return print("\n");
            const auto code = why_ended(client_, options_.name, before->leader);
            if (!code)
                return report(code.error());
            if (*code)
                return **code;
        }
    }

private:
    Client& client_;
    const AttachOptions& options_;
    DetachKeys keys_;
};

} // namespace

int attach(const AttachOptions& options) {
    if (auto good = check_names({options.name}); !good)
        return report(good.error());
    auto keys = DetachKeys::parse(options.detach_keys);
    if (!keys)
        return report(exit_bad_input, std::move(keys).context("--detach-keys").error());
    auto client = Client::connect(!options.no_ask_password);
    if (!client)
        return report(client.error());
    ::signal(SIGPIPE, SIG_IGN); // it would end us with the terminal still raw
    return Session{*client, options, *std::move(keys)}.run();
}

} // namespace ctrd::ctl
