#include "ctrd/bus/scope_request.hpp"

#include <nlohmann/json.hpp>

namespace ctrd::bus {
namespace {

constexpr std::size_t most_properties = 128;

const std::string* text_of(const nlohmann::json& scope, const char* key) {
    const auto found = scope.find(key);
    return found == scope.end() ? nullptr : found->get_ptr<const std::string*>();
}

} // namespace

Result<systemd::ScopeRequest> parse_scope_request(const nlohmann::json& scope) {
    const auto malformed = [] { return fail(bad_input("malformed request for a scope")); };
    if (!scope.is_object())
        return malformed();
    const std::string* unit = text_of(scope, "unit");
    const std::string* slice = text_of(scope, "slice");
    const std::string* description = text_of(scope, "description");
    const auto properties = scope.find("properties");
    if (unit == nullptr || slice == nullptr || description == nullptr || !unit->ends_with(".scope") ||
        !slice->ends_with(".slice") || properties == scope.end() || !properties->is_array() ||
        properties->size() > most_properties)
        return malformed();
    systemd::ScopeRequest request{*unit, *slice, *description, {}};
    for (const auto& property : *properties) {
        if (!property.is_string())
            return malformed();
        request.properties.push_back(property.get<std::string>());
    }
    return request;
}

} // namespace ctrd::bus
