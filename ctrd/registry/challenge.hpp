// What a server says in WWW-Authenticate about how it wants to be asked. The header comes from anybody: it is bounded,
// and a value with control characters is refused before it can become part of a request.
#pragma once

#include "ctrd/base/result.hpp"

#include <map>
#include <vector>

namespace ctrd::registry {

struct Challenge {
    std::string scheme{};                        // in lower case: "bearer", "basic"
    std::map<std::string, std::string> values{}; // by name in lower case: "realm", "service", "scope"

    [[nodiscard]] std::string value(const std::string& name) const;
};

/// All challenges of one header's value, in their order.
Result<std::vector<Challenge>> parse_challenges(std::string_view header);

} // namespace ctrd::registry
