// events: statistics, now and then or once, and each time that the out-of-memory killer strikes.
#include "ctrd/base/deadline.hpp"
#include "ctrd/base/process.hpp"
#include "tools/ctr-oci/commands.hpp"
#include "tools/ctr-oci/launch.hpp"
#include "tools/ctr-oci/stats.hpp"

#include <poll.h>
#include <sys/inotify.h>

#include <array>
#include <cerrno>
#include <cstdio>

namespace ctrd::ctr_oci {
namespace {

using Json = nlohmann::ordered_json;

void print(const Json& event) {
    std::puts(event.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    std::fflush(stdout);
}

void print_stats(const store::Record& record) {
    print({{"type", "stats"}, {"id", record.id}, {"data", read_stats(record.cgroup)}});
}

/// Readable when memory.events has changed. Without a memory controller it never is.
UniqueFd watch_memory(const std::string& cgroup) {
    UniqueFd watch{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
    if (watch)
        ::inotify_add_watch(watch.get(), (cgroup + "/memory.events").c_str(), IN_MODIFY);
    return watch;
}

class OomCounter {
public:
    explicit OomCounter(const store::Record& record) : record_{record}, seen_{oom_kills(record.cgroup)} {}
    void print_new() {
        const std::uint64_t now = oom_kills(record_.cgroup);
        if (now > seen_)
            print({{"type", "oom"}, {"id", record_.id}});
        seen_ = now;
    }

private:
    const store::Record& record_;
    std::uint64_t seen_;
};

Result<int> follow(const store::Record& record, int leader, std::chrono::milliseconds interval) {
    const UniqueFd watch = watch_memory(record.cgroup);
    OomCounter oom{record};
    Deadline next{interval};
    while (true) {
        std::array waiting{pollfd{leader, POLLIN, 0}, pollfd{watch.get(), POLLIN, 0}};
        const int n = ::poll(waiting.data(), waiting.size(), next.poll_timeout());
        if (n < 0 && errno != EINTR)
            return fail(os_error(errno, "cannot wait for events"));
        if (waiting[1].revents != 0) {
            char buffer[4096];
            [[maybe_unused]] const auto read = ::read(watch.get(), buffer, sizeof buffer);
            oom.print_new();
        }
        if (waiting[0].revents != 0) {
            oom.print_new(); // the one that ended it
            return 0;
        }
        if (next.passed()) {
            print_stats(record);
            next = Deadline{interval};
        }
    }
}

} // namespace

Result<int> events(const Options& options) {
    const store::Records records = open_records(options);
    const store::Record record = TRY(records.load(options.arguments.front()));
    const auto leader = open_pidfd(record.pid);
    const auto status = records.status(record);
    if (!leader || status == store::Status::stopped || status == store::Status::creating)
        return fail(Error{std::errc::no_such_process, "container not running: '" + record.id + "'", ""});
    if (record.cgroup.empty())
        return fail(bad_input("container '" + record.id + "' has no cgroup of its own"));
    if (!options.stats)
        return follow(record, leader->get(), options.interval);
    print_stats(record);
    return 0;
}

} // namespace ctrd::ctr_oci
