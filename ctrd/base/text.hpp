// Pieces of text that the kernel, accounts and protocols write.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>

namespace ctrd {

/// The whole of `text` as a number of that base: no blank, no '+', nothing before or after it.
template <std::integral Number> std::optional<Number> parse_number(std::string_view text, int base = 10) noexcept {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
}

/// Field `index` of "a:b:c", as passwd(5) and its kin have them; empty where there are fewer.
inline std::string_view colon_field(std::string_view line, unsigned index) noexcept {
    for (; index > 0; --index) {
        const auto colon = line.find(':');
        if (colon == std::string_view::npos)
            return {};
        line.remove_prefix(colon + 1);
    }
    return line.substr(0, line.find(':'));
}

} // namespace ctrd
