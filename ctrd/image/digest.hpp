// The name of a content: an algorithm and the hash in lower-case hex. A Digest that exists has been checked, so it can
// become a file name; only sha256 and sha512 are known, since what can't be recomputed can't be trusted.
#pragma once

#include "ctrd/base/result.hpp"

#include <compare>
#include <cstddef>

namespace ctrd::image {

enum class Algorithm { sha256, sha512 };
/// "sha256", "sha512".
std::string_view to_string(Algorithm algorithm) noexcept;

class Digest {
public:
    /// "sha256:" and 64 lower-case hex digits, or "sha512:" and 128. Nothing else.
    static Result<Digest> parse(std::string_view text);
    /// From the bytes of a hash; `bytes` has the algorithm's length.
    static Digest from_bytes(Algorithm algorithm, std::string_view bytes);

    [[nodiscard]] Algorithm algorithm() const noexcept { return algorithm_; }
    [[nodiscard]] const std::string& hex() const noexcept { return hex_; }
    /// "sha256:...".
    [[nodiscard]] std::string text() const;
    /// The first twelve hex digits, for people.
    [[nodiscard]] std::string short_text() const { return hex_.substr(0, 12); }

    auto operator<=>(const Digest&) const = default;

private:
    Digest(Algorithm algorithm, std::string hex) : algorithm_{algorithm}, hex_{std::move(hex)} {}
    Algorithm algorithm_;
    std::string hex_;
};

} // namespace ctrd::image
