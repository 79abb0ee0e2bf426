#include "ctrd/bus/scope_request.hpp"

#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

using namespace ctrd;
using namespace ctrd::bus;
using nlohmann::json;

namespace {

json request() {
    return {{"unit", "ctr-a.scope"},
            {"slice", "machine.slice"},
            {"description", "Container a"},
            {"properties", {"TasksMax=t:10"}}};
}

} // namespace

TEST_CASE("a request for a scope", "[bus]") {
    const auto parsed = parse_scope_request(request());
    REQUIRE(parsed);
    CHECK(parsed->unit == "ctr-a.scope");
    CHECK(parsed->slice == "machine.slice");
    CHECK(parsed->description == "Container a");
    CHECK(parsed->properties == std::vector<std::string>{"TasksMax=t:10"});
}

TEST_CASE("anything else asks for none", "[bus]") {
    CHECK_FALSE(parse_scope_request(json{}));
    CHECK_FALSE(parse_scope_request(json::array()));
    for (const char* key : {"unit", "slice", "description", "properties"}) {
        json one = request();
        one.erase(key);
        CHECK_FALSE(parse_scope_request(one));
        one[key] = 7;
        CHECK_FALSE(parse_scope_request(one));
    }
    json one = request();
    one["unit"] = "ssh.service";
    CHECK_FALSE(parse_scope_request(one));
    one = request();
    one["properties"] = {1};
    CHECK_FALSE(parse_scope_request(one));
    one["properties"] = json::array();
    for (int i = 0; i < 200; ++i)
        one["properties"].push_back("TasksMax=t:10");
    CHECK_FALSE(parse_scope_request(one));
}
