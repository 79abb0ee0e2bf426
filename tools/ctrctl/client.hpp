// ctrd as ctrctl sees it: io.ctrd1 on the system bus. ctrd may vanish under a call at any moment (it is only a front):
// what may safely be asked twice is asked again, and the bus starts a new ctrd for it.
#pragma once

#include "ctrd/base/fd.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/polkit_agent.hpp"
#include "tools/ctrctl/settings.hpp"

#include <systemd/sd-bus.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace ctrd::ctl {

struct BusDeleter {
    void operator()(sd_bus* bus) const noexcept { sd_bus_flush_close_unref(bus); }
    void operator()(sd_bus_message* message) const noexcept { sd_bus_message_unref(message); }
    void operator()(sd_bus_slot* slot) const noexcept { sd_bus_slot_unref(slot); }
};
using Bus = std::unique_ptr<sd_bus, BusDeleter>;
using Message = std::unique_ptr<sd_bus_message, BusDeleter>;
using Slot = std::unique_ptr<sd_bus_slot, BusDeleter>;

/// The container of one connection, where each has its own (accept = true).
struct Instance {
    std::string name{}, unit{}; // "echo@12", and systemd's whole name
    std::uint32_t leader{0};
    bool waits{false}; // of a warm pool: nobody is connected yet
};

/// One line of ListContainers.
struct Row {
    std::string name{}, state{}, source{}, unit{}, path{};
    std::uint32_t leader{0};
    std::vector<Instance> instances{}; // of instances.hpp
};

struct Socket {
    std::string listen{}, deliver{}, name{};
    std::uint32_t port{0};
};

struct FailedStart {
    std::uint64_t when{0}; // microseconds since 1970
    std::string reason{};
};

/// How its starts went since the machine was booted. The times are microseconds.
struct StartCounts {
    std::uint64_t succeeded{0}, failed{0};
    std::uint64_t p50{0}, p90{0}, p99{0};
    std::vector<FailedStart> failures{}; // the last ones
};

/// The properties of one container.
struct Details {
    std::string name{}, state{}, standby{}, source{}, image{}, image_digest{}, unit{}, cgroup{};
    std::uint32_t leader{0};
    std::uint64_t since{0}; // microseconds since 1970; 0: never
    std::vector<Socket> sockets{};
    StartCounts starts{};
    std::uint32_t connections{0};
    std::uint32_t queued{0};   // who has connected and was not accepted yet
    std::int32_t main_code{0}; // CLD_*; 0: nothing ended yet
    std::int32_t main_status{0};
    std::string result{}; // systemd's word for how the last run ended: "success", "signal", "oom-kill", ...
    std::vector<Instance> instances{}; // of instances.hpp
};

/// How a container's last run ended.
struct End {
    std::int32_t code{0}; // CLD_*
    std::int32_t status{0};
};

/// What GetContainerStats says: counts, bytes and microseconds, and shares in per cent.
struct Use {
    std::map<std::string, std::uint64_t, std::less<>> numbers{};
    std::map<std::string, double, std::less<>> shares{};
};

/// Of AttachContainer: the bytes of a container's terminal, and the terminal itself.
struct AttachedTerminal {
    UniqueFd stream{};
    UniqueFd window{};
};

/// How something is copied into a container.
struct CopyWay {
    std::string name{}; // what it is called if the target is a folder
    bool single{false}; // one file's bytes, not tar
    std::uint32_t mode{0644};
};

enum class Again { yes, only_if_undelivered };

class Client {
public:
    /// `ask`: polkit may ask the user for a password.
    static Outcome<Client> connect(bool ask);

    Outcome<std::vector<Row>> list();
    Outcome<Details> details(const std::string& name);
    /// StartContainer, StopContainer, RestartContainer, PauseContainer, ResumeContainer, HoldContainer, GetContainer.
    Outcome<void> on_container(const char* method, const std::string& name);
    Outcome<void> kill(const std::string& name, const std::string& whom, int signal);

    // client_live.cpp
    Outcome<End> wait(const std::string& name);
    Outcome<void> set_properties(const std::string& name, bool runtime, const std::vector<Setting>& settings);
    Outcome<Use> use(const std::string& name);
    /// Of all that run, by their names.
    Outcome<std::map<std::string, Use>> use_of_all();
    Outcome<std::vector<std::uint32_t>> processes(const std::string& name);
    Outcome<void> rename(const std::string& name, const std::string& to);
    Outcome<void> remove(const std::string& name, bool force);
    Outcome<void> bind_mount(const std::string& name, const std::string& source, const std::string& target,
                             bool read_only, bool make_target);
    Outcome<void> copy_to(const std::string& name, const std::string& path, int data, const CopyWay& way);
    Outcome<void> copy_from(const std::string& name, const std::string& path, int data);
    Outcome<AttachedTerminal> attach(const std::string& name);

    /// A method call to the manager, not sent yet.
    Outcome<Message> new_call(const char* method);
    [[nodiscard]] sd_bus* bus() const noexcept { return bus_.get(); }
    /// What an error reply means to the user.
    Failure explain(const sd_bus_error& error, const std::string& doing, const std::string& name);

private:
    Client(Bus bus, bool ask) : bus_{std::move(bus)}, ask_{ask}, agent_{ask ? PolkitAgent::start() : PolkitAgent{}} {}
    using Fill = std::function<int(sd_bus_message*)>;
    struct Call {
        std::string path, interface, method, doing;
        std::string name{}; // of the container, if the call is about one
        Again again{Again::yes};
    };
    Outcome<Message> call(const Call& what, const Fill& fill);
    std::string nearest_container(const std::string& name);

    Bus bus_;
    bool ask_;
    PolkitAgent agent_;
};

/// Whether a failed call may have reached ctrd, by the name of its error.
bool was_undelivered(std::string_view error_name);
bool is_lost_connection(std::string_view error_name);

} // namespace ctrd::ctl
