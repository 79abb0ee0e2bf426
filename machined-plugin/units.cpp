#include "machined-plugin/units.hpp"

#include "machined-plugin/scope_message.hpp"

#include "ctrd/base/names.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace ctrd::systemd {
namespace {

constexpr const char* service = "org.freedesktop.systemd1";
constexpr const char* manager_path = "/org/freedesktop/systemd1";
constexpr const char* manager = "org.freedesktop.systemd1.Manager";
constexpr const char* unit_prefix = "/org/freedesktop/systemd1/unit";
constexpr std::uint64_t freezer_time = 30'000'000; // microseconds

std::string unit_path(const std::string& container) {
    char* text = nullptr;
    if (sd_bus_path_encode(unit_prefix, unit_of(container).c_str(), &text) < 0)
        return {};
    const std::unique_ptr<char, void (*)(void*)> owner{text, ::free};
    return text;
}

std::string container_at(const char* path) {
    char* unit = nullptr;
    if (sd_bus_path_decode(path, unit_prefix, &unit) <= 0)
        return {};
    const std::unique_ptr<char, void (*)(void*)> owner{unit, ::free};
    return container_of(unit);
}

int append_strings(sd_bus_message* message, const std::vector<const char*>& strings) {
    int r = sd_bus_message_open_container(message, 'a', "s");
    for (std::size_t i = 0; i < strings.size() && r >= 0; ++i)
        r = sd_bus_message_append(message, "s", strings[i]);
    return r < 0 ? r : sd_bus_message_close_container(message);
}

/// The containers in ListUnitsByPatterns' answer.
std::vector<std::string> read_containers(sd_bus_message* reply) {
    std::vector<std::string> found;
    int r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
    const char* unit = nullptr;
    while (r >= 0 && (r = sd_bus_message_read(reply, "(ssssssouso)", &unit, nullptr, nullptr, nullptr, nullptr, nullptr,
                                              nullptr, nullptr, nullptr, nullptr)) > 0)
        if (std::string container = container_of(unit); !container.empty())
            found.push_back(std::move(container));
    return found;
}

} // namespace

std::string unit_of(std::string_view container) { return "ctr@" + std::string{container} + ".service"; }

std::string container_of(std::string_view unit) {
    if (!unit.starts_with("ctr@") || !unit.ends_with(".service"))
        return {};
    unit.remove_prefix(4);
    unit.remove_suffix(8);
    return is_container_name(unit) ? std::string{unit} : std::string{};
}

/// One call on its way; it owns what the answer needs.
struct Units::Call {
    Units* units{nullptr};
    BusSlot slot{};
    std::string doing{};
    OnReply on_reply{};
};

Units::Units(sd_bus* bus, UnitEvents events) : bus_{bus}, events_{std::move(events)} {}
Units::~Units() = default;

BusMessage Units::new_call(const char* path, const char* interface, const char* member) {
    sd_bus_message* raw = nullptr;
    if (sd_bus_message_new_method_call(bus_, &raw, service, path, interface, member) < 0)
        return {};
    // Whoever may use ctrd was authorised by it; a question of systemd's to ctrd itself makes no sense.
    sd_bus_message_set_allow_interactive_authorization(raw, false);
    return BusMessage{raw};
}

void Units::call(BusMessage message, std::string doing, OnReply on_reply, std::uint64_t time_limit) {
    auto one = std::make_unique<Call>(Call{this, {}, std::move(doing), std::move(on_reply)});
    sd_bus_slot* slot = nullptr;
    const int r =
        message ? sd_bus_call_async(bus_, &slot, message.get(), on_call_reply, one.get(), time_limit) : -ENOMEM;
    if (r < 0) {
        const Error error = os_error(-r, one->doing);
        one->on_reply(nullptr, &error);
        return;
    }
    one->slot.reset(slot);
    calls_.insert(std::move(one));
}

int Units::on_call_reply(sd_bus_message* reply, void* userdata, sd_bus_error*) noexcept {
    auto* raw = static_cast<Call*>(userdata);
    auto& calls = raw->units->calls_;
    const auto at = std::ranges::find(calls, raw, &std::unique_ptr<Call>::get);
    const auto one = std::move(calls.extract(at).value());
    if (sd_bus_message_is_method_error(reply, nullptr) != 0) {
        const Error error = error_of(reply, one->doing);
        one->on_reply(nullptr, &error);
    } else {
        one->on_reply(reply, nullptr);
    }
    return 0;
}

Result<void> Units::add_match(const char* rule, sd_bus_message_handler_t handler) {
    sd_bus_slot* slot = nullptr;
    if (const int r = sd_bus_add_match_async(bus_, &slot, rule, handler, nullptr, this); r < 0)
        return fail(os_error(-r, "cannot watch systemd's units"));
    matches_.emplace_back(slot);
    return {};
}

Result<void> Units::watch() {
    TRY_VOID(add_match("type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',"
                       "member='PropertiesChanged',path_namespace='/org/freedesktop/systemd1/unit'",
                       on_changed));
    const std::pair<const char*, sd_bus_message_handler_t> signals[] = {{"UnitNew", on_unit_new},
                                                                        {"UnitRemoved", on_unit_removed},
                                                                        {"JobRemoved", on_job_removed},
                                                                        {"Reloading", on_reloading}};
    for (const auto& [member, handler] : signals)
        TRY_VOID(add_match(("type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',"
                            "interface='org.freedesktop.systemd1.Manager',member='" +
                            std::string{member} + "'")
                               .c_str(),
                           handler));
    call(new_call(manager_path, manager, "Subscribe"), "cannot subscribe to systemd's signals",
         [this](sd_bus_message*, const Error* error) {
             if (error != nullptr)
                 return events_.loaded(fail(*error));
             look_at_all();
         });
    return {};
}

void Units::list(const std::vector<const char*>& states, const std::string& pattern, OnReply on_reply) {
    BusMessage message = new_call(manager_path, manager, "ListUnitsByPatterns");
    if (message && (append_strings(message.get(), states) < 0 || append_strings(message.get(), {pattern.c_str()}) < 0))
        message.reset();
    call(std::move(message), "cannot list systemd's units", std::move(on_reply));
}

void Units::look_at_all() {
    list({}, "ctr@*.service", [this](sd_bus_message* reply, const Error* error) {
        if (error == nullptr)
            on_all(reply);
        else if (first_look_)
            events_.loaded(fail(*error));
    });
}

void Units::on_all(sd_bus_message* reply) {
    const std::vector<std::string> found = read_containers(reply);
    std::vector<std::string> gone;
    for (const auto& [container, facts] : facts_)
        if (std::ranges::find(found, container) == found.end())
            gone.push_back(container);
    for (const auto& container : gone)
        forget(container);
    loading_ = found.size() + 1;
    for (const auto& container : found)
        load(container, [this] { count_loaded(); });
    count_loaded();
}

void Units::count_loaded() {
    if (!first_look_ || --loading_ != 0)
        return;
    first_look_ = false;
    events_.loaded({});
}

/// Asking an unloaded unit for its properties would load it, be told to us as a new unit, and go round for ever: only
/// a unit that is not at rest is asked.
void Units::look_at(const std::string& container) {
    list({"active", "reloading", "activating", "deactivating", "failed"}, unit_of(container),
         [this](sd_bus_message* reply, const Error* error) {
             if (error == nullptr)
                 for (const auto& found : read_containers(reply))
                     load(found);
         });
}

void Units::load(const std::string& container, std::function<void()> then) {
    BusMessage message = new_call(unit_path(container).c_str(), "org.freedesktop.DBus.Properties", "GetAll");
    if (message && sd_bus_message_append(message.get(), "s", "") < 0)
        message.reset();
    call(std::move(message), "unit '" + unit_of(container) + "'",
         [this, container, then = std::move(then)](sd_bus_message* reply, const Error* error) {
             if (error == nullptr)
                 on_properties(container, reply);
             if (then)
                 then();
         });
}

void Units::on_properties(const std::string& container, sd_bus_message* reply) {
    UnitFacts facts;
    if (read_properties(reply, facts) < 0)
        return;
    facts_[container] = facts;
    events_.changed(container, facts);
}

void Units::forget(const std::string& container) {
    if (facts_.erase(container) != 0)
        events_.unloaded(container);
}

/// systemd sends every property that can change with each change, so a unit that was not known is known after it;
/// asking for the rest, in the middle of a start, would only keep systemd from its work.
int Units::on_changed(sd_bus_message* signal, void* userdata, sd_bus_error*) noexcept {
    auto& self = *static_cast<Units*>(userdata);
    const std::string container = container_at(sd_bus_message_get_path(signal));
    if (container.empty())
        return 0;
    const char* interface = nullptr;
    UnitFacts& known = self.facts_[container];
    if (sd_bus_message_read(signal, "s", &interface) < 0 || read_properties(signal, known) < 0)
        return 0;
    if (known.active != "active" && known.active != "reloading")
        known.freezer = "running"; // not announced: a stop thaws what it stops
    const UnitFacts facts = known;
    self.events_.changed(container, facts);
    return 0;
}

/// A unit's first signal is this one, also where a job has changed it by then.
int Units::on_unit_new(sd_bus_message* signal, void* userdata, sd_bus_error*) noexcept {
    auto& self = *static_cast<Units*>(userdata);
    const char* unit = nullptr;
    if (sd_bus_message_read(signal, "so", &unit, nullptr) < 0)
        return 0;
    const std::string container = container_of(unit);
    if (!container.empty() && !self.facts_.contains(container))
        self.look_at(container);
    return 0;
}

int Units::on_unit_removed(sd_bus_message* signal, void* userdata, sd_bus_error*) noexcept {
    auto& self = *static_cast<Units*>(userdata);
    const char* unit = nullptr;
    if (sd_bus_message_read(signal, "so", &unit, nullptr) >= 0 && !self.reloading_)
        self.forget(container_of(unit));
    return 0;
}

/// A reload removes every unit and makes it anew, which is nothing that happens to a container.
int Units::on_reloading(sd_bus_message* signal, void* userdata, sd_bus_error*) noexcept {
    auto& self = *static_cast<Units*>(userdata);
    int starts = 0;
    if (sd_bus_message_read(signal, "b", &starts) < 0)
        return 0;
    self.reloading_ = starts != 0;
    if (!self.reloading_ && !self.first_look_)
        self.look_at_all();
    return 0;
}

/// The unit's own changes were sent before this; one that is not known yet is asked first.
int Units::on_job_removed(sd_bus_message* signal, void* userdata, sd_bus_error*) noexcept {
    auto& self = *static_cast<Units*>(userdata);
    const char *job = nullptr, *unit = nullptr, *result = nullptr;
    if (sd_bus_message_read(signal, "uoss", nullptr, &job, &unit, &result) < 0)
        return 0;
    std::vector<JobEnd> ends;
    const auto [first, last] = self.jobs_.equal_range(job);
    for (auto at = first; at != last; ++at)
        ends.push_back(std::move(at->second));
    self.jobs_.erase(first, last);
    if (ends.empty())
        return 0;
    const auto tell = [ends = std::move(ends), result = std::string{result}] {
        for (const auto& end : ends)
            end(result);
    };
    if (container_of(unit).empty() || self.facts_.contains(container_of(unit)))
        tell();
    else
        self.load(container_of(unit), tell);
    return 0;
}

void Units::queue_job(const char* method, const std::string& container, JobEnd end, const char* mode) {
    BusMessage message = new_call(manager_path, manager, method);
    if (message && sd_bus_message_append(message.get(), "ss", unit_of(container).c_str(), mode) < 0)
        message.reset();
    await_job(std::move(message), unit_of(container), std::move(end));
}

void Units::make_scope(const ScopeRequest& request, pid_t pid, JobEnd end) {
    BusMessage message = new_call(manager_path, manager, "StartTransientUnit");
    if (message && append_scope(message.get(), request, pid) < 0)
        message.reset();
    await_job(std::move(message), request.unit, std::move(end));
}

void Units::stop_scope(const std::string& scope) {
    BusMessage message = new_call(manager_path, manager, "StopUnit");
    if (message && sd_bus_message_append(message.get(), "ss", scope.c_str(), "replace") < 0)
        message.reset();
    call(std::move(message), "unit '" + scope + "'", [](sd_bus_message*, const Error*) {});
}

void Units::await_job(BusMessage message, const std::string& unit, JobEnd end) {
    call(std::move(message), "unit '" + unit + "'",
         [this, end = std::move(end)](sd_bus_message* reply, const Error* error) {
             const char* job = nullptr;
             if (error != nullptr)
                 return end(fail(*error));
             if (const int r = sd_bus_message_read(reply, "o", &job); r < 0)
                 return end(fail(os_error(-r, "cannot read systemd's answer")));
             jobs_.emplace(job, end); // its JobRemoved can't have come before this answer
         });
}

void Units::kill_all(const std::string& container, int signal, Done done) {
    BusMessage message = new_call(manager_path, manager, "KillUnit");
    if (message && sd_bus_message_append(message.get(), "ssi", unit_of(container).c_str(), "all", signal) < 0)
        message.reset();
    call(std::move(message), "unit '" + unit_of(container) + "'",
         [done = std::move(done)](sd_bus_message*, const Error* error) {
             done(error == nullptr ? Result<void>{} : fail(*error));
         });
}

/// systemd does not announce the freezer's state: it is asked for. Of two such calls that overtake each other it
/// forgets to answer one, so this one has an end of its own.
void Units::set_frozen(const char* method, const std::string& container, Done done) {
    BusMessage message = new_call(manager_path, manager, method);
    if (message && sd_bus_message_append(message.get(), "s", unit_of(container).c_str()) < 0)
        message.reset();
    call(
        std::move(message), "unit '" + unit_of(container) + "'",
        [this, container, done = std::move(done)](sd_bus_message*, const Error* error) {
            const Result<void> result = error == nullptr ? Result<void>{} : fail(*error);
            load(container, [done, result] { done(result); });
        },
        freezer_time);
}

void Units::set_properties(const std::string& container, bool runtime, const std::vector<UnitProperty>& properties,
                           Done done) {
    BusMessage message = new_call(manager_path, manager, "SetUnitProperties");
    int r = message ? sd_bus_message_append(message.get(), "sb", unit_of(container).c_str(), int{runtime}) : -ENOMEM;
    if (r >= 0)
        r = sd_bus_message_open_container(message.get(), 'a', "(sv)");
    for (const auto& [name, value] : properties)
        if (r >= 0)
            r = sd_bus_message_append(message.get(), "(sv)", name.c_str(), "t", value);
    if (r >= 0)
        r = sd_bus_message_close_container(message.get());
    if (r < 0)
        message.reset();
    call(std::move(message), "unit '" + unit_of(container) + "'",
         [done = std::move(done)](sd_bus_message*, const Error* error) {
             done(error == nullptr ? Result<void>{} : fail(*error));
         });
}

} // namespace ctrd::systemd
