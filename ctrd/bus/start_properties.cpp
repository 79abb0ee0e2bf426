#include "ctrd/bus/start_properties.hpp"

#include "ctrd/activation/starts.hpp"
#include "ctrd/activation/traffic.hpp"
#include "ctrd/bus/log.hpp"

namespace ctrd::bus {
namespace {

std::uint64_t part_of(const activation::Starts& starts, double part) {
    return static_cast<std::uint64_t>(activation::percentile(starts.times, part).count());
}

int append_failures(sd_bus_message* reply, const activation::Starts& starts) {
    int r = sd_bus_message_open_container(reply, 'a', "(ts)");
    for (const auto& failed : starts.reasons)
        if (r >= 0)
            r = sd_bus_message_append(reply, "(ts)", failed.when, failed.reason.c_str());
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

} // namespace

int append_starts(sd_bus_message* reply, const std::string& container) {
    auto starts = activation::read_starts(container);
    if (!starts)
        log_warning(std::move(starts).context("container '" + container + "'").error());
    const activation::Starts known = starts ? *std::move(starts) : activation::Starts{};
    int r = sd_bus_message_open_container(reply, 'r', "tt(ttt)a(ts)");
    if (r >= 0)
        r = sd_bus_message_append(reply, "tt(ttt)", known.succeeded, known.failed, part_of(known, 0.5),
                                  part_of(known, 0.9), part_of(known, 0.99));
    if (r >= 0)
        r = append_failures(reply, known);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

int append_connections(sd_bus_message* reply, const std::string& container) {
    activation::OpenConnections open;
    if (const auto record = activation::read_record(container); record && record->socket_cgroup != 0)
        if (auto looked = activation::open_connections(*record))
            open = *looked;
    return sd_bus_message_append(reply, "(uu)", open.accepted, open.queued);
}

} // namespace ctrd::bus
