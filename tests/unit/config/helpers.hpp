#pragma once

#include "config/config.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace ctrd::config {

/// The smallest declaration, and what else a test is about.
inline std::string declaration(const std::string& more = {}) {
    return "rootfs = \"/srv/web\"\ncommand = [\"/bin/server\"]\n" + more;
}

inline Outcome<UnitSpec> parse_one(const std::string& text, std::string_view name = "web") {
    return parse(name, {{"web.toml", text}});
}

/// Everything that is wrong with `text`, as it is printed; "" if nothing is.
inline std::string problems_of(const std::string& text) {
    const auto spec = parse_one(text);
    return spec ? std::string{} : to_text(spec.error());
}

inline UnitSpec spec_of(const std::string& text) {
    auto spec = parse_one(text);
    INFO((spec ? std::string{} : to_text(spec.error())));
    REQUIRE(spec.has_value());
    return *spec;
}

inline Compiled compile_text(const std::string& text, const Facts& facts = {}) {
    auto compiled = compile(spec_of(text), facts);
    INFO((compiled ? std::string{} : to_text(compiled.error())));
    REQUIRE(compiled.has_value());
    return *compiled;
}

inline nlohmann::json oci_of(const std::string& text, const Facts& facts = {}) {
    return nlohmann::json::parse(compile_text(text, facts).config_json);
}

inline std::string file_of(const Compiled& compiled, const std::string& path) {
    for (const auto& file : compiled.files)
        if (file.path == path)
            return file.text;
    return {};
}

inline bool has_link(const Compiled& compiled, const std::string& path) {
    for (const auto& link : compiled.links)
        if (link.path == path)
            return true;
    return false;
}

/// A folder that goes away with the test.
class TemporaryFolder {
public:
    TemporaryFolder() {
        char name[] = "/tmp/ctrd-config-test.XXXXXX";
        path_ = ::mkdtemp(name);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    [[nodiscard]] std::string operator/(const std::string& below) const { return path_ + "/" + below; }
    void write(const std::string& below, const std::string& text) const {
        const std::filesystem::path path{*this / below};
        std::filesystem::create_directories(path.parent_path());
        std::ofstream{path} << text;
    }

private:
    std::string path_;
};

inline std::string content(const std::string& path) {
    std::ifstream in{path};
    return {std::istreambuf_iterator<char>{in}, {}};
}

} // namespace ctrd::config
