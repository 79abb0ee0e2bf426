// Fuzz target: what a registry answers, by the first byte: a challenge, a token, a range, a link, a time, a URL.
#include "ctrd/registry/authorizer.hpp"
#include "ctrd/registry/blob_progress.hpp"
#include "ctrd/registry/repository.hpp"
#include "tests/fuzz/promise.hpp"

#include <algorithm>

namespace {

using namespace ctrd;

bool is_plain(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 0x7f; });
}

void challenge(std::string_view text) {
    const auto challenges = registry::parse_challenges(text);
    if (!challenges)
        return;
    for (const auto& one : *challenges) {
        fuzz::promise(!one.scheme.empty(), "a challenge has a scheme");
        for (const auto& [name, value] : one.values)
            fuzz::promise(value.find_first_of(std::string_view{"\r\n\0", 3}) == std::string::npos,
                          "a challenge's value is one line");
    }
}

void token(std::string_view text) {
    const auto answer = registry::parse_token_answer(text);
    if (answer)
        fuzz::promise(!answer->token.empty() && is_plain(answer->token) && answer->seconds > 0,
                      "a token fits into a header");
}

void range(std::string_view text) {
    const auto found = registry::parse_content_range(text);
    if (found)
        fuzz::promise(found->first <= found->last && (found->total == 0 || found->last < found->total),
                      "a range lies within the whole");
}

void url(std::string_view text) {
    const auto base = registry::parse_url("https://registry.example:5000/v2/a").value();
    for (const auto& found : {registry::parse_url(text), registry::resolve_url(base, text)}) {
        if (!found)
            continue;
        fuzz::promise(found->scheme == "https" || found->scheme == "http", "only HTTP is spoken");
        fuzz::promise(is_plain(found->text()) && found->origin().find('@') == std::string::npos,
                      "nothing hides in a URL");
        const auto again = registry::parse_url(found->text());
        fuzz::promise(again && again->origin() == found->origin(), "what is checked is what is asked");
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0)
        return 0;
    const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
    switch (data[0]) {
    case 'c':
        challenge(text);
        break;
    case 't':
        token(text);
        break;
    case 'r':
        range(text);
        break;
    case 'l':
        registry::next_page(std::string{text});
        break;
    case 's':
        registry::retry_after(std::string{text});
        break;
    default:
        url(text);
    }
    return 0;
}
