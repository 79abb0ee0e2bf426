#include "machined-plugin/machines.hpp"

#include <algorithm>
#include <cerrno>

namespace ctrd::systemd {
namespace {

constexpr const char* service = "org.freedesktop.machine1";
constexpr const char* manager_path = "/org/freedesktop/machine1";
constexpr const char* manager = "org.freedesktop.machine1.Manager";
constexpr const char* own_service = "ctrd";
constexpr std::uint64_t answer_time = 90'000'000; // machined may be starting, on a busy machine

bool exists_already(sd_bus_message* reply) {
    return sd_bus_message_is_method_error(reply, "org.freedesktop.machine1.MachineExists") != 0 ||
           sd_bus_message_is_method_error(reply, "System.Error.EEXIST") != 0;
}

bool has_vanished(sd_bus_message* reply) {
    return sd_bus_message_is_method_error(reply, "org.freedesktop.machine1.NoSuchMachine") != 0 ||
           sd_bus_message_is_method_error(reply, "org.freedesktop.DBus.Error.UnknownObject") != 0;
}

bool is_not_installed(sd_bus_message* reply) {
    return sd_bus_message_is_method_error(reply, "org.freedesktop.DBus.Error.ServiceUnknown") != 0;
}

BusMessage new_call(sd_bus* bus, const char* path, const char* interface, const char* member) {
    sd_bus_message* raw = nullptr;
    sd_bus_message_new_method_call(bus, &raw, service, path, interface, member);
    return BusMessage{raw};
}

BusMessage named_call(sd_bus* bus, const char* member, const std::string& name) {
    BusMessage message = new_call(bus, manager_path, manager, member);
    if (message && sd_bus_message_append(message.get(), "s", name.c_str()) < 0)
        message.reset();
    return message;
}

struct Namesake {
    std::string service{};
    std::uint32_t leader{0};
};

int read_namesake(sd_bus_message* reply, Namesake& machine) {
    int r = sd_bus_message_enter_container(reply, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
        const char *name = nullptr, *text = nullptr;
        if ((r = sd_bus_message_read(reply, "s", &name)) < 0)
            return r;
        if (std::string_view{name} == "Leader")
            r = sd_bus_message_read(reply, "v", "u", &machine.leader);
        else if (std::string_view{name} == "Service" && (r = sd_bus_message_read(reply, "v", "s", &text)) >= 0)
            machine.service = text;
        else if (std::string_view{name} != "Service")
            r = sd_bus_message_skip(reply, "v");
        if (r >= 0)
            r = sd_bus_message_exit_container(reply);
    }
    return r;
}

} // namespace

/// One registration on its way, one call at a time.
struct Machines::Addition {
    Machines* machines{nullptr};
    Machine machine{};
    BusSlot slot{};
    Step next{nullptr};
    bool replaced{false}; // a machine of that name was removed before: only once
};

struct Machines::Removal {
    Machines* machines{nullptr};
    std::function<void()> removed{};
    BusSlot slot{};
};

Machines::Machines(sd_bus* bus, Finished finished) : bus_{bus}, finished_{std::move(finished)} {}
Machines::~Machines() = default;

void Machines::call(Addition& addition, BusMessage message, Step next) {
    sd_bus_slot* slot = nullptr;
    addition.next = next;
    const int r = message ? sd_bus_call_async(bus_, &slot, message.get(), on_reply, &addition, answer_time) : -ENOMEM;
    addition.slot.reset(slot);
    if (r < 0)
        finish(addition, fail(os_error(-r, "cannot ask systemd-machined")));
}

int Machines::on_reply(sd_bus_message* reply, void* userdata, sd_bus_error*) noexcept {
    auto& addition = *static_cast<Addition*>(userdata);
    (addition.machines->*addition.next)(addition, reply);
    return 0;
}

void Machines::finish(Addition& addition, Result<void> result) {
    const auto at = std::ranges::find(additions_, &addition, &std::unique_ptr<Addition>::get);
    const auto owner = std::move(additions_.extract(at).value());
    finished_(owner->machine, std::move(result));
}

void Machines::add(Machine machine) {
    auto addition = std::make_unique<Addition>();
    addition->machines = this;
    addition->machine = std::move(machine);
    auto& started = **additions_.insert(std::move(addition)).first;
    register_machine(started);
}

void Machines::remove(const std::string& name, std::function<void()> removed) {
    const BusMessage message = named_call(bus_, "UnregisterMachine", name);
    if (!message)
        return removed();
    sd_bus_message_set_auto_start(message.get(), 0);
    auto& removal = removals_.emplace_back(Removal{this, std::move(removed), {}});
    sd_bus_slot* slot = nullptr;
    const int r = sd_bus_call_async(bus_, &slot, message.get(), on_removed, &removal, answer_time);
    removal.slot.reset(slot);
    if (r < 0)
        on_removed(nullptr, &removal, nullptr);
}

int Machines::on_removed(sd_bus_message*, void* userdata, sd_bus_error*) noexcept {
    const auto& removal = *static_cast<Removal*>(userdata);
    auto& removals = removal.machines->removals_;
    removal.removed();
    removals.remove_if([&](const Removal& one) { return &one == &removal; });
    return 0;
}

void Machines::register_machine(Addition& addition) {
    const Machine& machine = addition.machine;
    BusMessage message = new_call(bus_, manager_path, manager, "RegisterMachine");
    int r = message ? sd_bus_message_append(message.get(), "s", machine.name.c_str()) : -ENOMEM;
    if (r >= 0)
        r = sd_bus_message_append_array(message.get(), 'y', machine.id.bytes, sizeof machine.id.bytes);
    if (r >= 0)
        r = sd_bus_message_append(message.get(), "ssus", own_service, "container",
                                  static_cast<std::uint32_t>(machine.leader), machine.root.c_str());
    if (r < 0)
        message.reset();
    call(addition, std::move(message), &Machines::on_registered);
}

void Machines::on_registered(Addition& addition, sd_bus_message* reply) {
    if (sd_bus_message_is_method_error(reply, nullptr) == 0)
        return finish(addition, {});
    if (exists_already(reply) && !addition.replaced)
        return call(addition, named_call(bus_, "GetMachine", addition.machine.name), &Machines::on_path);
    Error error = error_of(reply, "systemd-machined");
    if (is_not_installed(reply))
        error.code = std::errc::no_such_device_or_address;
    finish(addition, fail(std::move(error)));
}

void Machines::on_path(Addition& addition, sd_bus_message* reply) {
    const char* path = nullptr;
    if (sd_bus_message_is_method_error(reply, nullptr) != 0 || sd_bus_message_read(reply, "o", &path) < 0) {
        if (!has_vanished(reply))
            return finish(addition, fail(error_of(reply, "systemd-machined")));
        addition.replaced = true;
        return register_machine(addition);
    }
    BusMessage message = new_call(bus_, path, "org.freedesktop.DBus.Properties", "GetAll");
    if (message && sd_bus_message_append(message.get(), "s", "org.freedesktop.machine1.Machine") < 0)
        message.reset();
    call(addition, std::move(message), &Machines::on_namesake);
}

void Machines::on_namesake(Addition& addition, sd_bus_message* reply) {
    Namesake other;
    if (sd_bus_message_is_method_error(reply, nullptr) == 0 && read_namesake(reply, other) >= 0) {
        if (other.service != own_service)
            return finish(addition,
                          fail(Error{std::errc::file_exists,
                                     "'" + other.service + "' has registered a machine of that name already", ""}));
        if (static_cast<pid_t>(other.leader) == addition.machine.leader)
            return finish(addition, {});
    }
    addition.replaced = true;
    call(addition, named_call(bus_, "UnregisterMachine", addition.machine.name), &Machines::on_unregistered);
}

void Machines::on_unregistered(Addition& addition, sd_bus_message* reply) {
    if (sd_bus_message_is_method_error(reply, nullptr) != 0 && !has_vanished(reply))
        return finish(addition, fail(error_of(reply, "systemd-machined")));
    register_machine(addition);
}

} // namespace ctrd::systemd
