#include "ctrd/base/detach_keys.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;

namespace {

DetachKeys keys(std::string_view text) {
    auto parsed = DetachKeys::parse(text);
    REQUIRE(parsed);
    return *parsed;
}

} // namespace

TEST_CASE("the keys detach, whether they come at once or one by one", "[detach]") {
    auto usual = keys("ctrl-p,ctrl-q");
    const auto at_once = usual.take("ls\n\x10\x11rest");
    CHECK(at_once.bytes == "ls\n");
    CHECK(at_once.detached);
    CHECK(usual.take("\x10").bytes.empty());
    CHECK(usual.take("\x11").detached);
}

TEST_CASE("a beginning that does not become the keys is typed all the same", "[detach]") {
    auto usual = keys("ctrl-p,ctrl-q");
    CHECK(usual.take("\x10").bytes.empty());
    const auto typed = usual.take("x");
    CHECK(typed.bytes == "\x10x");
    CHECK_FALSE(typed.detached);
    CHECK(usual.take("\x10\x10").bytes == "\x10");
    CHECK(usual.take("\x11").detached);
    auto repeated = keys("a,a,b");
    const auto later = repeated.take("aaab");
    CHECK(later.bytes == "a");
    CHECK(later.detached);
}

TEST_CASE("keys are characters and control characters, and nothing else", "[detach]") {
    CHECK(keys("x").take("x").detached);
    CHECK(keys(",").take(",").detached);
    CHECK(keys("ctrl-@").take(std::string_view{"\0", 1}).detached);
    CHECK(keys("ctrl-],ctrl-_").take("\x1d\x1f").detached);
    CHECK(keys("").take("\x10\x11").bytes == "\x10\x11");
    for (const char* wrong : {"ctrl-", "ctrl-1", "alt-p", "ctrl-p,,ctrl-q", "ctrl-p,xy", "CTRL-P"}) {
        INFO(wrong);
        CHECK_FALSE(DetachKeys::parse(wrong));
    }
}
