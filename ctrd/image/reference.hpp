// The names of images: [registry[:port]/]path[:tag][@digest]. Whatever becomes part of a URL, of a file's name or of a
// message has passed this grammar.
#pragma once

#include "ctrd/image/digest.hpp"

#include <optional>

namespace ctrd::image {

struct Reference {
    std::string registry{};   // "host" or "host:port"; empty: a short name, to be completed by registries.conf
    std::string repository{}; // "library/nginx"
    std::string tag{};        // empty: none was given
    std::optional<Digest> digest{};

    bool operator==(const Reference&) const = default;
    [[nodiscard]] bool is_short() const noexcept { return registry.empty(); }
    /// "registry/repository", without tag and digest.
    [[nodiscard]] std::string name() const;
    /// As it would be written: all that it has.
    [[nodiscard]] std::string text() const;
    /// What a manifest is asked for by: the digest, or the tag, or "latest".
    [[nodiscard]] std::string identifier() const;
};

/// The first component is a registry where it has a '.' or ':', is "localhost" or "[IPv6]"; else the name is short.
Result<Reference> parse_reference(std::string_view text);
/// A name without tag and digest, in which the registry must be there, as configuration files have them.
Result<Reference> parse_full_name(std::string_view text);

bool is_registry(std::string_view text) noexcept;
bool is_repository(std::string_view text) noexcept;
bool is_tag(std::string_view text) noexcept;

} // namespace ctrd::image
