#include "config/seccomp.hpp"

#include "config/seccomp_default.hpp"

#include <algorithm>

namespace ctrd::config {
namespace {

using Json = nlohmann::json;

#if defined(__x86_64__)
constexpr const char* architecture = "x86_64";
#elif defined(__aarch64__)
constexpr const char* architecture = "aarch64";
#else
#error "seccomp-default.json has no architectures for this machine"
#endif

bool made_pointless(const Json& rule, const std::vector<std::string>& held) {
    if (!rule.contains("unless"))
        return false;
    const auto capabilities = rule["unless"].get<std::vector<std::string>>();
    return std::ranges::find_first_of(capabilities, held) != capabilities.end();
}

/// One rule of the runtime spec for each alternative: the conditions inside one must all hold, rules add up.
void add_rules(Json& syscalls, const Json& rule) {
    Json plain{{"names", rule["names"]}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", rule["errno"]}};
    if (!rule.contains("anyOf")) {
        syscalls.push_back(std::move(plain));
        return;
    }
    for (const auto& condition : rule["anyOf"]) {
        Json one = plain;
        one["args"] = Json::array({condition});
        syscalls.push_back(std::move(one));
    }
}

} // namespace

Result<Json> default_seccomp(const std::vector<std::string>& held_capabilities) {
    const Json data = Json::parse(seccomp_default_text, nullptr, false);
    if (data.is_discarded())
        return fail(bad_input("the built-in seccomp profile is damaged"));
    Json syscalls = Json::array();
    for (const auto& rule : data["rules"])
        if (!made_pointless(rule, held_capabilities))
            add_rules(syscalls, rule);
    return Json{{"defaultAction", data["defaultAction"]},
                {"architectures", data["architectures"][architecture]},
                {"syscalls", std::move(syscalls)}};
}

Result<Json> parse_seccomp_profile(const std::string& text) {
    const auto not_a_profile = [](std::string_view why) {
        return fail(bad_input(why, "it must hold what 'linux.seccomp' of the OCI runtime spec holds"));
    };
    Json profile = Json::parse(text, nullptr, false);
    if (!profile.is_object())
        return not_a_profile("the file is no JSON object");
    if (!profile.contains("defaultAction"))
        return not_a_profile("'defaultAction' is missing");
    if (profile.contains("archMap"))
        return not_a_profile("the file is in Docker's own format ('archMap'), which depends on the machine");
    if (profile.contains("syscalls") && profile["syscalls"].is_array())
        for (const auto& rule : profile["syscalls"])
            for (const char* key : {"includes", "excludes"})
                if (rule.is_object() && rule.contains(key) && !rule[key].empty())
                    return not_a_profile("the file is in Docker's own format ('" + std::string{key} +
                                         "'), which depends on the machine");
    return profile;
}

} // namespace ctrd::config
