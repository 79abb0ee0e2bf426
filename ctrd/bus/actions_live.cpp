// What changes a running container without touching its processes' work, and what shows their use of the machine.
#include "ctrd/base/journal.hpp"
#include "ctrd/bus/actions.hpp"
#include "ctrd/bus/cgroup_stats.hpp"
#include "ctrd/bus/live_properties.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/reply.hpp"

#include <memory>

namespace ctrd::bus {
namespace {

int append_stat(sd_bus_message* reply, const Stat& stat) {
    return stat.is_share ? sd_bus_message_append(reply, "{sv}", stat.name.c_str(), "d", stat.share)
                         : sd_bus_message_append(reply, "{sv}", stat.name.c_str(), "t", stat.number);
}

int append_stats(sd_bus_message* reply, const std::vector<Stat>& stats) {
    int r = sd_bus_message_open_container(reply, 'a', "{sv}");
    for (const auto& stat : stats)
        if (r >= 0)
            r = append_stat(reply, stat);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

int append_stats_of(sd_bus_message* reply, const std::string& name, const std::string& folder) {
    int r = sd_bus_message_open_container(reply, 'r', "sa{sv}");
    if (r < 0 || (r = sd_bus_message_append(reply, "s", name.c_str())) < 0 ||
        (r = append_stats(reply, read_cgroup_stats(folder))) < 0)
        return r;
    return sd_bus_message_close_container(reply);
}

int append_processes(sd_bus_message* reply, const std::vector<pid_t>& processes) {
    const std::vector<std::uint32_t> numbers{processes.begin(), processes.end()};
    return sd_bus_message_append_array(reply, 'u', numbers.data(), numbers.size() * sizeof numbers.front());
}

template <class Append> int reply_with(sd_bus_message* call, Append append) {
    sd_bus_message* raw = nullptr;
    int r = sd_bus_message_new_method_return(call, &raw);
    const systemd::BusMessage reply{raw};
    if (r >= 0)
        r = append(raw);
    return r < 0 ? r : sd_bus_send(nullptr, raw, nullptr);
}

/// A function object is copied: its message has several owners.
std::shared_ptr<sd_bus_message> keep(sd_bus_message* call) { return {sd_bus_message_ref(call), sd_bus_message_unref}; }

void answer(sd_bus_message* call, const std::string& doing, Result<void> done) {
    if (done)
        reply_done(call);
    else
        reply_error(call, error_name::failed, std::move(done).context(doing).error());
}

} // namespace

void Actions::set_frozen(sd_bus_message* call, const std::string& name, bool frozen) {
    const systemd::UnitFacts unit = registry_.unit(name);
    if (!is_up(unit)) {
        reply_not_running(call, name);
        return;
    }
    const bool is_news = (unit.freezer == "frozen") != frozen;
    const std::string doing = "container '" + name + "' can't be " + (frozen ? "paused" : "resumed");
    const Container* container = registry_.find(name);
    const std::string source = container != nullptr && container->declared ? container->declared->source : "";
    const auto done = [name, source, frozen, is_news, doing, kept = keep(call)](Result<void> result) {
        if (result && is_news)
            frozen ? log_event(event_id::paused, "paused", name, source, "is paused")
                   : log_event(event_id::resumed, "resumed", name, source, "goes on");
        answer(kept.get(), doing, std::move(result));
    };
    frozen ? units_.freeze(name, done) : units_.thaw(name, done);
}

int Actions::pause(sd_bus_message* call, const std::string& name) {
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    return authority_.check(call, action::manage, name, [this, name](sd_bus_message* message, const CallerRef&) {
        holds_.forget(name); // whoever held it: it stays so now
        set_frozen(message, name, true);
    });
}

int Actions::resume(sd_bus_message* call, const std::string& name) {
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    return authority_.check(call, action::manage, name, [this, name](sd_bus_message* message, const CallerRef&) {
        holds_.forget(name);
        set_frozen(message, name, false);
    });
}

int Actions::hold(sd_bus_message* call, const std::string& name) {
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    return authority_.check(call, action::manage, name, [this, name](sd_bus_message* message, const CallerRef& caller) {
        const systemd::UnitFacts unit = registry_.unit(name);
        if (is_up(unit) && unit.freezer == "frozen" && !holds_.held(name)) {
            reply_done(message); // paused for good: it does not go on for our sake
            return;
        }
        if (auto added = is_up(unit) ? holds_.add(name, caller) : Result<void>{}; !added) {
            reply_error(message, error_name::failed, added.error());
            return;
        }
        set_frozen(message, name, true);
    });
}

int Actions::release(sd_bus_message* call, const std::string& name) {
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    return authority_.check(call, action::manage, name, [this, name](sd_bus_message* message, const CallerRef& caller) {
        if (!holds_.let_go(name, caller)) {
            reply_done(message); // somebody else holds it, or nobody does
            return;
        }
        set_frozen(message, name, false);
        holds_.forget(name);
    });
}

void Actions::thaw_held(const std::string& name) {
    units_.thaw(name, [name](const Result<void>& done) {
        if (!done)
            log_warning(done.error());
    });
}

void Actions::changed(const Container& container) {
    waits_.changed(container);
    if (!is_up(container.unit))
        holds_.forget(container.name);
}

void Actions::recover_holds() {
    for (const std::string& name : held_before()) {
        if (is_up(registry_.unit(name)))
            thaw_held(name);
        forget_held_before(name);
    }
}

int Actions::wait(sd_bus_message* call, const std::string& name) { return waits_.add(call, name); }

int Actions::set_properties(sd_bus_message* call, const std::string& name) {
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    int runtime = 0;
    if (const int r = sd_bus_message_read(call, "b", &runtime); r < 0)
        return r;
    auto properties = read_live_properties(call);
    if (!properties)
        return reply_error(call, error_name::bad_input, properties.error());
    return authority_.check(
        call, action::set_properties, name, [=, this, wanted = *properties](sd_bus_message* message, const CallerRef&) {
            units_.set_properties(name, runtime != 0, wanted, [name, kept = keep(message)](Result<void> done) {
                answer(kept.get(), "container '" + name + "' keeps its limits", std::move(done));
            });
        });
}

int Actions::stats(sd_bus_message* call, const std::string& name) {
    const Container* container = registry_.find(name);
    if (container == nullptr)
        return reply_no_such_container(call, name);
    const std::string folder = cgroup_folder_of(*container);
    if (folder.empty())
        return reply_not_running(call, name);
    return reply_with(call, [&](sd_bus_message* reply) { return append_stats(reply, read_cgroup_stats(folder)); });
}

/// Those of many are read in parts: each is a dozen files, and nobody else is answered meanwhile.
int Actions::all_stats(sd_bus_message* call) {
    constexpr int most_at_once = 64;
    const char* after = nullptr;
    if (const int r = sd_bus_message_read(call, "s", &after); r < 0)
        return r;
    return reply_with(call, [&](sd_bus_message* reply) {
        const auto& all = registry_.containers();
        std::string next;
        int left = most_at_once;
        int r = sd_bus_message_open_container(reply, 'a', "(sa{sv})");
        for (auto at = all.upper_bound(std::string_view{after}); at != all.end() && r >= 0; ++at) {
            const std::string folder = cgroup_folder_of(at->second);
            if (folder.empty())
                continue;
            if (left-- == 0)
                break;
            next = at->first;
            r = append_stats_of(reply, at->first, folder);
        }
        if (r >= 0)
            r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_append(reply, "s", left < 0 ? next.c_str() : "");
    });
}

int Actions::processes(sd_bus_message* call, const std::string& name) {
    const Container* container = registry_.find(name);
    if (container == nullptr)
        return reply_no_such_container(call, name);
    const std::string folder = cgroup_folder_of(*container);
    if (folder.empty())
        return reply_not_running(call, name);
    auto found = read_cgroup_processes(folder).context("container '" + name + "'");
    if (!found)
        return reply_error(call, error_name::failed, found.error());
    return reply_with(call, [&](sd_bus_message* reply) { return append_processes(reply, *found); });
}

} // namespace ctrd::bus
