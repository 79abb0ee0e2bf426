// URLs that servers give us (realms, redirects, upload locations), taken apart by libcurl's own parser, so that what is
// checked is what is asked.
#pragma once

#include "ctrd/base/result.hpp"

#include <utility>
#include <vector>

namespace ctrd::registry {

struct Url {
    std::string scheme{}; // "https" or "http"
    std::string host{};   // with brackets, if it is an IPv6 address
    unsigned port{0};
    std::string path{"/"};
    std::string query{};

    /// "https://host:port": what a connection, a certificate and a password belong to.
    [[nodiscard]] std::string origin() const;
    [[nodiscard]] std::string text() const;
    [[nodiscard]] bool is_secure() const { return scheme == "https"; }
};

/// http and https only, without user and password, without anything that is no visible ASCII.
Result<Url> parse_url(std::string_view text);
/// The same for what may be relative to `base`, such as a Location header.
Result<Url> resolve_url(const Url& base, std::string_view text);

/// Percent-encoding for one value of a query.
std::string encoded(std::string_view value);
/// `url` with "name=value" added to its query for each.
Url with_query(Url url, const std::vector<std::pair<std::string, std::string>>& values);

} // namespace ctrd::registry
