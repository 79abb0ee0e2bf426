#include "ctrd/bus/journal_request.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace ctrd::bus;

namespace {

bool has(const std::vector<std::string>& words, const std::string& word) {
    return std::ranges::find(words, word) != words.end();
}

} // namespace

TEST_CASE("what is asked of the journal is glued to its option", "[bus]") {
    JournalRequest request;
    request.after_cursor = "s=1;i=2";
    request.since = 1'700'000'000'000'001;
    request.lines = 3;
    const auto words = log_arguments(request, "ctr@web.service");
    CHECK((has(words, "--after-cursor=s=1;i=2") && has(words, "--since=@1700000000000001us")));
    CHECK((has(words, "--lines=3") && has(words, "--unit=ctr@web.service") && !has(words, "--follow")));
}

TEST_CASE("who follows begins with what comes, and not with ten old ones", "[bus]") {
    JournalRequest request;
    request.follow = true;
    CHECK(has(log_arguments(request, "ctr@web.service"), "--lines=0"));
}

TEST_CASE("events are root's words only, and have no other fields than those that everybody may read", "[bus]") {
    JournalRequest request;
    request.container = "web";
    const auto words = event_arguments(request);
    CHECK((has(words, "_UID=0") && has(words, "CTRD_NAME=web")));
    CHECK(std::ranges::count_if(words, [](const auto& word) { return word.starts_with("MESSAGE_ID="); }) == 6);
    CHECK(std::ranges::count_if(words, [](const auto& word) { return word.starts_with("--output-fields="); }) == 1);
}
