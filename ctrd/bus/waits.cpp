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
    Waits* owner{nullptr};
    systemd::BusMessage call{};
    systemd::BusTrack track{};
    uid_t caller{0};
};

Waits::Waits(const Registry& registry) : registry_{registry} {}
Waits::~Waits() = default;

int Waits::add(sd_bus_message* call, const std::string& container) {
    const Container* known = registry_.find(container);
    if (known == nullptr)
        return reply_no_such_container(call, container);
    if (is_at_rest(known->unit))
        return answer(call, known->unit);
    const auto caller = caller_of(call);
    if (!caller)
        return reply_error(call, error_name::access_denied, caller.error());
    const auto of_caller =
        std::ranges::count_if(waiting_, [&](const auto& one) { return one.second->caller == *caller; });
    if (waiting_.size() >= most_of_all || (*caller != 0 && of_caller >= most_of_a_user))
        return reply_error(call, error_name::limits_exceeded, bad_input("too many calls wait for containers already"));
    auto waiting = std::make_unique<Waiting>(Waiting{this, systemd::keep(call), {}, *caller});
    sd_bus_track* track = nullptr;
    int r = sd_bus_track_new(sd_bus_message_get_bus(call), &track, on_caller_gone, waiting.get());
    waiting->track.reset(track);
    if (r >= 0)
        r = sd_bus_track_add_sender(track, call);
    if (r < 0)
        return reply_error(call, error_name::failed, os_error(-r, "cannot watch the caller"));
    waiting_.emplace(container, std::move(waiting));
    return 1;
}

void Waits::changed(const Container& container) {
    if (!is_at_rest(container.unit))
        return;
    const auto [first, last] = waiting_.equal_range(container.name);
    for (auto at = first; at != last; ++at)
        answer(at->second->call.get(), container.unit);
    waiting_.erase(first, last);
}

int Waits::on_caller_gone(sd_bus_track*, void* userdata) noexcept {
    const auto* gone = static_cast<Waiting*>(userdata);
    auto& waiting = gone->owner->waiting_;
    std::erase_if(waiting, [&](const auto& one) { return one.second.get() == gone; });
    return 0;
}

} // namespace ctrd::bus
