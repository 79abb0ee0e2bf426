// The part of a container's own systemd that machined calls for "machinectl shell" and "machinectl login", where no
// systemd runs in the container. It answers exactly these calls of org.freedesktop.systemd1.Manager:
//
//     StartTransientUnit("container-shell@N.service", ...)   a program with the descriptors of a terminal
//     StartUnit("container-getty@N.service", ...)            a log-in on /dev/pts/N of the container
//
// What it reads it only takes apart and checks: whoever made the connection decides nothing but what is run in the
// container, and how that is done is for others to say.
#pragma once

#include "ctrd/base/fd.hpp"
#include "machined-plugin/bus_types.hpp"

#include <systemd/sd-event.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ctrd::systemd {

/// A program on a terminal.
struct ShellRequest {
    std::string user{};
    std::vector<std::string> args{}; // its path first
    std::vector<std::string> environment{};
    UniqueFd terminal{};
};

/// The properties of the transient unit, an a(sv). An error names what can't be done; it is the caller's fault.
Result<ShellRequest> read_shell_request(sd_bus_message* call);

/// "container-getty@7.service" -> 7; empty for any other unit.
std::optional<unsigned> terminal_of_getty(std::string_view unit);

struct ShellHandlers {
    std::function<Result<void>(ShellRequest request)> shell{};
    std::function<Result<void>(unsigned terminal)> login{};
    std::function<void()> closed{}; // the last thing that is called; the responder may be destroyed in it
};

class ShellResponder {
public:
    /// Answers on a connection that a client of D-Bus has made.
    static Result<std::unique_ptr<ShellResponder>> serve(sd_event* event, UniqueFd connection, ShellHandlers handlers);
    ~ShellResponder();
    ShellResponder(const ShellResponder&) = delete;
    ShellResponder& operator=(const ShellResponder&) = delete;

private:
    explicit ShellResponder(ShellHandlers handlers) : handlers_{std::move(handlers)} {}
    Result<void> start(sd_event* event, UniqueFd connection);
    static int on_hello(sd_bus_message* call, void* userdata, sd_bus_error* error) noexcept;
    static int on_shell(sd_bus_message* call, void* userdata, sd_bus_error* error) noexcept;
    static int on_login(sd_bus_message* call, void* userdata, sd_bus_error* error) noexcept;
    static int on_closed(sd_bus_message* signal, void* userdata, sd_bus_error* error) noexcept;

    static const sd_bus_vtable driver_vtable[];
    static const sd_bus_vtable manager_vtable[];
    ShellHandlers handlers_;
    sd_bus* bus_{nullptr};
    BusSlot closed_{};
};

} // namespace ctrd::systemd
