// exec: one more process in a running container. ctrd makes it; it reads and writes our own stdin, stdout and stderr,
// or a terminal in the container whose master end ctrd sends us.
#include "tools/ctrctl/client.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "ctrd/base/terminal_relay.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>

namespace ctrd::ctl {
namespace {

/// One exec while it runs. Signals keep their usual effect: when we end we leave the bus, and ctrd ends the command; it
/// can't outlive the user who asked for it. With a terminal, the relay puts it in order before a signal ends us.
class Session {
public:
    Session(Client& client, const ExecOptions& options) : client_{client}, options_{options} {}
    int run(bool terminal);

private:
    Outcome<void> send_call();
    int append(sd_bus_message* message);
    int append_options(sd_bus_message* message);
    void wait_for_master();
    void relay();
    void wait_for_reply();
    bool process_bus();
    int result();
    static int on_reply(sd_bus_message* reply, void* userdata, sd_bus_error* error) noexcept;

    Client& client_;
    const ExecOptions& options_;
    std::optional<SocketPair> console_{};
    UniqueFd master_{};
    Slot slot_{};
    bool answered_{false};
    bool lost_{false}; // ctrd has gone; in its terminal the command may still run
    std::optional<Failure> failure_{};
    int status_{exit_internal};
};

int append_strings(sd_bus_message* message, const std::vector<std::string>& strings) {
    int r = sd_bus_message_open_container(message, 'a', "s");
    for (std::size_t i = 0; i < strings.size() && r >= 0; ++i)
        r = sd_bus_message_append(message, "s", strings[i].c_str());
    return r < 0 ? r : sd_bus_message_close_container(message);
}

int append_environment(sd_bus_message* message, const std::vector<std::string>& environment) {
    int r = sd_bus_message_open_container(message, 'e', "sv");
    if (r < 0 || (r = sd_bus_message_append(message, "s", "Environment")) < 0 ||
        (r = sd_bus_message_open_container(message, 'v', "as")) < 0 || (r = append_strings(message, environment)) < 0 ||
        (r = sd_bus_message_close_container(message)) < 0)
        return r;
    return sd_bus_message_close_container(message);
}

int Session::append_options(sd_bus_message* message) {
    auto environment = options_.environment;
    if (const char* term = ::getenv("TERM"); console_ && term)
        environment.insert(environment.begin(), std::string{"TERM="} + term);
    int r = sd_bus_message_open_container(message, 'a', "{sv}");
    if (r >= 0 && !environment.empty())
        r = append_environment(message, environment);
    if (r >= 0 && !options_.user.empty())
        r = sd_bus_message_append(message, "{sv}", "User", "s", options_.user.c_str());
    if (r >= 0 && !options_.directory.empty())
        r = sd_bus_message_append(message, "{sv}", "WorkingDirectory", "s", options_.directory.c_str());
    if (r >= 0 && console_)
        r = sd_bus_message_append(message, "{sv}", "ConsoleSocket", "h", console_->theirs.get());
    return r < 0 ? r : sd_bus_message_close_container(message);
}

int Session::append(sd_bus_message* message) {
    int r = sd_bus_message_append(message, "s", options_.name.c_str());
    if (r < 0 || (r = append_strings(message, options_.command)) < 0 || (r = append_options(message)) < 0)
        return r;
    return sd_bus_message_append(message, "hhh", STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO);
}

Outcome<void> Session::send_call() {
    auto message = client_.new_call("Exec");
    if (!message)
        return std::unexpected{std::move(message).error()};
    int r = append(message->get());
    sd_bus_slot* slot = nullptr;
    if (r >= 0)
        r = sd_bus_call_async(client_.bus(), &slot, message->get(), on_reply, this, UINT64_MAX);
    if (r < 0)
        return refuse(exit_internal, os_error(-r, "cannot ask ctrd to run '" + options_.command.front() + "'"));
    slot_ = Slot{slot};
    return {};
}

int Session::on_reply(sd_bus_message* reply, void* userdata, sd_bus_error*) noexcept {
    auto& session = *static_cast<Session*>(userdata);
    session.answered_ = true;
    const std::string doing =
        "cannot run '" + session.options_.command.front() + "' in container '" + session.options_.name + "'";
    if (const sd_bus_error* error = sd_bus_message_get_error(reply)) {
        session.lost_ = is_lost_connection(error->name);
        if (!session.lost_)
            session.failure_ = session.client_.explain(*error, doing, session.options_.name);
        return 0;
    }
    std::int32_t status = 0;
    if (const int r = sd_bus_message_read(reply, "i", &status); r < 0)
        session.failure_ = Failure{exit_internal, os_error(-r, doing + ": cannot read ctrd's answer")};
    session.status_ = status;
    return 0;
}

/// Everything that the bus has for us now; true when the answer is there or can't come any more.
bool Session::process_bus() {
    int r = 1;
    while (!answered_ && r > 0)
        r = sd_bus_process(client_.bus(), nullptr);
    if (r < 0)
        answered_ = lost_ = true;
    return answered_;
}

void Session::wait_for_reply() {
    while (!process_bus())
        if (const int r = sd_bus_wait(client_.bus(), UINT64_MAX); r < 0 && r != -EINTR)
            answered_ = lost_ = true;
}

void Session::wait_for_master() {
    while (!process_bus()) {
        pollfd fds[] = {{.fd = sd_bus_get_fd(client_.bus()), .events = POLLIN, .revents = 0},
                        {.fd = console_->ours.get(), .events = POLLIN, .revents = 0}};
        if (::poll(fds, 2, -1) < 0 || fds[1].revents == 0)
            continue;
        auto message = receive_fds(console_->ours.get());
        if (message && !message->fds.empty())
            master_ = std::move(message->fds.front());
        return; // without a master the answer says why
    }
}

bool has_hung_up(int master) {
    pollfd state{.fd = master, .events = 0, .revents = 0};
    return ::poll(&state, 1, 0) != 0;
}

void Session::relay() {
    // The relay ends when the bus has something for us, which need not be the answer. After ctrd's death the command
    // still has its terminal, and we go on until it lets go of it.
    do {
        if (!relay_terminal(master_.get(), lost_ ? -1 : sd_bus_get_fd(client_.bus())))
            return;
    } while (!has_hung_up(master_.get()) && (!process_bus() || lost_));
}

int Session::result() {
    if (lost_)
        return report(exit_internal, {std::errc::connection_reset,
                                      "ctrd ended while '" + options_.command.front() + "' ran in container '" +
                                          options_.name + "': its exit code is lost",
                                      "the container is not affected; 'journalctl -u ctrd.service' shows why"});
    return failure_ ? report(*failure_) : status_;
}

int Session::run(bool terminal) {
    if (terminal) {
        ::signal(SIGPIPE, SIG_IGN); // it would end us with the terminal still raw
        auto pair = make_socket_pair();
        if (!pair)
            return report(exit_internal, pair.error());
        console_ = std::move(*pair);
    }
    if (auto sent = send_call(); !sent)
        return report(sent.error());
    if (console_) {
        sd_bus_flush(client_.bus());
        console_->theirs = UniqueFd{}; // so that ours ends when ctrd's copy does
        wait_for_master();
        if (master_)
            relay();
    }
    wait_for_reply();
    return result();
}

/// A descriptor that was closed by whoever started us can't be sent, and must not be taken by the next open.
void open_missing_stdio() {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
        if (::fcntl(fd, F_GETFD) < 0)
            ::open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
}

Outcome<void> check_options(const ExecOptions& options) {
    if (auto good = check_names({options.name}); !good)
        return good;
    if (options.command.empty())
        return refuse(exit_bad_input, bad_input("no command to run in container '" + options.name + "'",
                                                "as in: ctrctl exec " + options.name + " /bin/sh"));
    if (!options.directory.empty() && !options.directory.starts_with('/'))
        return refuse(exit_bad_input,
                      bad_input("the working directory '" + options.directory + "' is not an absolute path"));
    return check_assignments(options.environment);
}

} // namespace

int exec(const ExecOptions& options) {
    if (auto good = check_options(options); !good)
        return report(good.error());
    open_missing_stdio();
    auto client = Client::connect(!options.no_ask_password);
    if (!client)
        return report(client.error());
    const bool terminal =
        options.terminal || (!options.no_terminal && ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1);
    return Session{*client, options}.run(terminal);
}

} // namespace ctrd::ctl
