#include "ctrd/base/base64.hpp"

#include <array>
#include <cstdint>

namespace ctrd {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> make_values() {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < alphabet.size(); ++i)
        values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
    return values;
}
constexpr auto values = make_values();

} // namespace

std::string to_base64(std::string_view data) {
    std::string result;
    for (std::size_t i = 0; i < data.size(); i += 3) {
        const auto byte = [&](std::size_t at) {
            return at < data.size() ? static_cast<unsigned>(static_cast<unsigned char>(data[at])) : 0U;
        };
        const unsigned bits = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
        result += alphabet[bits >> 18];
        result += alphabet[bits >> 12 & 63];
        result += i + 1 < data.size() ? alphabet[bits >> 6 & 63] : '=';
        result += i + 2 < data.size() ? alphabet[bits & 63] : '=';
    }
    return result;
}

Result<std::string> from_base64(std::string_view text, std::string_view what) {
    const auto bad = [&] { return fail(bad_input(std::string{what} + " is not valid base64")); };
    if (text.size() % 4 != 0)
        return bad();
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    std::string result;
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_padding = i >= text.size() - padding;
        const int value = is_padding ? 0 : values[static_cast<unsigned char>(text[i])];
        if (value < 0)
            return bad();
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        if (i % 4 == 3)
            for (const int shift : {16, 8, 0})
                result += static_cast<char>(bits >> shift & 255);
    }
    result.resize(result.size() - padding);
    return result;
}

} // namespace ctrd
