#include "ctrd/image/reference.hpp"

#include <algorithm>

namespace ctrd::image {
namespace {

constexpr std::size_t longest_name = 255; // as registries have it
constexpr std::size_t longest_text = longest_name + 1 + 128 + 1 + 7 + 128;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }
bool is_alnum(char c) noexcept { return is_digit(c) || is_lower(c) || is_upper(c); }
bool is_hex(char c) noexcept { return is_digit(c) || (c >= 'a' && c <= 'f'); }

/// Whether `fits` holds for each part between separators; an empty part never fits.
template <class Fits> bool all_parts(std::string_view text, char separator, Fits fits) {
    for (;;) {
        const std::size_t end = text.find(separator);
        const auto part = text.substr(0, end);
        if (part.empty() || !fits(part))
            return false;
        if (end == std::string_view::npos)
            return true;
        text.remove_prefix(end + 1);
    }
}

bool is_port(std::string_view text) noexcept {
    if (text.empty() || text.size() > 5 || text.front() == '0' || !std::ranges::all_of(text, is_digit))
        return false;
    unsigned number = 0;
    for (const char c : text)
        number = number * 10 + static_cast<unsigned>(c - '0');
    return number <= 65535;
}

bool is_host_part(std::string_view part) noexcept {
    return part.size() <= 63 && is_alnum(part.front()) && is_alnum(part.back()) &&
           std::ranges::all_of(part, [](char c) { return is_alnum(c) || c == '-'; });
}

bool is_ipv6(std::string_view text) noexcept {
    return text.size() >= 2 && text.size() <= 45 && text.find(':') != std::string_view::npos &&
           std::ranges::all_of(text,
                               [](char c) { return is_hex(c) || (c >= 'A' && c <= 'F') || c == ':' || c == '.'; });
}

/// Letters and digits, with one of ".", "_", "__" or any number of "-" between them.
bool is_path_part(std::string_view part) noexcept {
    const auto plain = [](char c) { return is_digit(c) || is_lower(c); };
    if (!plain(part.front()) || !plain(part.back()))
        return false;
    for (std::size_t i = 0; i < part.size();) {
        if (plain(part[i])) {
            ++i;
            continue;
        }
        const std::size_t start = i;
        while (!plain(part[i])) // the last one is plain
            ++i;
        const auto between = part.substr(start, i - start);
        if (between != "." && between != "_" && between != "__" && between.find_first_not_of('-') != std::string::npos)
            return false;
    }
    return true;
}

/// Whether the first component of a name is a registry and not a part of the path.
bool looks_like_registry(std::string_view first) noexcept {
    return first == "localhost" || first.find_first_of(".:[") != std::string_view::npos ||
           std::ranges::any_of(first, is_upper);
}

Error not_a_reference(std::string_view text, std::string_view why) {
    return bad_input("'" + printable(text) + "' is not the name of an image: " + std::string{why},
                     "write it as [REGISTRY[:PORT]/]NAME[:TAG][@DIGEST]");
}

/// Takes "@digest" off the end of `text`.
Result<std::optional<Digest>> take_digest(std::string_view whole, std::string_view& text) {
    const std::size_t at = text.find('@');
    if (at == std::string_view::npos)
        return std::optional<Digest>{};
    auto digest = Digest::parse(text.substr(at + 1));
    if (!digest)
        return fail(not_a_reference(whole, "what follows '@' is no sha256 or sha512 digest"));
    text = text.substr(0, at);
    return std::optional<Digest>{*std::move(digest)};
}

/// Takes ":tag" off the end of `text`; a colon before the last slash is a port's.
Result<std::string> take_tag(std::string_view whole, std::string_view& text) {
    const std::size_t colon = text.rfind(':');
    const std::size_t slash = text.rfind('/');
    if (colon == std::string_view::npos || (slash != std::string_view::npos && colon < slash))
        return std::string{};
    const auto tag = text.substr(colon + 1);
    if (!is_tag(tag))
        return fail(not_a_reference(whole, "the tag may have up to 128 letters, digits, '_', '.' and '-'"));
    text = text.substr(0, colon);
    return std::string{tag};
}

} // namespace

bool is_registry(std::string_view text) noexcept {
    std::string_view host = text;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos || !is_ipv6(text.substr(1, end - 1)))
            return false;
        const auto rest = text.substr(end + 1);
        return rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)));
    }
    if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
        if (!is_port(text.substr(colon + 1)))
            return false;
        host = text.substr(0, colon);
    }
    return host.size() <= 253 && all_parts(host, '.', is_host_part);
}

bool is_repository(std::string_view text) noexcept {
    return text.size() <= longest_name && all_parts(text, '/', is_path_part);
}

bool is_tag(std::string_view text) noexcept {
    return !text.empty() && text.size() <= 128 && (is_alnum(text.front()) || text.front() == '_') &&
           std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

std::string Reference::name() const { return registry.empty() ? repository : registry + "/" + repository; }

std::string Reference::text() const {
    return name() + (tag.empty() ? "" : ":" + tag) + (digest ? "@" + digest->text() : "");
}

std::string Reference::identifier() const { return digest ? digest->text() : !tag.empty() ? tag : "latest"; }

Result<Reference> parse_reference(std::string_view text) {
    if (text.empty())
        return fail(not_a_reference(text, "it is empty"));
    if (text.size() > longest_text)
        return fail(not_a_reference(text.substr(0, 64), "it is too long"));
    Reference result;
    std::string_view rest = text;
    result.digest = TRY(take_digest(text, rest));
    result.tag = TRY(take_tag(text, rest));
    const std::size_t slash = rest.find('/');
    if (slash != std::string_view::npos && looks_like_registry(rest.substr(0, slash))) {
        result.registry = rest.substr(0, slash);
        rest.remove_prefix(slash + 1);
        if (!is_registry(result.registry))
            return fail(
                not_a_reference(text, "'" + printable(result.registry) + "' is no host name with or without a port"));
    }
    result.repository = rest;
    if (!is_repository(result.repository))
        return fail(not_a_reference(
            text, std::ranges::any_of(rest, is_upper)
                      ? "the name must be in lower case"
                      : "a name has lower-case letters and digits, and '.', '_', '__' or '-' between them"));
    if (result.name().size() > longest_name)
        return fail(not_a_reference(text, "the name is longer than 255 bytes"));
    return result;
}

Result<Reference> parse_full_name(std::string_view text) {
    Reference result = TRY(parse_reference(text));
    if (result.is_short() || !result.tag.empty() || result.digest)
        return fail(bad_input("'" + printable(text) + "' is not the name of a repository with its registry"));
    return result;
}

} // namespace ctrd::image
