// Fuzz target: auth.json, read for an image and changed by a log-in and a log-out.
#include "ctrd/registry/credentials.hpp"
#include "tests/fuzz/promise.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ctrd;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    const registry::Reference image{"r.example", "team/web", "1", {}};
    const auto found = registry::find_in_auth_json(text, image);
    if (found && found->credentials)
        fuzz::promise(found->helper.empty(), "there is one place for a password");
    const registry::Credentials ours{"me", "a:b", ""};
    const auto added = registry::changed_auth_json(text, "r.example/team/web", ours);
    if (!added)
        return 0;
    const auto again = registry::find_in_auth_json(*added, image);
    fuzz::promise(!again || !again->helper.empty() || again->credentials == ours, "a log-in is found again");
    const auto removed = registry::changed_auth_json(*added, "r.example/team/web", std::nullopt);
    fuzz::promise(removed.has_value(), "what was written can be changed");
    const auto left = registry::has_auth(*removed, "r.example/team/web");
    fuzz::promise(left && !*left, "nothing is left of a log-out");
    return 0;
}
