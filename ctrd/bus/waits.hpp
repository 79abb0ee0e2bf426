// Wait: calls that are answered when their container has come to rest, with how it ended.
#pragma once

#include "ctrd/bus/callers.hpp"
#include "ctrd/bus/registry.hpp"

#include <sys/types.h>

#include <map>
#include <memory>

namespace ctrd::bus {

class Waits {
public:
    Waits(const Registry& registry, Callers& callers);
    ~Waits();
    Waits(const Waits&) = delete;
    Waits& operator=(const Waits&) = delete;

    /// Answers now, or when the container has ended. Returns what a method handler returns.
    int add(sd_bus_message* call, const std::string& container);
    /// The container has changed, or is gone.
    void changed(const Container& container);

private:
    struct Waiting;
    void keep(sd_bus_message* call, const CallerRef& caller, const std::string& container);
    void on_caller_gone(const Waiting* gone);

    const Registry& registry_;
    Callers& callers_;
    std::multimap<std::string, std::unique_ptr<Waiting>> waiting_;
};

} // namespace ctrd::bus
