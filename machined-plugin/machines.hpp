// Registration of the running containers with systemd-machined, so that machinectl knows them.
#pragma once

#include "machined-plugin/bus_types.hpp"

#include <systemd/sd-id128.h>

#include <sys/types.h>

#include <functional>
#include <list>
#include <memory>
#include <set>
#include <string>

namespace ctrd::systemd {

struct Machine {
    std::string name{};
    sd_id128_t id{};
    pid_t leader{0};
    std::string root{}; // on the host
};

class Machines {
public:
    /// `finished`: the machine is registered, or why it could not be. ENXIO: there is no machined.
    using Finished = std::function<void(const Machine& machine, Result<void> result)>;
    Machines(sd_bus* bus, Finished finished);
    ~Machines();
    Machines(const Machines&) = delete;
    Machines& operator=(const Machines&) = delete;

    /// Registers it, unless it is already; one of that name with another leader, which a quick restart may leave, is
    /// replaced if it is ours.
    void add(Machine machine);

    /// Takes out what this registered; `removed` is called when machined has answered, whatever it said. A machined
    /// that does not run is not started for it.
    void remove(const std::string& name, std::function<void()> removed);

private:
    struct Addition;
    struct Removal;
    using Step = void (Machines::*)(Addition& addition, sd_bus_message* reply);

    void call(Addition& addition, BusMessage message, Step next);
    void finish(Addition& addition, Result<void> result);
    void register_machine(Addition& addition);
    void on_registered(Addition& addition, sd_bus_message* reply);
    void on_path(Addition& addition, sd_bus_message* reply);
    void on_namesake(Addition& addition, sd_bus_message* reply);
    void on_unregistered(Addition& addition, sd_bus_message* reply);
    static int on_removed(sd_bus_message* reply, void* userdata, sd_bus_error* error) noexcept;
    static int on_reply(sd_bus_message* reply, void* userdata, sd_bus_error* error) noexcept;

    sd_bus* bus_;
    Finished finished_;
    std::set<std::unique_ptr<Addition>> additions_;
    std::list<Removal> removals_;
};

} // namespace ctrd::systemd
