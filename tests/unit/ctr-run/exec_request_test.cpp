#include "tools/ctr-run/exec.hpp"

#include <catch2/catch.hpp>

namespace ctrd::run {
namespace {

std::string request(const std::string& args, const std::string& env = "[]", const std::string& cwd = "") {
    return R"({"leader":12,"leader_start":34,"args":)" + args + R"(,"env":)" + env + R"(,"user":"www","cwd":")" + cwd +
           R"(","terminal":true})";
}

} // namespace

TEST_CASE("a request is read whole") {
    const auto read = parse_exec_request(request(R"(["sh","-c","x"])", R"(["A=B"])", "/srv"));
    REQUIRE(read);
    CHECK(read->leader == 12);
    CHECK(read->leader_start == 34);
    CHECK(read->args == std::vector<std::string>{"sh", "-c", "x"});
    CHECK(read->env == std::vector<std::string>{"A=B"});
    CHECK(read->user == "www");
    CHECK(read->cwd == "/srv");
    CHECK(read->terminal);
}

TEST_CASE("a request that can't be meant is refused") {
    CHECK_FALSE(parse_exec_request(""));
    CHECK_FALSE(parse_exec_request("{}"));
    CHECK_FALSE(parse_exec_request(request("[]")));
    CHECK_FALSE(parse_exec_request(request(R"([""])")));
    CHECK_FALSE(parse_exec_request(request(R"(["sh"])", R"(["A"])")));
    CHECK_FALSE(parse_exec_request(request(R"(["sh"])", R"(["=A"])")));
    CHECK_FALSE(parse_exec_request(request(R"(["s\u0000h"])")));
    CHECK_FALSE(parse_exec_request(request(R"(["sh"])", "[]", "srv")));
    CHECK_FALSE(parse_exec_request(
        R"({"leader":0,"leader_start":1,"args":["x"],"env":[],"user":"","cwd":"","terminal":false})"));
}

TEST_CASE("a variable replaces the one of its name and no other") {
    std::vector<std::string> env{"PATH=/bin", "PATHS=x", "A=1"};
    set_variable(env, "PATH=/sbin=2");
    set_variable(env, "B=2");
    CHECK(env == std::vector<std::string>{"PATH=/sbin=2", "PATHS=x", "A=1", "B=2"});
}

} // namespace ctrd::run
