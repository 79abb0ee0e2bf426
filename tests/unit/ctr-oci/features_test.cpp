#include "tools/ctr-oci/features.hpp"

#include "ctrd/oci/names.hpp"
#include "ctrd/oci/parse.hpp"
#include "ctrd/plan/mount_options.hpp"
#include "ctrd/runtime/seccomp.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;
using Json = nlohmann::json;

namespace {

Json config() {
    return {{"ociVersion", "1.3.0"}, {"root", {{"path", "/"}}}, {"process", {{"args", {"sh"}}, {"cwd", "/"}}}};
}

} // namespace

TEST_CASE("each feature that is named is one that a configuration may ask for", "[features]") {
    const auto features = ctr_oci::features_json();
    for (const char* key : {"ociVersionMin", "ociVersionMax"}) {
        auto json = config();
        json["ociVersion"] = features[key];
        CHECK(oci::parse(json.dump()).has_value());
    }
    for (const std::string name : features["linux"]["namespaces"])
        CHECK(oci::namespace_flag(name).has_value());
    for (const std::string name : features["linux"]["capabilities"])
        CHECK(oci::capability_number(name).has_value());
    CHECK(features["linux"]["capabilities"].size() >= 41);
    for (const std::string mode : features["linux"]["memoryPolicy"]["modes"]) {
        auto json = config();
        json["linux"]["memoryPolicy"] = {{"mode", mode}};
        if (mode != "MPOL_DEFAULT" && mode != "MPOL_LOCAL")
            json["linux"]["memoryPolicy"]["nodes"] = "0";
        CHECK(oci::parse(json.dump()).has_value());
    }
    auto hooks = config();
    for (const std::string name : features["hooks"])
        hooks["hooks"][name] = Json::array();
    CHECK(oci::parse(hooks.dump()).has_value());
}

TEST_CASE("each mount option that is named is ours, not one for a file system", "[features]") {
    const auto features = ctr_oci::features_json();
    CHECK(features["mountOptions"].size() > 50);
    for (const std::string option : features["mountOptions"]) {
        const auto parsed = plan::parse_mount_options({"/d", "", "/s", {option, "bind"}, {}, {}});
        INFO(option);
        REQUIRE(parsed.has_value());
        CHECK(parsed->data.empty());
    }
}

TEST_CASE("each word of a seccomp profile that is named compiles", "[features]") {
    const auto known = ctr_oci::features_json()["linux"]["seccomp"];
    for (const std::string action : known["actions"]) {
        oci::Seccomp seccomp;
        seccomp.default_action = "SCMP_ACT_ALLOW";
        // An action that is the default already is no rule to libseccomp.
        seccomp.rules = {{{"mkdir"}, action == "SCMP_ACT_ALLOW" ? "SCMP_ACT_LOG" : action, {}, {}}};
        CHECK(runtime::compile_seccomp(seccomp).has_value());
    }
    for (const std::string op : known["operators"]) {
        oci::Seccomp seccomp;
        seccomp.default_action = "SCMP_ACT_ALLOW";
        seccomp.rules = {{{"personality"}, "SCMP_ACT_ERRNO", {}, {{0, 1, 0, op}}}};
        CHECK(runtime::compile_seccomp(seccomp).has_value());
    }
    for (const std::string arch : known["archs"]) {
        oci::Seccomp seccomp;
        seccomp.default_action = "SCMP_ACT_ALLOW";
        seccomp.architectures = {arch};
        const auto compiled = runtime::compile_seccomp(seccomp);
        // Architectures of the other byte order can't be in one filter with ours.
        CHECK((compiled || compiled.error().message.find("is not a") == std::string::npos));
    }
    for (const std::string flag : known["supportedFlags"]) {
        oci::Seccomp seccomp;
        seccomp.default_action = "SCMP_ACT_ALLOW";
        seccomp.flags = {flag};
        CHECK(runtime::compile_seccomp(seccomp).has_value());
    }
}
