#include "ctrd/bus/registry.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/bus/log.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace ctrd::bus {
namespace {

constexpr std::size_t largest_config = 16 << 20;

bool same_state(const systemd::UnitFacts& one, const systemd::UnitFacts& other) {
    return std::strcmp(state_of(one), state_of(other)) == 0;
}

bool same(const systemd::UnitFacts& one, const systemd::UnitFacts& other) {
    return same_state(one, other) && leader_of(one) == leader_of(other) && since_of(one) == since_of(other) &&
           one.main_code == other.main_code && one.main_status == other.main_status;
}

} // namespace

std::optional<Declaration> Registry::declaration_of(const std::string& name) const {
    const std::string path = folder_ + "/" + name + "/config.json";
    const auto text = read_file(path, largest_config);
    if (!text) {
        if (text.error().code != std::errc::no_such_file_or_directory &&
            text.error().code != std::errc::not_a_directory)
            log_warning(text.error());
        return std::nullopt;
    }
    auto declaration = parse_declaration(*text).context("'" + path + "'");
    if (!declaration) { // it is there, and systemd would try to start it: listed without what can't be read
        log_warning(declaration.error());
        return Declaration{};
    }
    return *declaration;
}

void Registry::read_declared(const std::string& name) {
    if (!is_container_name(name))
        return;
    const Container* known = find(name);
    Container container{name, declaration_of(name), known != nullptr ? known->unit : at_rest(name, unit(name))};
    update(std::move(container));
}

void Registry::read_all_declared() {
    std::set<std::string> names;
    for (const auto& [name, container] : containers_)
        names.insert(name);
    std::error_code error;
    for (std::filesystem::directory_iterator at{folder_, error}, end; !error && at != end; at.increment(error))
        names.insert(at->path().filename());
    if (error)
        log_warning(os_error(error.value(), "cannot list '" + folder_ + "'"));
    for (const auto& name : names)
        read_declared(name);
}

const Container* Registry::find(std::string_view name) const {
    const auto at = containers_.find(name);
    return at == containers_.end() ? nullptr : &at->second;
}

systemd::UnitFacts Registry::unit(const std::string& name) const {
    if (const Container* container = find(name))
        return container->unit;
    const auto at = unlisted_.find(name);
    return at == unlisted_.end() ? systemd::UnitFacts{} : at->second;
}

/// From before systemd forgot the unit, or, if that was before our time, from what ctr-run has left.
systemd::UnitFacts Registry::at_rest(const std::string& name, const systemd::UnitFacts& last) const {
    systemd::UnitFacts facts = last;
    if (facts.active != "inactive" || facts.main_code != 0)
        return facts;
    if (const auto text = read_file(folder_ + "/" + name + "/ended", 64)) {
        const auto end = parse_end(*text);
        facts.main_code = end.code;
        facts.main_status = end.status;
    }
    return facts;
}

void Registry::unit_unloaded(const std::string& name) {
    const systemd::UnitFacts last = unit(name);
    systemd::UnitFacts facts;
    facts.main_code = last.main_code;
    facts.main_status = last.main_status;
    facts.inactive_enter = last.inactive_enter;
    set_unit(name, at_rest(name, facts));
}

void Registry::set_unit(const std::string& name, const systemd::UnitFacts& facts) {
    const Container* known = find(name);
    update({name, known != nullptr ? known->declared : std::nullopt, facts});
}

void Registry::update(Container container) {
    const std::string name = container.name;
    const auto at = containers_.find(name);
    if (!is_listed(container)) {
        unlisted_[name] = container.unit;
        if (container.unit.active == "inactive")
            unlisted_.erase(name);
        if (at == containers_.end())
            return;
        containers_.erase(at);
        return events_.removed(container);
    }
    unlisted_.erase(name);
    if (at == containers_.end()) {
        const auto& added = containers_.emplace(name, std::move(container)).first->second;
        return events_.added(added);
    }
    const Container& old = at->second;
    const Change change{!same_state(old.unit, container.unit), !same(old.unit, container.unit),
                        old.declared != container.declared};
    at->second = std::move(container);
    if (change.unit || change.declared)
        events_.changed(at->second, change);
}

} // namespace ctrd::bus
