#include "ctrd/bus/waits.hpp"

#include "ctrd/bus/log.hpp"
#include "ctrd/bus/reply.hpp"

#include <algorithm>

namespace ctrd::bus {
namespace {

constexpr std::size_t most_of_all = 1024;
constexpr std::ptrdiff_t most_of_a_user = 64;

bool is_at_rest(const systemd::UnitFacts& unit) { return unit.active == "inactive" || unit.active == "failed"; }

int answer(sd_bus_message* call, const systemd::UnitFacts& unit) {
    const int r = sd_bus_reply_method_return(call, "sii", state_of(unit), unit.main_code, unit.main_status);
    if (r < 0)
        log_warning(os_error(-r, "cannot answer a call of Wait"));
    return 1;
}

} // namespace

struct Waits::Waiting {
    systemd::BusMessage call{};
    CallerRef caller{};
};

Waits::Waits(const Registry& registry, Callers& callers) : registry_{registry}, callers_{callers} {}
Waits::~Waits() = default;

int Waits::add(sd_bus_message* call, const std::string& container) {
    const Container* known = registry_.find(container);
    if (known == nullptr)
        return reply_no_such_container(call, container);
    if (is_at_rest(known->unit))
        return answer(call, known->unit);
    return callers_.identify(call, [this, container](sd_bus_message* message, const CallerRef& caller) {
        keep(message, caller, container);
    });
}

/// It may have ended while the bus was asked.
void Waits::keep(sd_bus_message* call, const CallerRef& caller, const std::string& container) {
    if (const systemd::UnitFacts unit = registry_.unit(container); is_at_rest(unit)) {
        answer(call, unit);
        return;
    }
    const auto of_caller =
        std::ranges::count_if(waiting_, [&](const auto& one) { return one.second->caller->uid() == caller->uid(); });
    if (waiting_.size() >= most_of_all || (caller->uid() != 0 && of_caller >= most_of_a_user)) {
        reply_error(call, error_name::limits_exceeded, bad_input("too many calls wait for containers already"));
        return;
    }
    auto waiting = std::make_unique<Waiting>(Waiting{systemd::keep(call), caller});
    caller->on_gone([this, kept = waiting.get()] { on_caller_gone(kept); });
    waiting_.emplace(container, std::move(waiting));
}

void Waits::changed(const Container& container) {
    if (!is_at_rest(container.unit))
        return;
    const auto [first, last] = waiting_.equal_range(container.name);
    for (auto at = first; at != last; ++at)
        answer(at->second->call.get(), container.unit);
    waiting_.erase(first, last);
}

void Waits::on_caller_gone(const Waiting* gone) {
    std::erase_if(waiting_, [&](const auto& one) { return one.second.get() == gone; });
}

} // namespace ctrd::bus
