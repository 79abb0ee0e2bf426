#include "config/keys.hpp"
#include "helpers.hpp"

#include <algorithm>
#include <filesystem>

using namespace ctrd;
using namespace ctrd::config;

namespace {

const std::string source_root = CTRD_SOURCE_ROOT;

/// The text below a heading, up to the next one of the same or a higher rank.
std::string section(const std::string& text, const std::string& heading) {
    const auto begin = text.find("\n" + heading + "\n");
    REQUIRE(begin != std::string::npos);
    const auto end = text.find("\n## ", begin + heading.size());
    return text.substr(begin, end == std::string::npos ? end : end - begin);
}

void check_keys(const std::string& text, const std::string& heading, std::span<const std::string_view> keys) {
    const auto part = section(text, heading);
    for (const auto key : keys) {
        INFO(heading << " " << key);
        CHECK_THAT(part, Catch::Contains("\n| `" + std::string{key} + "` |"));
    }
    CHECK(std::count(part.begin(), part.end(), '\n') > 3);
}

} // namespace

TEST_CASE("every key that a declaration may have is in the reference", "[config][docs]") {
    const auto text = content(source_root + "/docs/declaration.md");
    check_keys(text, "## The container", top_level_keys());
    check_keys(text, "## [[socket]]", socket_keys());
    check_keys(text, "## [[mount]]", mount_keys());
    check_keys(text, "## [[start-on]]", trigger_keys());
    check_keys(text, "## [resources]", resource_keys());
}

TEST_CASE("the reference has no key that a declaration may not have", "[config][docs]") {
    const auto text = content(source_root + "/docs/declaration.md");
    std::vector<std::string_view> known;
    for (const auto keys : {top_level_keys(), socket_keys(), mount_keys(), trigger_keys(), resource_keys()})
        known.insert(known.end(), keys.begin(), keys.end());
    for (std::size_t at = text.find("\n| `"); at != std::string::npos; at = text.find("\n| `", at + 1)) {
        const auto key = text.substr(at + 4, text.find('`', at + 4) - at - 4);
        INFO(key);
        CHECK(std::ranges::find(known, key) != known.end());
    }
}

TEST_CASE("every example is a valid declaration and uses no key that is unknown", "[config][docs]") {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator{source_root + "/config/examples"}) {
        INFO(entry.path().string());
        const auto loaded = check_file(entry.path().string());
        INFO((loaded ? std::string{} : to_text(loaded.error())));
        CHECK(loaded.has_value());
        ++count;
    }
    CHECK(count >= 4);
}

TEST_CASE("the declarations in the reference are valid ones", "[config][docs]") {
    const auto text = content(source_root + "/docs/declaration.md");
    int count = 0;
    for (std::size_t at = text.find("```toml\n"); at != std::string::npos; at = text.find("```toml\n", at + 1)) {
        const auto block = text.substr(at + 8, text.find("```", at + 8) - at - 8);
        INFO(block);
        CHECK(problems_of(block) == "");
        ++count;
    }
    CHECK(count >= 1);
}
