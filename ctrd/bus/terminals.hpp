// The terminals of all containers that are declared with terminal = true and run. Their masters are kept by the units'
// descriptor stores: a ctrd that comes back finds them there.
#pragma once

#include "ctrd/bus/by_container.hpp"
#include "ctrd/bus/terminal.hpp"

#include <sys/types.h>

#include <vector>

namespace ctrd::bus {

class Terminals {
public:
    explicit Terminals(sd_event* event) : event_{event} {}
    Terminals(const Terminals&) = delete;
    Terminals& operator=(const Terminals&) = delete;

    /// It takes the place of an earlier run's.
    void add(const std::string& container, UniqueFd master);
    /// The container has ended.
    void end(const std::string& container) { terminals_.end(container); }
    [[nodiscard]] bool has(const std::string& container) const { return terminals_.has(container); }
    /// `container` must have one.
    Result<Terminal::Attached> attach(const std::string& container) { return terminals_.at(container).attach(); }

    /// Those that the service manager keeps, each for the container whose record names its devpts.
    void recover(pid_t manager, const std::vector<std::string>& containers);

private:
    sd_event* event_;
    ByContainer<Terminal> terminals_{};
};

/// The upper end of a pseudo terminal?
bool is_terminal_master(int fd) noexcept;

} // namespace ctrd::bus
