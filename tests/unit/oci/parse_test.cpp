#include "ctrd/oci/parse.hpp"
#include "ctrd/oci/parse_scheduling.hpp"

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

TEST_CASE("a number that nothing can hold is refused by itself", "[oci]") {
    const auto spec = oci::parse(R"({"ociVersion": "1.3.0", "x": 6E5536})");
    REQUIRE(!spec);
    CHECK(spec.error().message.find("too large: '6E5536'") != std::string::npos);
    CHECK(!oci::parse("666676666666e6666666"));
}

TEST_CASE("a document that is nested without end does not reach the parser's stack", "[oci]") {
    CHECK_FALSE(oci::parse(std::string(1 << 20, '[')).has_value());
    CHECK_FALSE(oci::parse(std::string(oci::max_config_size + 1, ' ')).has_value());
}

TEST_CASE("other systems' parts are refused by name, unless they are empty", "[oci]") {
    auto json = minimal();
    json["vm"] = {{"kernel", {{"path", "/x"}}}};
    CHECK(error_of(json) == "vm is not supported by this version of ctrd");
    json["vm"] = Json::object();
    CHECK(error_of(json).empty());
}

TEST_CASE("hooks have absolute paths and timeouts above 0, and prestart comes before createRuntime", "[oci]") {
    auto json = minimal();
    json["hooks"] = {{"createRuntime", {{{"path", "/b"}}}},
                     {"prestart", {{{"path", "/a"}, {"args", {"a", "1"}}, {"env", {"X=1"}}, {"timeout", 5}}}}};
    const auto spec = oci::parse(json.dump());
    REQUIRE(spec.has_value());
    REQUIRE(spec->hooks.create_runtime.size() == 2);
    CHECK(spec->hooks.create_runtime[0].path == "/a");
    CHECK(spec->hooks.create_runtime[0].timeout_seconds == 5U);
    CHECK(spec->hooks.create_runtime[1].path == "/b");
    json["hooks"]["prestart"][0]["timeout"] = 0;
    CHECK_FALSE(error_of(json).empty());
    json["hooks"]["prestart"][0]["timeout"] = -1;
    CHECK_FALSE(error_of(json).empty());
    json["hooks"] = {{"poststop", {{{"path", "x"}}}}};
    CHECK(error_of(json) == "hooks.poststop[0].path is not an absolute path: 'x'");
    json["hooks"] = {{"poststop", {{{"args", {"x"}}}}}};
    CHECK_FALSE(error_of(json).empty());
}

TEST_CASE("lists of processors and memory nodes", "[oci]") {
    const auto list = [](const char* text) { return oci::parse_number_list(text, "cpus"); };
    CHECK(list("0-3,7").value() == std::vector<unsigned>{0, 1, 2, 3, 7});
    CHECK(list("5,5,1").value() == std::vector<unsigned>{1, 5});
    CHECK(list("").value().empty());
    for (const char* bad : {"0-", "-1", "3-1", "1,", ",1", "a", "0-99999", "1 2", "1,,2", "99999999999"})
        CHECK_FALSE(list(bad).has_value());
}

TEST_CASE("what is asked of the scheduler is what the kernel has", "[oci]") {
    auto json = minimal();
    json["process"]["scheduler"] = {{"policy", "SCHED_FIFO"}, {"priority", 3}, {"flags", {"SCHED_FLAG_RESET_ON_FORK"}}};
    CHECK(error_of(json).empty());
    for (const Json& bad : {Json{{"policy", "SCHED_LUCK"}}, Json{{"policy", "SCHED_OTHER"}, {"nice", 20}},
                            Json{{"policy", "SCHED_OTHER"}, {"priority", 1}}, Json{{"policy", "SCHED_ISO"}},
                            Json{{"policy", "SCHED_RR"}, {"runtime", 1}}, Json{{"nice", 1}},
                            Json{{"policy", "SCHED_OTHER"}, {"flags", {"SCHED_FLAG_LUCK"}}}}) {
        json["process"]["scheduler"] = bad;
        CHECK_FALSE(error_of(json).empty());
    }
}

TEST_CASE("names of network devices are the kernel's, and a pattern stands at the end", "[oci]") {
    auto json = minimal();
    const auto device = [&](const char* host, const char* name) {
        json["linux"]["netDevices"] = {{host, {{"name", name}}}};
        return error_of(json).empty();
    };
    CHECK(device("eth0", ""));
    CHECK(device("eth0", "c%d"));
    CHECK_FALSE(device("eth%d", "c0"));
    CHECK_FALSE(device("eth0", "c%s"));
    CHECK_FALSE(device("eth0", "c%d%d"));
    CHECK_FALSE(device("eth0", "a/b"));
    CHECK_FALSE(device("..", ""));
    CHECK_FALSE(device("eth0", "sixteen-bytes-xx"));
}

TEST_CASE("a rule that notifies goes with somebody to notify", "[oci]") {
    auto json = minimal();
    auto& seccomp = json["linux"]["seccomp"];
    seccomp = {{"defaultAction", "SCMP_ACT_ALLOW"},
               {"syscalls", {{{"names", {"bind"}}, {"action", "SCMP_ACT_NOTIFY"}}}}};
    CHECK_FALSE(error_of(json).empty());
    seccomp["listenerPath"] = "relative";
    CHECK_FALSE(error_of(json).empty());
    seccomp["listenerPath"] = "/run/agent.sock";
    CHECK(error_of(json).empty());
    seccomp["defaultAction"] = "SCMP_ACT_NOTIFY";
    CHECK_FALSE(error_of(json).empty());
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

TEST_CASE("a capability that nobody knows is left out and named once", "[oci]") {
    auto json = minimal();
    json["process"]["capabilities"] = {{"bounding", {"CAP_CHWON", "CAP_KILL", "CAP_NEW"}},
                                       {"permitted", {"CAP_KILL", "CAP_CHWON"}},
                                       {"effective", {"CAP_CHWON"}}};
    const auto spec = oci::parse(json.dump());
    REQUIRE(spec.has_value());
    CHECK(spec->process->capabilities->bounding == (1U << 5));
    CHECK(spec->process->capabilities->permitted == (1U << 5));
    CHECK(spec->process->capabilities->effective == 0);
    CHECK(spec->process->unknown_capabilities == std::vector<std::string>{"CAP_CHWON", "CAP_NEW"});
    json["process"]["capabilities"] = {{"bounding", {7}}};
    CHECK_FALSE(error_of(json).empty());
}

TEST_CASE("misspelt kernel names, doubles and impossible pairs are refused", "[oci]") {
    auto json = minimal();
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
