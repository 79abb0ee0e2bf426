// "machinectl shell" and "login" for containers in which no systemd runs. Each running container has a socket where
// machined expects that container's systemd; it queues calls also while ctrd is away. Nothing but what machined says
// there is listened to, and all that comes of it is a command in the container with the container's own rights, made
// by `ctr-run exec` as any other.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/bus/event.hpp"
#include "machined-plugin/shell_responder.hpp"

#include <functional>
#include <list>
#include <map>
#include <string>

namespace ctrd::bus {

class MachineShells {
public:
    /// The first process of a container; 0 where it does not run.
    using Leader = std::function<pid_t(const std::string& container)>;
    MachineShells(sd_event* event, Leader leader) : event_{event}, leader_{std::move(leader)} {}
    MachineShells(const MachineShells&) = delete;
    MachineShells& operator=(const MachineShells&) = delete;

    /// A container's machine socket; it takes the place of an earlier one.
    void add(UniqueFd socket);
    /// The container has stopped. What runs in it has ended by itself.
    void remove(const std::string& container);
    /// Told when a session begins: who stands still has to go on.
    void on_begin(std::function<void(const std::string& container)> begin) { begin_ = std::move(begin); }
    /// Whether a session is open in it.
    [[nodiscard]] bool any_in(const std::string& container) const;
    /// Whether machined can ask anywhere.
    [[nodiscard]] bool any_open() const { return !doors_.empty(); }

private:
    struct Door {
        MachineShells* owner{nullptr};
        std::string container{};
        UniqueFd socket{};
        EventSource source{};
    };
    /// Somebody who has connected. Until it is known to be machined it is only a descriptor.
    struct Caller {
        MachineShells* owner{nullptr};
        std::string container{};
        UniqueFd connection{};
        EventSource readable{};
        EventSource deadline{};
        std::unique_ptr<systemd::ShellResponder> responder{};
    };
    struct Session {
        MachineShells* owner{nullptr};
        std::string container{};
        UniqueFd pidfd{};
        EventSource source{};
    };
    struct Start; // what is asked of `ctr-run exec`

    void accept(Door& door);
    Result<void> watch(Caller& caller);
    Result<void> serve(Caller& caller);
    void drop(const Caller& caller);
    void make_room(const std::string& container);
    Result<void> open_shell(const std::string& container, const systemd::ShellRequest& request);
    Result<void> open_login(const std::string& container, unsigned terminal);
    Result<void> start_session(const std::string& container, const Start& start);
    static int on_connection(sd_event_source* source, int fd, std::uint32_t events, void* userdata) noexcept;
    static int on_first_word(sd_event_source* source, int fd, std::uint32_t events, void* userdata) noexcept;
    static int on_deadline(sd_event_source* source, std::uint64_t time, void* userdata) noexcept;
    static int on_session_end(sd_event_source* source, const siginfo_t* info, void* userdata) noexcept;

    sd_event* event_;
    Leader leader_;
    std::function<void(const std::string& container)> begin_{};
    std::map<std::string, Door> doors_{};
    std::list<Caller> callers_{};
    std::list<Session> sessions_{};
};

} // namespace ctrd::bus
