// Wait: calls that are answered when their container has come to rest, with how it ended.
#pragma once

#include "ctrd/bus/registry.hpp"
#include "machined-plugin/bus_types.hpp"

#include <sys/types.h>

#include <map>
#include <memory>

namespace ctrd::bus {

class Waits {
public:
    explicit Waits(const Registry& registry);
    ~Waits();
    Waits(const Waits&) = delete;
    Waits& operator=(const Waits&) = delete;

    /// Answers now, or when the container has ended. Returns what a method handler returns.
    int add(sd_bus_message* call, const std::string& container);
    /// The container has changed, or is gone.
    void changed(const Container& container);

private:
    struct Waiting;
    static int on_caller_gone(sd_bus_track* track, void* userdata) noexcept;

    const Registry& registry_;
    std::multimap<std::string, std::unique_ptr<Waiting>> waiting_;
};

} // namespace ctrd::bus
