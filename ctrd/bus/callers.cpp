#include "ctrd/bus/callers.hpp"

#include "ctrd/bus/log.hpp"
#include "ctrd/bus/reply.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

namespace ctrd::bus {
namespace {

constexpr const char* daemon_name = "org.freedesktop.DBus";
constexpr const char* daemon_path = "/org/freedesktop/DBus";
// One rule for all: the bus gives a connection 512.
constexpr const char* who_leaves = "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                                   "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''";
/// The bus drops signals for who has a full queue, and a few callers with descriptors fill ours: so it is asked, too.
constexpr std::uint64_t look_interval = 15'000'000;
/// It drops its own answers then as well, and tells nobody: it is asked once more.
constexpr std::uint64_t answer_time = 5'000'000;
constexpr unsigned most_attempts = 12;

} // namespace

Caller::Caller(Callers& callers, std::string name)
    : callers_{callers}, name_{std::move(name)}, number_{callers.next_number_++} {
    callers_.known_.insert(this);
}

Caller::~Caller() { callers_.forget(this); }

struct Callers::Question {
    Callers* callers{nullptr};
    systemd::BusMessage call{};
    CallerRef caller{};
    Then then{};
    systemd::BusSlot slot{};
    unsigned attempts{0};
};

Callers::Callers(sd_bus* bus) : bus_{bus} {}
Callers::~Callers() = default;

int Callers::identify(sd_bus_message* call, Then then) {
    const char* sender = sd_bus_message_get_sender(call);
    if (sender == nullptr)
        return reply_error(call, error_name::access_denied, os_error(ENODATA, "cannot tell who is calling"));
    watch(); // before the question: who is there when it is answered is seen leaving
    auto caller = std::make_shared<Caller>(*this, sender);
    auto asked =
        ask(std::make_unique<Question>(Question{this, systemd::keep(call), std::move(caller), std::move(then), {}}));
    return asked ? 1 : reply_error(call, error_name::failed, asked.error());
}

Result<void> Callers::ask(std::unique_ptr<Question> question) {
    sd_bus_slot* slot = nullptr;
    sd_bus_message* raw = nullptr;
    int r = sd_bus_message_new_method_call(bus_, &raw, daemon_name, daemon_path, daemon_name, "GetConnectionUnixUser");
    const systemd::BusMessage message{raw};
    if (r >= 0)
        r = sd_bus_message_append(raw, "s", question->caller->name().c_str());
    if (r >= 0)
        r = sd_bus_call_async(bus_, &slot, raw, on_answer, question.get(), answer_time);
    if (r < 0)
        return fail(os_error(-r, "cannot ask the bus who is calling"));
    question->slot.reset(slot);
    ++question->attempts;
    question->caller->on_gone([this, asked = question.get()] { take(asked); });
    questions_.insert(std::move(question));
    return {};
}

void Callers::ask_again(std::unique_ptr<Question> question) {
    const systemd::BusMessage call = systemd::keep(question->call.get());
    auto asked = question->attempts < most_attempts
                     ? ask(std::move(question))
                     : fail(bad_input("the bus did not say who is calling", "too many calls wait for ctrd: try again"));
    if (!asked)
        reply_error(call.get(), error_name::limits_exceeded, asked.error());
}

std::unique_ptr<Callers::Question> Callers::take(const Question* question) {
    const auto at = std::ranges::find(questions_, question, &std::unique_ptr<Question>::get);
    auto taken = std::move(questions_.extract(at).value());
    taken->caller->on_gone({});
    return taken;
}

int Callers::on_answer(sd_bus_message* answer, void* userdata, sd_bus_error*) noexcept {
    const auto* raw = static_cast<Question*>(userdata);
    auto question = raw->callers->take(raw);
    std::uint32_t uid = 0;
    if (sd_bus_message_is_method_error(answer, SD_BUS_ERROR_NO_REPLY) != 0) {
        question->callers->ask_again(std::move(question));
        return 0;
    }
    if (sd_bus_message_is_method_error(answer, nullptr) != 0)
        return 0; // gone: nobody waits for an answer
    if (const int r = sd_bus_message_read(answer, "u", &uid); r < 0) {
        reply_error(question->call.get(), error_name::access_denied, os_error(-r, "cannot tell who is calling"));
        return 0;
    }
    question->caller->uid_ = uid;
    question->then(question->call.get(), question->caller);
    return 0;
}

void Callers::watch() {
    if (watch_)
        return;
    sd_bus_slot* slot = nullptr;
    if (const int r = sd_bus_add_match_async(bus_, &slot, who_leaves, on_left, on_watched, this); r < 0)
        log_warning(os_error(-r, "cannot watch who leaves the bus"));
    watch_.reset(slot);
    look_later();
}

void Callers::look_later() {
    sd_event_source* source = nullptr;
    if (sd_event_add_time_relative(sd_bus_get_event(bus_), &source, CLOCK_MONOTONIC, look_interval, 1'000'000, on_time,
                                   this) >= 0)
        look_.reset(source);
}

int Callers::on_time(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    auto& callers = *static_cast<Callers*>(userdata);
    sd_bus_slot* slot = nullptr;
    if (sd_bus_call_method_async(callers.bus_, &slot, daemon_name, daemon_path, daemon_name, "ListNames", on_names,
                                 userdata, "") >= 0) {
        callers.names_.reset(slot);
        callers.asked_for_ = callers.next_number_;
    }
    callers.look_later();
    return 0;
}

int Callers::on_names(sd_bus_message* answer, void* userdata, sd_bus_error*) noexcept {
    std::set<std::string, std::less<>> there;
    const char* name = nullptr;
    if (sd_bus_message_is_method_error(answer, nullptr) != 0 || sd_bus_message_enter_container(answer, 'a', "s") < 0)
        return 0;
    while (sd_bus_message_read(answer, "s", &name) > 0)
        there.emplace(name);
    auto& callers = *static_cast<Callers*>(userdata);
    callers.tell_gone(
        [&](const Caller& caller) { return caller.number_ < callers.asked_for_ && !there.contains(caller.name_); });
    return 0;
}

/// Without a handler of our own sd-bus would give the connection up.
int Callers::on_watched(sd_bus_message* answer, void*, sd_bus_error*) noexcept {
    if (sd_bus_message_is_method_error(answer, nullptr) != 0)
        log_warning(systemd::error_of(answer, "cannot watch who leaves the bus"));
    return 0;
}

void Callers::forget(Caller* caller) {
    known_.erase(caller);
    if (!known_.empty())
        return;
    watch_.reset();
    look_.reset();
    names_.reset();
}

int Callers::on_left(sd_bus_message* signal, void* userdata, sd_bus_error*) noexcept {
    const char* name = nullptr;
    if (sd_bus_message_read(signal, "s", &name) < 0)
        return 0;
    static_cast<Callers*>(userdata)->tell_gone([&](const Caller& caller) { return caller.name() == name; });
    return 0;
}

template <class Is> void Callers::tell_gone(const Is& is_gone) {
    std::vector<CallerRef> gone; // held: what is told to them may be the end of their calls
    for (Caller* caller : known_)
        if (is_gone(*caller))
            gone.push_back(caller->shared_from_this());
    for (const auto& caller : gone)
        if (const auto tell = std::exchange(caller->gone_, {}))
            tell();
}

} // namespace ctrd::bus
