// Hold: containers that stand still for as long as somebody who asked for it is on the bus. Who is killed lets go.
#pragma once

#include "ctrd/bus/callers.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace ctrd::bus {

class Holds {
public:
    /// `thaw`: lets a container go on that nobody holds any more.
    explicit Holds(std::function<void(const std::string& name)> thaw) : thaw_{std::move(thaw)} {}
    Holds(const Holds&) = delete;
    Holds& operator=(const Holds&) = delete;

    [[nodiscard]] bool held(const std::string& name) const { return holders_.contains(name); }
    /// Noted in /run first, so that a ctrd that is killed finds it again: recover().
    Result<void> add(const std::string& name, const CallerRef& caller);
    /// True where that was the last who held it: it is to go on, and then to be forgotten.
    bool let_go(const std::string& name, const CallerRef& caller);
    /// Somebody has paused it for good or let it go on, or it has come to rest.
    void forget(const std::string& name);

private:
    void on_gone(const std::string& name, const Caller* caller);
    std::map<std::string, std::vector<CallerRef>> holders_{};
    std::function<void(const std::string& name)> thaw_;
};

/// Those whom a ctrd held that has been killed; who had asked for it was told so by the end of its name on the bus.
std::vector<std::string> held_before();
void forget_held_before(const std::string& name);

} // namespace ctrd::bus
