#include "ctrd/activation/starts.hpp"

#include <catch2/catch.hpp>

using namespace ctrd::activation;
using namespace std::chrono_literals;
using std::chrono::microseconds;

TEST_CASE("a record of starts is read back as it was written") {
    Starts starts;
    add_success(starts, {{"connect", 1500us}, {"exec", 500us}}, 7s);
    add_failure(starts, "no such program", 99);
    add_end(starts, false, 8s);
    starts.fallen_back = {"http"};
    starts.fallen_back_config = 0xfedc'ba98'7654'3210U;
    const auto read = parse_starts(to_json(starts));
    REQUIRE(read);
    CHECK(read->succeeded == 1);
    CHECK(read->failed == 1);
    CHECK(read->last_failed);
    CHECK(read->bad_ends == 1);
    CHECK(read->last_ready == 7s);
    CHECK(read->times == std::vector<microseconds>{2000us});
    CHECK(read->last_steps.at(1).name == "exec");
    CHECK(read->reasons.at(0).reason == "no such program");
    CHECK(read->fallen_back == starts.fallen_back);
    CHECK(read->fallen_back_config == starts.fallen_back_config);
    CHECK_FALSE(parse_starts("{}"));
    CHECK_FALSE(parse_starts(R"({"succeeded":"x"})"));
}

TEST_CASE("starts that fail in a row are put off longer and longer, up to a limit") {
    Starts starts;
    CHECK(pause_before_next(starts) == 0ms);
    std::vector<long> pauses;
    for (int i = 0; i < 9; ++i) {
        add_failure(starts, "no", 0);
        add_end(starts, false, i * 1s);
        pauses.push_back(pause_before_next(starts).count());
    }
    CHECK(pauses == std::vector<long>{0, 100, 200, 400, 800, 1600, 3000, 3000, 3000});
    CHECK(should_refuse(starts));
}

TEST_CASE("a good run, or time, forgives") {
    Starts starts;
    for (int i = 0; i < 5; ++i) {
        add_failure(starts, "no", 0);
        add_end(starts, false, 1s);
    }
    SECTION("a run that lasts") {
        add_success(starts, {}, 10s);
        add_end(starts, false, 20s);
        CHECK(starts.bad_ends == 0);
        CHECK_FALSE(should_refuse(starts));
    }
    SECTION("time") {
        add_failure(starts, "no", 0);
        add_end(starts, false, 120s);
        CHECK(starts.bad_ends == 1);
    }
}

TEST_CASE("who crashes just after each start is slowed down too, and clients are refused only if it goes on") {
    Starts starts;
    for (int i = 1; i <= 3; ++i) {
        add_success(starts, {}, i * 1s);
        add_end(starts, false, i * 1s + 100ms);
        CHECK(should_refuse(starts) == (i == 3));
    }
    CHECK(pause_before_next(starts) == 200ms);
    add_success(starts, {}, 4s);
    add_end(starts, true, 4s + 100ms); // an idle stop, or somebody's own
    CHECK(starts.bad_ends == 0);
}

TEST_CASE("percentiles are times that were measured") {
    std::vector<microseconds> times;
    CHECK(percentile(times, 0.5) == 0us);
    for (int i = 100; i > 0; --i)
        times.emplace_back(i);
    CHECK(percentile(times, 0.5) == 50us);
    CHECK(percentile(times, 0.99) == 99us);
    CHECK(percentile({7us}, 0.99) == 7us);
}
