#include "ctrd/registry/url.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <memory>

namespace ctrd::registry {
namespace {

constexpr std::size_t longest_url = 8192;

struct FreeUrl {
    void operator()(CURLU* handle) const noexcept { ::curl_url_cleanup(handle); }
};
using Handle = std::unique_ptr<CURLU, FreeUrl>;

std::string part_of(const Handle& handle, CURLUPart part) {
    char* value = nullptr;
    if (::curl_url_get(handle.get(), part, &value, CURLU_DEFAULT_PORT) != CURLUE_OK)
        return {};
    std::string result{value};
    ::curl_free(value);
    return result;
}

Error bad_url(std::string_view text, std::string_view why) {
    return bad_input("'" + printable(text.substr(0, 256)) + "' is no usable URL: " + std::string{why});
}

/// libcurl takes "https:/host" and "https:///host" for the same; others who check a URL before us may not.
bool has_two_slashes(std::string_view text) {
    const std::size_t end = text.find_first_of(":/?#");
    if (end == std::string_view::npos || text[end] != ':')
        return true; // relative
    const auto rest = text.substr(end + 1);
    return rest.starts_with("//") && !rest.starts_with("///");
}

/// libcurl decodes what is percent-encoded in a host, and who reads the result again may find another one.
bool is_host(std::string_view host) {
    constexpr std::string_view hex = "0123456789abcdefABCDEF";
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    if (host.starts_with('[') && host.ends_with(']'))
        return host.substr(1, host.size() - 2).find_first_not_of(std::string{hex} + ":.") == std::string_view::npos;
    return host.find_first_not_of(std::string{letters} + "-._") == std::string_view::npos;
}

Result<Url> parse(const std::string& text, const Url* base) {
    const auto visible = [](char c) { return c > ' ' && c < 0x7f && c != '\\'; };
    if (text.empty() || text.size() > longest_url || !std::ranges::all_of(text, visible))
        return fail(bad_url(text, "it is empty, too long, or has characters that no URL has"));
    const Handle handle{::curl_url()};
    if (base != nullptr && ::curl_url_set(handle.get(), CURLUPART_URL, base->text().c_str(), 0) != CURLUE_OK)
        return fail(bad_url(base->text(), "it can't be parsed"));
    // A scheme that libcurl does not know is refused below, with its name.
    if (::curl_url_set(handle.get(), CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        return fail(bad_url(text, "it can't be parsed"));
    Url url{part_of(handle, CURLUPART_SCHEME), part_of(handle, CURLUPART_HOST), 0, part_of(handle, CURLUPART_PATH),
            part_of(handle, CURLUPART_QUERY)};
    if (url.scheme != "https" && url.scheme != "http")
        return fail(bad_url(text, "only https and http are used, not '" + printable(url.scheme) + "'"));
    if (!has_two_slashes(text))
        return fail(bad_url(text, "two slashes stand between its scheme and its host"));
    if (!part_of(handle, CURLUPART_USER).empty() || !part_of(handle, CURLUPART_PASSWORD).empty())
        return fail(bad_url(text, "it holds a user name"));
    const std::string port = part_of(handle, CURLUPART_PORT);
    if (url.host.empty() || std::from_chars(port.data(), port.data() + port.size(), url.port).ec != std::errc{})
        return fail(bad_url(text, "it has no host"));
    if (!is_host(url.host))
        return fail(bad_url(text, "its host has characters that no name and no address has"));
    std::ranges::transform(url.host, url.host.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (url.path.empty())
        url.path = "/";
    return url;
}

} // namespace

std::string Url::origin() const { return scheme + "://" + host + ":" + std::to_string(port); }

std::string Url::text() const { return origin() + path + (query.empty() ? "" : "?" + query); }

Result<Url> parse_url(std::string_view text) { return parse(std::string{text}, nullptr); }

Result<Url> resolve_url(const Url& base, std::string_view text) { return parse(std::string{text}, &base); }

std::string encoded(std::string_view value) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    std::string result;
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        if (plain.find(c) != std::string_view::npos)
            result += c;
        else
            result += {'%', digits[byte >> 4], digits[byte & 15]};
    }
    return result;
}

Url with_query(Url url, const std::vector<std::pair<std::string, std::string>>& values) {
    for (const auto& [name, value] : values)
        url.query += (url.query.empty() ? "" : "&") + encoded(name) + "=" + encoded(value);
    return url;
}

} // namespace ctrd::registry
