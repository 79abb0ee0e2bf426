#include "ctrd/bus/exec_request.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace ctrd::bus;

namespace {

ExecRequest request() {
    ExecRequest made;
    made.args = {"sh", "-c", "true"};
    return made;
}

std::string refusal(const ExecRequest& asked) {
    const auto checked = check_exec_request(asked);
    return checked ? "" : checked.error().message;
}

} // namespace

TEST_CASE("exec needs a command", "[bus]") {
    CHECK(refusal(request()).empty());
    CHECK(refusal({}) == "no command to run");
    auto nameless = request();
    nameless.args = {"", "x"};
    CHECK(refusal(nameless) == "no command to run");
}

TEST_CASE("exec bounds what it is given", "[bus]") {
    auto large = request();
    large.args.assign(5, std::string(60 << 10, 'x'));
    CHECK(refusal(large) == "the command is larger than 256 KiB");
    large.args = {"sh", std::string(128 << 10, 'x')};
    CHECK(refusal(large) == "a part of the command is longer than 128 KiB");
    large.args = {"sh", std::string((128 << 10) - 1, 'x')};
    CHECK(refusal(large).empty());
    large.environment.assign(200000, "A=");
    CHECK(refusal(large) == "the environment is larger than 256 KiB");
}

TEST_CASE("exec takes only assignments as environment", "[bus]") {
    auto asked = request();
    asked.environment = {"A=", "B=C=D"};
    CHECK(refusal(asked).empty());
    asked.environment = {"A"};
    CHECK(refusal(asked) == "'A' is not an assignment to an environment variable");
    asked.environment = {"=x"};
    CHECK(refusal(asked) == "'=x' is not an assignment to an environment variable");
}

TEST_CASE("exec takes only an absolute working directory", "[bus]") {
    auto asked = request();
    asked.directory = "/tmp";
    CHECK(refusal(asked).empty());
    asked.directory = "tmp";
    CHECK(refusal(asked) == "the working directory 'tmp' is not an absolute path");
    asked.directory = "/" + std::string(5000, 'x');
    CHECK(refusal(asked) == "the working directory's path is too long");
}

TEST_CASE("exec refuses a user with control characters", "[bus]") {
    auto asked = request();
    asked.user = "www-data:www-data";
    CHECK(refusal(asked).empty());
    asked.user = "root\n";
    CHECK(refusal(asked) == "User is not a user's name or number");
}

TEST_CASE("ctr-run is told all of it as JSON", "[bus]") {
    auto asked = request();
    asked.environment = {"A=\"b\""};
    asked.user = "nobody";
    asked.directory = "/tmp";
    const auto told = nlohmann::json::parse(to_json(asked, 42, 4711));
    CHECK(told["leader"] == 42);
    CHECK(told["leader_start"] == 4711);
    CHECK(told["args"] == nlohmann::json({"sh", "-c", "true"}));
    CHECK(told["env"] == nlohmann::json::array({"A=\"b\""}));
    CHECK(told["user"] == "nobody");
    CHECK(told["cwd"] == "/tmp");
    CHECK(told["terminal"] == false);
    asked.console_socket = 9;
    CHECK(nlohmann::json::parse(to_json(asked, 42, 4711))["terminal"] == true);
}
