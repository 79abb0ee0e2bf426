// The containers' service units, watched and driven without ever waiting: ctrd's side of systemd1.
//
// systemd's own order makes this exact: on one connection, an answer shows the state at the moment it was made, and
// signals and answers arrive in the order in which they were sent. So the first look comes after the subscription, and
// every signal after it only moves the picture on.
#pragma once

#include "machined-plugin/bus_types.hpp"
#include "machined-plugin/scope.hpp"
#include "machined-plugin/unit_facts.hpp"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace ctrd::systemd {

std::string unit_of(std::string_view container);
/// "ctr@web.service" -> "web"; empty for any other unit.
std::string container_of(std::string_view unit);

/// How a job ended: systemd's word ("done", "failed", "canceled", "timeout", "dependency" ...), or the error that kept
/// it from being made.
using JobEnd = std::function<void(Result<std::string> result)>;
using Done = std::function<void(Result<void>)>;

/// A property of a unit that is one number ("t" on the bus).
struct UnitProperty {
    std::string name{};
    std::uint64_t value{0};
    bool operator==(const UnitProperty&) const = default;
};

struct UnitEvents {
    std::function<void(const std::string& container, const UnitFacts& facts)> changed{};
    std::function<void(const std::string& container)> unloaded{}; // systemd has forgotten it: it is stopped
    std::function<void(Result<void>)> loaded{};                   // the first look is complete, or impossible
};

class Units {
public:
    Units(sd_bus* bus, UnitEvents events);
    ~Units();
    Units(const Units&) = delete;
    Units& operator=(const Units&) = delete;

    /// Subscribes, then looks at everything once.
    Result<void> watch();

    // "replace" jobs. The end is told after `changed` has told what the job did.
    void start(const std::string& container, JobEnd end) { queue_job("StartUnit", container, std::move(end)); }
    void stop(const std::string& container, JobEnd end) { queue_job("StopUnit", container, std::move(end)); }
    void restart(const std::string& container, JobEnd end) { queue_job("RestartUnit", container, std::move(end)); }
    // Nobody has asked for these two: they fail where a job waits that somebody did ask for, and start nothing that was
    // stopped meanwhile.
    void stop_unasked(const std::string& container, JobEnd end) {
        queue_job("StopUnit", container, std::move(end), "fail");
    }
    void restart_unasked(const std::string& container, JobEnd end) {
        queue_job("TryRestartUnit", container, std::move(end), "fail");
    }

    /// A new scope around `pid`, which is nobody's unit here: the end of its job, and no more.
    void make_scope(const ScopeRequest& request, pid_t pid, JobEnd end);
    /// With all that is in it; nobody waits for it.
    void stop_scope(const std::string& scope);

    /// A signal to every process of the unit.
    void kill_all(const std::string& container, int signal, Done done);

    // Done when every process has stopped, or goes on; `changed` has told so before.
    void freeze(const std::string& container, Done done) { set_frozen("FreezeUnit", container, std::move(done)); }
    void thaw(const std::string& container, Done done) { set_frozen("ThawUnit", container, std::move(done)); }

    /// At once, all or none; `runtime`: until the next boot, else for good.
    void set_properties(const std::string& container, bool runtime, const std::vector<UnitProperty>& properties,
                        Done done);

private:
    struct Call;
    using OnReply = std::function<void(sd_bus_message* reply, const Error* error)>;

    Result<void> add_match(const char* rule, sd_bus_message_handler_t handler);
    // No time limit: systemd answers late while it reloads.
    void call(BusMessage message, std::string doing, OnReply on_reply, std::uint64_t time_limit = UINT64_MAX);
    BusMessage new_call(const char* path, const char* interface, const char* member);
    void set_frozen(const char* method, const std::string& container, Done done);
    void queue_job(const char* method, const std::string& container, JobEnd end, const char* mode = "replace");
    void await_job(BusMessage message, const std::string& unit, JobEnd end);
    void look_at_all();
    void on_all(sd_bus_message* reply);
    void look_at(const std::string& container);
    void list(const std::vector<const char*>& states, const std::string& pattern, OnReply on_reply);
    void load(const std::string& container, std::function<void()> then = {});
    void on_properties(const std::string& container, sd_bus_message* reply);
    void forget(const std::string& container);
    void count_loaded();

    static int on_changed(sd_bus_message* signal, void* userdata, sd_bus_error* error) noexcept;
    static int on_unit_new(sd_bus_message* signal, void* userdata, sd_bus_error* error) noexcept;
    static int on_unit_removed(sd_bus_message* signal, void* userdata, sd_bus_error* error) noexcept;
    static int on_job_removed(sd_bus_message* signal, void* userdata, sd_bus_error* error) noexcept;
    static int on_reloading(sd_bus_message* signal, void* userdata, sd_bus_error* error) noexcept;
    static int on_call_reply(sd_bus_message* reply, void* userdata, sd_bus_error* error) noexcept;

    sd_bus* bus_;
    UnitEvents events_;
    std::vector<BusSlot> matches_{};
    std::map<std::string, UnitFacts> facts_{};  // of loaded units, by container
    std::multimap<std::string, JobEnd> jobs_{}; // by job path
    std::set<std::unique_ptr<Call>> calls_;
    std::size_t loading_{0}; // units whose properties the first look still waits for
    bool first_look_{true};
    bool reloading_{false};
};

} // namespace ctrd::systemd
