// What containers use, as text and as JSON. Pure.
#pragma once

#include "tools/ctrctl/client.hpp"
#include "tools/ctrctl/output.hpp"

#include <nlohmann/json_fwd.hpp>

namespace ctrd::ctl {

/// One container at one moment.
struct Sample {
    std::string name{};
    Use use{};
    std::uint64_t time{0}; // microseconds of a steady clock
};

/// "1.5G", "12.3M", "980K", "17B".
std::string describe_size(std::uint64_t bytes);

/// Of one look. `before`: the look before it, for the shares and rates; none for the first one.
std::string use_text(const std::vector<Sample>& now, const std::vector<Sample>& before, const Look& look);
nlohmann::json use_json(const std::vector<Sample>& now);

} // namespace ctrd::ctl
