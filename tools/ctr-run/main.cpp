// ctr-run: starts and stops one declared container as its unit's ExecStart=, ExecStop= and ExecStopPost=, and is never
// there in between. For ctrd it runs further processes in one.
#include "ctrd/base/names.hpp"
#include "ctrd/base/sealed_self.hpp"
#include "tools/ctr-run/commands.hpp"
#include "tools/ctr-run/connection.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ctrd::run {
namespace {

constexpr const char* usage =
    "usage: ctr-run start|stop|clean|connection|wait-connection|clean-connection|exec|bind NAME\n"
    "\n"
    "start, stop and clean are run by systemd for ctr@NAME.service, exec and bind by ctrd. With accept = true systemd\n"
    "runs connection (wait-connection with a warm pool), stop and clean-connection for ctr-NAME@.service.\n"
    "Exit codes: 0 done; 1 it could not be done, the reason is on stderr; 2 wrong usage.\n"
    "exec: the process's own, 128+N for signal N, 125 it was not run, 126 it can't be, 127 it was not found.\n";

/// One line of the journal each, with its priority where stderr leads there (sd-daemon(3)).
void print(const char* priority, const std::string& name, const Error& error) {
    const char* prefix = std::getenv("JOURNAL_STREAM") == nullptr ? "" : priority;
    std::string text = std::string{prefix} + "ctr-run: container '" + name + "': " + error.message + "\n";
    if (!error.hint.empty())
        text += std::string{prefix} + "  hint: " + error.hint + "\n";
    std::fputs(text.c_str(), stderr);
}

/// systemctl status shows both beside the unit's state.
void tell_failure(const Notifier& manager, const Error& error) {
    std::string line = error.message;
    for (char& c : line)
        c = c == '\n' ? ' ' : c;
    [[maybe_unused]] auto told =
        manager.send("STATUS=" + line + "\nERRNO=" + std::to_string(static_cast<int>(error.code)));
}

int run_start(const std::string& name, Result<void> (*verb)(const std::string&, const Notifier&)) {
    auto manager = Notifier::from_environment();
    if (!manager) {
        print_error(name, manager.error());
        return failed;
    }
    auto started = verb(name, *manager);
    if (started)
        return ok;
    tell_failure(*manager, started.error());
    const bool again = verb == await_connection && started.error().code != std::errc::not_a_socket;
    return again ? not_made_status : failed;
}

int run_other(const std::string& name, Result<void> (*verb)(const std::string&)) {
    const auto done = verb(name);
    if (done)
        return ok;
    print_error(name, done.error());
    return failed;
}

/// ctrd tells the caller what is on stderr.
int run_bind(const std::string& name) {
    const auto done = bind(name);
    if (done)
        return ok;
    std::fputs(to_text(done.error()).c_str(), stderr);
    return failed;
}

} // namespace

void print_error(const std::string& name, const Error& error) { print("<3>", name, error); }

void print_warning(const std::string& name, const Error& error) { print("<4>", name, error); }

int run(int argc, char** argv) {
    const std::string_view verb = argc == 3 ? argv[1] : "";
    const std::string name = argc == 3 ? argv[2] : "";
    constexpr std::array<std::string_view, 8> verbs{
        "start", "stop", "clean", "connection", "wait-connection", "clean-connection", "exec", "bind"};
    if (std::ranges::find(verbs, verb) == verbs.end()) {
        std::fputs(usage, stderr);
        return bad_usage;
    }
    if (auto checked = check_container_name(name); !checked) {
        print_error(name, checked.error());
        return bad_usage;
    }
    // These become a process of the container, which must not be able to write to what is on the host's disk.
    if (verb == "start" || verb == "connection" || verb == "wait-connection" || verb == "exec")
        if (auto sealed = run_from_sealed_binary(argv); !sealed) {
            print_error(name, sealed.error());
            return failed;
        }
    if (verb == "start")
        return run_start(name, start);
    if (verb == "connection")
        return run_start(name, start_connection);
    if (verb == "wait-connection")
        return run_start(name, await_connection);
    if (verb == "clean-connection")
        return run_other(name, clean_connection);
    if (verb == "exec")
        return exec(name);
    if (verb == "bind")
        return run_bind(name);
    return run_other(name, verb == "stop" ? stop : clean);
}

} // namespace ctrd::run

int main(int argc, char** argv) { return ctrd::run::run(argc, argv); }
