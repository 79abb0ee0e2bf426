#include "tools/ctrctl/timing.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace ctrd;
using namespace std::chrono_literals;

namespace {

activation::Starts two_steps() {
    activation::Starts starts;
    activation::add_success(starts, {{"wait", 3000us}, {"exec", 1500us}}, 7s);
    return starts;
}

} // namespace

TEST_CASE("timing shows each step with its time and a bar of its length") {
    const std::string text = ctl::timing_text("web", two_steps(), {.width = 80});
    CHECK_THAT(text, Catch::Contains("web: last start, 4.5 ms"));
    CHECK_THAT(text, Catch::Contains("  wait     3.00 ms  " + std::string(40, '#') + "\n"));
    CHECK_THAT(text, Catch::Contains("  exec     1.50 ms  " + std::string(20, '#') + "\n"));
    CHECK_THAT(text, Catch::Contains("1 starts, 0 failed"));
}

TEST_CASE("timing's bars give way on a narrow terminal, and have eighths where it can show them") {
    CHECK_THAT(ctl::timing_text("web", two_steps(), {.width = 30}),
               Catch::Contains("ms  " + std::string(10, '#') + "\n"));
    auto starts = two_steps();
    starts.last_steps.push_back({"last", 2850us}); // 38 of 40 cells
    starts.last_steps.push_back({"more", 1460us}); // 19 and almost 4 eighths
    const std::string text = ctl::timing_text("web", starts, {.utf8 = true});
    CHECK_THAT(text, Catch::Contains("\u2588\u258d\n"));
}

TEST_CASE("timing --json has microseconds") {
    const auto json = ctl::timing_json("web", two_steps());
    CHECK(json["total_us"] == 4500);
    CHECK(json["steps"][1]["name"] == "exec");
    CHECK(json["p99_us"] == 4500);
}
