// ctrd's picture of the containers: what is declared below /run/ctrd/compiled, joined with systemd's units. It keeps
// nothing that is not there: a ctrd that was killed makes the same picture again.
#pragma once

#include "ctrd/bus/view.hpp"

#include <functional>
#include <map>
#include <set>

namespace ctrd::bus {

/// What a change did to a container's D-Bus properties.
struct Change {
    bool state{false};
    bool unit{false};     // anything that comes from the unit, the state or not
    bool declared{false}; // anything that comes from the declaration
};

struct RegistryEvents {
    std::function<void(const Container&)> added{};
    std::function<void(const Container&)> removed{}; // told after it is gone from the list
    std::function<void(const Container&, Change)> changed{};
};

class Registry {
public:
    using Containers = std::map<std::string, Container, std::less<>>;
    explicit Registry(std::string folder) : folder_{std::move(folder)} {}

    void on_events(RegistryEvents events) { events_ = std::move(events); }

    /// Reads the declarations again: of one container, or of all.
    void read_declared(const std::string& name);
    void read_all_declared();

    void set_unit(const std::string& name, const systemd::UnitFacts& facts);
    /// systemd has forgotten it; how it ended last is remembered.
    void unit_unloaded(const std::string& name);

    /// The listed ones.
    [[nodiscard]] const Containers& containers() const { return containers_; }
    [[nodiscard]] const Container* find(std::string_view name) const;
    /// What systemd says, also of a unit that is not listed.
    [[nodiscard]] systemd::UnitFacts unit(const std::string& name) const;

    /// Where it is in its standby ("created", "frozen"; empty: it runs, or not): somebody else knows.
    void ask_phase(std::function<std::string(const std::string& name)> phase) { phase_ = std::move(phase); }
    [[nodiscard]] std::string phase_of(const std::string& name) const { return phase_ ? phase_(name) : std::string{}; }

private:
    void update(Container container);
    systemd::UnitFacts at_rest(const std::string& name, const systemd::UnitFacts& last) const;
    std::optional<Declaration> declaration_of(const std::string& name) const;

    std::string folder_;
    RegistryEvents events_{};
    std::function<std::string(const std::string& name)> phase_{};
    Containers containers_{};
    std::map<std::string, systemd::UnitFacts> unlisted_{}; // units at rest that nobody declares
};

} // namespace ctrd::bus
