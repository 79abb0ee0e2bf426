// A merged document -> UnitSpec. Every mistake is collected; a wrong value leaves its member unset.
#pragma once

#include "config/document.hpp"
#include "config/unit_spec.hpp"

#include <optional>
#include <span>

namespace ctrd::config {

/// Typed access to values, collecting what is wrong with them.
class ValueReader {
public:
    explicit ValueReader(Diagnostics& problems) : problems_{problems} {}

    void complain(const Location& at, std::string message, std::string hint = {});
    /// A wrong type is reported as "'KEY' must be a string, not an array".
    std::optional<std::string> string(const Member& member, std::string_view hint = {});
    std::optional<bool> boolean(const Member& member);
    std::optional<std::uint64_t> integer(const Member& member, std::uint64_t min, std::uint64_t max);
    /// A string, or an integer as its decimal text: weights and sizes are written both ways.
    std::optional<std::string> scalar(const Member& member);
    std::optional<std::vector<std::string>> strings(const Member& member);
    /// The elements that are tables; the others are reported.
    std::vector<const Value*> tables(const Member& member);
    /// One of `words`, as its index; else the nearest is hinted at.
    std::optional<std::size_t> choice(const Member& member, std::span<const std::string_view> words);
    /// The value of a Result, or its error as a diagnostic at the value.
    template <class T> std::optional<T> take(const Member& member, Result<T> result) {
        if (result)
            return *std::move(result);
        complain(member.value.at, "'" + member.key + "': " + result.error().message, result.error().hint);
        return std::nullopt;
    }

private:
    void wrong_type(const Member& member, std::string_view wanted, std::string_view hint = {});
    Diagnostics& problems_;
};

/// Fills a spec from the merged document. Default values that depend on other keys are left to the checks' callers.
UnitSpec read_spec(std::string_view name, const Value& document, Diagnostics& problems);

} // namespace ctrd::config
