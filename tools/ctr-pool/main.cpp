// The warm pool of a container for each connection: how many of its instances wait.
//
//     ctr-pool fill NAME SIZE MOST
//         SIZE wait when it ends, and as many as that are connected and wait together at MOST. One that was made before
//         the last change of its declaration gives way to a new one. It runs with the socket, after each accept, and
//         after each end; as the unit that the socket starts, when somebody is there and no instance is.
//     ctr-pool drain NAME
//         before the socket is closed: none waits any more
//
// All that it knows it asks systemd, each time: there is nothing to keep, and nothing to lose.
#include "ctrd/activation/compiled.hpp"
#include "ctrd/activation/listen_fds.hpp"
#include "ctrd/activation/pool_lock.hpp"
#include "ctrd/activation/refuse.hpp"
#include "ctrd/base/names.hpp"
#include "machined-plugin/manager_client.hpp"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <string_view>
#include <vector>

namespace {

using namespace ctrd;
using activation::PoolLock;
using systemd::ManagerClient;

constexpr std::string_view suffix = "-warm.service";
/// After an instance that failed, so that one that always does keeps nobody busy.
constexpr unsigned pause_after_failure = 2;

std::string prefix_of(const std::string& name) { return "ctr-" + name + "@"; }
std::string socket_of(const std::string& name) { return "ctr-" + name + ".socket"; }

struct Pool {
    std::vector<std::string> waiting{}; // units
    std::vector<std::string> outdated{};
    std::size_t connected{0};
    unsigned highest{0}; // number of an instance
};

unsigned number_of(std::string_view unit, const std::string& name) {
    unit.remove_prefix(std::min(unit.size(), prefix_of(name).size()));
    unsigned number = 0;
    std::from_chars(unit.data(), unit.data() + unit.size(), number);
    return number;
}

Result<Pool> look(ManagerClient& manager, const std::string& name) {
    Pool pool;
    const std::uint64_t changed = activation::compiled_time(name);
    for (const auto& unit : TRY(manager.units_like(prefix_of(name) + "*.service"))) {
        pool.highest = std::max(pool.highest, number_of(unit.name, name));
        const bool comes = unit.active == "activating" || (unit.active == "inactive" && unit.has_job);
        if (unit.active != "active" && !comes)
            continue;
        if (!comes && TRY(manager.status_text(unit.name)) != waiting_status) {
            ++pool.connected;
            continue;
        }
        // 0: it has a job, and begins with what is declared now.
        const std::uint64_t began = TRY(manager.start_began(unit.name));
        (began != 0 && began < changed ? pool.outdated : pool.waiting).push_back(unit.name);
    }
    return pool;
}

/// Alone. No lock where the container's folder is not there: its config is made by the first start, or it is no longer
/// declared.
Result<UniqueFd> lock(const std::string& name, PoolLock which) {
    auto opened = activation::open_pool_lock(name, which);
    if (!opened)
        return UniqueFd{};
    TRY_VOID(activation::hold(*opened, LOCK_EX));
    return *std::move(opened);
}

/// At once, by SIGKILL, while none of them can accept anybody. They are left to end.
Result<std::vector<std::string>> end_those_that_wait(ManagerClient& manager, const std::string& name,
                                                     const std::vector<std::string>& units) {
    const UniqueFd locked = TRY(lock(name, PoolLock::accepting));
    std::vector<std::string> ended;
    for (const std::string& unit : units) {
        if (TRY(manager.status_text(unit)) == connected_status)
            continue;
        [[maybe_unused]] auto killed = manager.kill(unit, SIGKILL); // where there is a process
        ended.push_back(unit);
    }
    return ended;
}

/// Those that wait then. `after_failure`: where no instance runs systemd looks at the socket, and starts us for the
/// next client; until then nothing that may fail again is tried.
Result<std::size_t> fill(const std::string& name, std::size_t size, std::size_t most, bool after_failure) {
    ManagerClient manager = TRY(ManagerClient::open_directly());
    UniqueFd locked = TRY(lock(name, PoolLock::filling));
    if (TRY(manager.state(socket_of(name))).active != "active")
        return std::size_t{0}; // it is being stopped
    const Pool pool = TRY(look(manager, name));
    if (after_failure && pool.connected == 0 && pool.waiting.empty())
        return std::size_t{0};
    if (!pool.outdated.empty())
        for (const std::string& unit : TRY(end_those_that_wait(manager, name, pool.outdated)))
            [[maybe_unused]] auto stopping = manager.begin_stop(unit);
    const std::size_t room = most - std::min(most, pool.connected + pool.waiting.size());
    const std::size_t missing = std::min(size - std::min(size, pool.waiting.size()), room);
    std::vector<std::string> units;
    for (std::size_t i = 0; i < missing; ++i)
        units.push_back(prefix_of(name) + std::to_string(pool.highest + 1 + i) + std::string{suffix});
    // Until they are up nobody has to wait for us: they count from now on.
    return TRY(manager.start_together(units, [&] { locked = UniqueFd{}; })) + pool.waiting.size();
}

Result<void> drain(const std::string& name) {
    ManagerClient manager = TRY(ManagerClient::open_directly());
    Pool pool;
    { // who fills sees from now on that the socket is being stopped
        const UniqueFd locked = TRY(lock(name, PoolLock::filling));
        pool = TRY(look(manager, name));
    }
    std::ranges::move(pool.outdated, std::back_inserter(pool.waiting));
    for (const std::string& unit : TRY(end_those_that_wait(manager, name, pool.waiting)))
        [[maybe_unused]] auto stopped = manager.stop(unit); // it may be forgotten already
    return {};
}

/// As the unit that the socket has started: whoever waits there would start us again and again.
void refuse_those_who_wait() {
    const auto handed = activation::listen_fds_from_environment();
    if (!handed)
        return;
    std::vector<int> fds;
    for (const auto& one : *handed)
        fds.push_back(one.fd.get());
    activation::refuse_clients(fds, std::chrono::milliseconds{0});
}

int complain(const std::string& name, const Error& error) {
    std::fputs(("<3>ctr-pool: container '" + name + "': " + to_text(error) + "\n").c_str(), stderr);
    return EXIT_FAILURE;
}

std::size_t number(const char* text) { return std::strtoul(text, nullptr, 10); }

/// As ExecStopPost=, systemd says how the instance ended.
std::string_view ending(const char* variable) {
    const char* value = std::getenv(variable);
    return value == nullptr ? std::string_view{} : value;
}

int run_fill(const std::string& name, std::size_t size, std::size_t most) {
    if (ending("EXIT_STATUS") == std::to_string(not_made_status))
        return EXIT_SUCCESS; // systemd tries it again
    const auto result = ending("SERVICE_RESULT");
    const bool after_failure = !result.empty() && result != "success";
    if (after_failure)
        ::sleep(pause_after_failure);
    const auto waiting = fill(name, size, most, after_failure);
    if (waiting && *waiting > 0)
        return EXIT_SUCCESS;
    refuse_those_who_wait();
    return waiting ? EXIT_SUCCESS : complain(name, waiting.error());
}

} // namespace

int main(int argc, char** argv) {
    const std::string_view verb = argc > 1 ? argv[1] : "";
    const std::string name = argc > 2 ? argv[2] : "";
    const bool is_fill = verb == "fill" && argc == 5;
    if ((!is_fill && (verb != "drain" || argc != 3)) || !is_container_name(name)) {
        std::fputs("ctr-pool is run by the units of a container with a warm pool: ctr-pool fill NAME SIZE MOST, "
                   "ctr-pool drain NAME\n",
                   stderr);
        return 2;
    }
    if (is_fill)
        return run_fill(name, number(argv[3]), number(argv[4]));
    const auto drained = drain(name);
    return drained ? EXIT_SUCCESS : complain(name, drained.error());
}
