#include "ctrd/bus/live_properties.hpp"

#include <algorithm>
#include <array>

namespace ctrd::bus {
namespace {

constexpr std::uint64_t infinity = UINT64_MAX;

/// Nothing else gets through: many of systemd's other properties would be a way to run something as root.
struct Settable {
    std::string_view name;
    std::uint64_t least;
    std::uint64_t most; // infinity is always allowed, and means "no limit", or for a weight "the default"
};
constexpr std::array settable{
    Settable{"MemoryMin", 0, infinity},          Settable{"MemoryLow", 0, infinity},
    Settable{"MemoryHigh", 1, infinity},         Settable{"MemoryMax", 1, infinity},
    Settable{"MemorySwapMax", 0, infinity},      Settable{"CPUWeight", 1, 10'000},
    Settable{"CPUQuotaPerSecUSec", 1, infinity}, Settable{"IOWeight", 1, 10'000},
    Settable{"TasksMax", 1, infinity},
};

} // namespace

Result<void> check_live_property(const systemd::UnitProperty& property) {
    const auto known = std::ranges::find(settable, property.name, &Settable::name);
    if (known == settable.end())
        return fail(bad_input("property '" + printable(property.name) + "' can't be set on a running container",
                              "there are MemoryMin, MemoryLow, MemoryHigh, MemoryMax, MemorySwapMax, CPUWeight, "
                              "CPUQuotaPerSecUSec, IOWeight and TasksMax"));
    if (property.value != infinity && (property.value < known->least || property.value > known->most))
        return fail(bad_input(property.name + " can't be " + std::to_string(property.value)));
    return {};
}

Result<std::vector<systemd::UnitProperty>> read_live_properties(sd_bus_message* call) {
    std::vector<systemd::UnitProperty> properties;
    int r = sd_bus_message_enter_container(call, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
        const char* name = nullptr;
        if ((r = sd_bus_message_read(call, "s", &name)) < 0)
            break;
        systemd::UnitProperty property{name, 0};
        TRY_VOID(check_live_property({property.name, infinity})); // the name first: its type may be any
        if (sd_bus_message_read(call, "v", "t", &property.value) < 0)
            return fail(bad_input("property '" + property.name + "' has the wrong type", "it is a number, 't'"));
        TRY_VOID(check_live_property(property));
        if (std::ranges::find(properties, property.name, &systemd::UnitProperty::name) != properties.end())
            return fail(bad_input("property '" + property.name + "' is given twice"));
        properties.push_back(std::move(property));
        r = sd_bus_message_exit_container(call);
    }
    if (r < 0 || sd_bus_message_exit_container(call) < 0)
        return fail(bad_input("malformed properties"));
    if (properties.empty())
        return fail(bad_input("no property is given"));
    return properties;
}

} // namespace ctrd::bus
