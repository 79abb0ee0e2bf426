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
constexpr std::uint64_t no_time_limit = UINT64_MAX; // the bus answers, or it is gone and so are we

} // namespace

Caller::Caller(Callers& callers, std::string name) : callers_{callers}, name_{std::move(name)} {
    callers_.known_.insert(this);
}

Caller::~Caller() { callers_.forget(this); }

struct Callers::Question {
    Callers* callers{nullptr};
    systemd::BusMessage call{};
    CallerRef caller{};
    Then then{};
    systemd::BusSlot slot{};
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
        r = sd_bus_call_async(bus_, &slot, raw, on_answer, question.get(), no_time_limit);
    if (r < 0)
        return fail(os_error(-r, "cannot ask the bus who is calling"));
    question->slot.reset(slot);
    questions_.insert(std::move(question));
    return {};
}

int Callers::on_answer(sd_bus_message* answer, void* userdata, sd_bus_error*) noexcept {
    auto* raw = static_cast<Question*>(userdata);
    auto& questions = raw->callers->questions_;
    const auto at = std::ranges::find(questions, raw, &std::unique_ptr<Question>::get);
    const auto question = std::move(questions.extract(at).value());
    std::uint32_t uid = 0;
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
}

/// Without a handler of our own sd-bus would give the connection up.
int Callers::on_watched(sd_bus_message* answer, void*, sd_bus_error*) noexcept {
    if (sd_bus_message_is_method_error(answer, nullptr) != 0)
        log_warning(systemd::error_of(answer, "cannot watch who leaves the bus"));
    return 0;
}

void Callers::forget(Caller* caller) {
    known_.erase(caller);
    if (known_.empty())
        watch_.reset();
}

int Callers::on_left(sd_bus_message* signal, void* userdata, sd_bus_error*) noexcept {
    const char* name = nullptr;
    if (sd_bus_message_read(signal, "s", &name) < 0)
        return 0;
    std::vector<CallerRef> gone; // held: what is told to them may be the end of their calls
    for (Caller* caller : static_cast<Callers*>(userdata)->known_)
        if (caller->name() == name)
            gone.push_back(caller->shared_from_this());
    for (const auto& caller : gone)
        if (const auto tell = std::exchange(caller->gone_, {}))
            tell();
    return 0;
}

} // namespace ctrd::bus
