#include "ctrd/image/digest.hpp"

#include <algorithm>

namespace ctrd::image {
namespace {

constexpr std::size_t hex_length(Algorithm algorithm) { return algorithm == Algorithm::sha256 ? 64 : 128; }

bool is_lower_hex(char c) noexcept { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

} // namespace

std::string_view to_string(Algorithm algorithm) noexcept {
    return algorithm == Algorithm::sha256 ? "sha256" : "sha512";
}

Result<Digest> Digest::parse(std::string_view text) {
    for (const Algorithm algorithm : {Algorithm::sha256, Algorithm::sha512}) {
        const std::string_view name = to_string(algorithm);
        if (!text.starts_with(name) || text.substr(name.size(), 1) != ":")
            continue;
        const std::string_view hex = text.substr(name.size() + 1);
        if (hex.size() == hex_length(algorithm) && std::ranges::all_of(hex, is_lower_hex))
            return Digest{algorithm, std::string{hex}};
    }
    return fail(bad_input("'" + printable(text.substr(0, 160)) + "' is not a digest",
                          "a digest is 'sha256:' and 64 lower-case hex digits, or 'sha512:' and 128"));
}

Digest Digest::from_bytes(Algorithm algorithm, std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string hex;
    hex.reserve(bytes.size() * 2);
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        hex += {digits[byte >> 4], digits[byte & 15]};
    }
    return {algorithm, std::move(hex)};
}

std::string Digest::text() const { return std::string{to_string(algorithm_)} + ":" + hex_; }

} // namespace ctrd::image
