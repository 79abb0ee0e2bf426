// ctr-proxy: for a [[socket]] with deliver = "proxy". It holds the host's listening sockets, lives in the container's
// network and in a cgroup below the payload's, which freezes, stops and ends it with the payload.
#include "ctrd/base/file.hpp"
#include "tools/ctr-proxy/confine.hpp"
#include "tools/ctr-proxy/datagram.hpp"
#include "tools/ctr-proxy/stream.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

namespace ctrd::proxy {
namespace {

using namespace std::chrono_literals;
constexpr auto look_again = 5ms;
constexpr auto look_again_later = 50ms;
constexpr int hasty_looks = 100;
constexpr useconds_t begin_again = 100'000;

/// Until the program listens; then its route is begun. Nobody is accepted before: they wait in the host's queue, where
/// a start that fails finds them.
class Waiter final : public Source {
public:
    Waiter(Loop& loop, Route& route, int ready, Clock::time_point until)
        : loop_{loop}, route_{route}, ready_{ready}, until_{until} {
        due = Clock::now();
    }
    bool on_event(std::uint32_t) override { return true; }
    bool on_time(Clock::time_point now) override {
        const auto listens = route_.at_once ? Result<bool>{true} : is_listening(route_);
        if (listens && !*listens) {
            due = now + (++looks_ < hasty_looks ? look_again : look_again_later);
            return now < until_;
        }
        begin();
        return false;
    }

private:
    void begin() {
        if (route_.datagram)
            route_.six_only = listens_on_six_only(route_);
        if (auto source = route_.datagram ? make_exchange(loop_, route_) : make_acceptor(loop_, route_, until_))
            loop_.adopt(std::move(source));
        if (ready_ >= 0 && !route_.at_once) [[maybe_unused]]
            const auto told = ::write(ready_, &route_.number, sizeof route_.number);
    }

    Loop& loop_;
    Route& route_;
    int ready_;
    Clock::time_point until_;
    int looks_{0};
};

Result<void> copy(Options& options) {
    Loop loop; // made while that may be done
    TRY_VOID(allow_only_copying());
    const auto until = Clock::now() + options.patience;
    for (Route& route : options.routes)
        loop.adopt(std::make_unique<Waiter>(loop, route, options.ready, until));
    loop.run();
    return {};
}

[[noreturn]] void become_copier(Options& options, pid_t keeper) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); // the credentials do not change any more
    if (::getppid() != keeper)
        ::_exit(1);
    const auto done = copy(options);
    if (!done)
        std::fputs(("<3>ctr-proxy: " + ctrd::to_text(done.error()) + "\n").c_str(), stderr);
    std::fflush(stderr);
    ::_exit(done ? 0 : 1);
}

/// What copies is a child: one that was killed, for lack of memory or by hand, has a successor, while the sockets stay
/// here and who connects waits in their queues.
Result<void> keep_copying(Options& options) {
    for (const pid_t keeper = ::getpid();;) {
        const pid_t copier = ::fork();
        if (copier < 0)
            return fail(os_error(errno, "the proxy cannot start its child"));
        if (copier == 0)
            become_copier(options, keeper);
        int status = 0;
        while (::waitpid(copier, &status, 0) < 0 && errno == EINTR) {
        }
        if (!WIFSIGNALED(status))
            ::_exit(WEXITSTATUS(status)); // it has said why
        std::fprintf(stderr, "<4>ctr-proxy: it was ended by signal %d, and begins again\n", WTERMSIG(status));
        ::usleep(begin_again);
    }
}

Result<void> run(Options options) {
    ::signal(SIGPIPE, SIG_IGN);
    close_on_exec_from(3);
    // While the host's cgroup tree is in sight.
    if (!options.cgroup.empty())
        TRY_VOID(write_control(options.cgroup + "/cgroup.procs", "0"));
    TRY_VOID(enter_container(options));
    TRY_VOID(become_nobody(options));
    return keep_copying(options);
}

} // namespace
} // namespace ctrd::proxy

int main(int argc, char** argv) {
    auto options = ctrd::proxy::parse_options(argc, argv);
    const auto done = options ? ctrd::proxy::run(*std::move(options)) : std::unexpected(options.error());
    if (done)
        return 0;
    std::fputs(("<3>ctr-proxy: " + ctrd::to_text(done.error()) + "\n").c_str(), stderr);
    return 1;
}
