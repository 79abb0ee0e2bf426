#include "ctrd/oci/parse.hpp"

#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>
#include <sched.h>
#include <sys/resource.h>

using namespace ctrd;
using Json = nlohmann::json;

namespace {

Json minimal() {
    return {{"ociVersion", "1.0.2"},
            {"root", {{"path", "rootfs"}}},
            {"process", {{"args", {"sh"}}, {"cwd", "/"}, {"user", {{"uid", 0}, {"gid", 0}}}}}};
}

std::string error_of(const Json& json) {
    const auto spec = oci::parse(json.dump());
    return spec ? "" : spec.error().message;
}

} // namespace

TEST_CASE("the smallest valid configuration is taken", "[oci]") {
    const auto spec = oci::parse(minimal().dump());
    REQUIRE(spec.has_value());
    CHECK(spec->root_path == "rootfs");
    CHECK(spec->process->args == std::vector<std::string>{"sh"});
    CHECK_FALSE(spec->process->capabilities.has_value());
}

TEST_CASE("text that is no JSON is refused with line and column", "[oci]") {
    const auto spec = oci::parse("{\n  \"ociVersion\": \"1.0.2\",\n  \"root\": oops\n}");
    REQUIRE_FALSE(spec.has_value());
    CHECK(spec.error().message.starts_with("line 3, column "));
}

TEST_CASE("a document that is nested without end does not reach the parser's stack", "[oci]") {
    CHECK_FALSE(oci::parse(std::string(1 << 20, '[')).has_value());
    CHECK_FALSE(oci::parse(std::string(oci::max_config_size + 1, ' ')).has_value());
}

TEST_CASE("what the spec has and this version has not is refused by name, unless it is empty", "[oci]") {
    auto json = minimal();
    json["hooks"] = {{"prestart", {{{"path", "/bin/true"}}}}};
    CHECK(error_of(json) == "hooks.prestart is not supported by this version of ctrd");
    json["hooks"] = {{"prestart", Json::array()}};
    CHECK(error_of(json).empty());
    json["linux"]["intelRdt"] = {{"closID", "x"}};
    CHECK(error_of(json) == "linux.intelRdt is not supported by this version of ctrd");
    json["linux"] = {{"resources", {{"blockIO", {{"weight", 10}}}}}};
    CHECK(error_of(json) == "linux.resources.blockIO is not supported by this version of ctrd");
    json["linux"] = {{"seccomp", {{"defaultAction", "SCMP_ACT_ALLOW"}, {"listenerPath", "/x"}}}};
    CHECK(error_of(json) == "linux.seccomp.listenerPath is not supported by this version of ctrd");
    json["linux"] = Json::object();
    json["process"]["selinuxLabel"] = "system_u";
    CHECK(error_of(json) == "process.selinuxLabel is not supported by this version of ctrd");
}

TEST_CASE("unknown properties are ignored, as the spec demands", "[oci]") {
    auto json = minimal();
    json["x-vendor"] = {{"a", 1}};
    CHECK(error_of(json).empty());
}

TEST_CASE("ids outside 32 bits never wrap around to root", "[oci]") {
    auto json = minimal();
    for (const Json& id : {Json(4294967296), Json(4294967295), Json(-1), Json(0.5), Json("0"), Json(true)}) {
        json["process"]["user"]["uid"] = id;
        CHECK_FALSE(error_of(json).empty());
    }
    json["process"]["user"] = {{"uid", 4294967294}, {"gid", 5}, {"additionalGids", {7, 8}}};
    CHECK(error_of(json).empty());
    json["process"]["user"]["additionalGids"] = {4294967295};
    CHECK_FALSE(error_of(json).empty());
}

TEST_CASE("an environment entry without a name or '=' is refused", "[oci]") {
    auto json = minimal();
    json["process"]["env"] = {"PATH=/bin", "HOME"};
    CHECK(error_of(json).find("process.env[1]") != std::string::npos);
    json["process"]["env"] = {"=x"};
    CHECK_FALSE(error_of(json).empty());
}

TEST_CASE("a NUL byte in a string is refused wherever it stands", "[oci]") {
    auto json = minimal();
    json["process"]["args"] = {std::string("sh\0-c", 5)};
    CHECK_FALSE(error_of(json).empty());
    json = minimal();
    json["process"]["cwd"] = std::string("/\0x", 3);
    CHECK_FALSE(error_of(json).empty());
}

TEST_CASE("capabilities, limits and namespaces are taken by their kernel names", "[oci]") {
    auto json = minimal();
    json["process"]["capabilities"] = {
        {"bounding", {"CAP_CHOWN", "CAP_KILL"}}, {"effective", {"CAP_KILL"}}, {"permitted", {"CAP_KILL"}}};
    json["process"]["rlimits"] = {{{"type", "RLIMIT_NOFILE"}, {"soft", 10}, {"hard", 20}}};
    json["linux"] = {{"namespaces", {{{"type", "pid"}}, {{"type", "network"}, {"path", "/run/netns/x"}}}}};
    const auto spec = oci::parse(json.dump());
    REQUIRE(spec.has_value());
    CHECK(spec->process->capabilities->bounding == ((1U << 0) | (1U << 5)));
    CHECK(spec->process->rlimits[0].resource == RLIMIT_NOFILE);
    CHECK(spec->namespaces[0].clone_flag == CLONE_NEWPID);
    CHECK(spec->namespaces[1].path == "/run/netns/x");
}

TEST_CASE("misspelt kernel names, doubles and impossible pairs are refused", "[oci]") {
    auto json = minimal();
    json["process"]["capabilities"] = {{"bounding", {"CAP_CHWON"}}};
    CHECK_FALSE(error_of(json).empty());
    json["process"]["capabilities"] = {{"effective", {"CAP_KILL"}}};
    CHECK_FALSE(error_of(json).empty());
    json = minimal();
    json["process"]["rlimits"] = {{{"type", "RLIMIT_NOFILE"}, {"soft", 30}, {"hard", 20}}};
    CHECK_FALSE(error_of(json).empty());
    json = minimal();
    json["linux"] = {{"namespaces", {{{"type", "pid"}}, {{"type", "pid"}}}}};
    CHECK_FALSE(error_of(json).empty());
}

TEST_CASE("a process without a program, and a relative working directory, are refused", "[oci]") {
    auto json = minimal();
    json["process"]["args"] = Json::array();
    CHECK(error_of(json) == "process.args names no program");
    json = minimal();
    json["process"]["cwd"] = "tmp";
    CHECK_FALSE(error_of(json).empty());
}

TEST_CASE("a version 2 of the spec is refused, a later version 1 is taken", "[oci]") {
    auto json = minimal();
    json["ociVersion"] = "2.0.0";
    CHECK_FALSE(error_of(json).empty());
    json["ociVersion"] = "1.9.0";
    CHECK(error_of(json).empty());
}

TEST_CASE("unified cgroup files can't name anything but a file of the cgroup's own folder", "[oci]") {
    auto json = minimal();
    for (const char* bad : {"../memory.max", "a/b.c", "memory", ".x", ""}) {
        json["linux"] = {{"resources", {{"unified", {{bad, "1"}}}}}};
        CHECK_FALSE(error_of(json).empty());
    }
    json["linux"] = {{"resources", {{"unified", {{"memory.high", "1"}}}}}};
    CHECK(error_of(json).empty());
}
