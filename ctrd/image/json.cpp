#include "ctrd/image/json.hpp"

#include <algorithm>

namespace ctrd::image {
namespace {

constexpr int deepest = 32;

/// How deep arrays and objects are nested, without building anything: a tree of a million brackets takes a hundred
/// times the text's size.
bool is_too_deep(std::string_view text) {
    int depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > deepest)
                return true;
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return false;
}

} // namespace

Result<Json> parse_json(std::string_view text, std::size_t limit) {
    if (text.size() > limit)
        return fail(bad_input("the document has more than " + std::to_string(limit) + " bytes"));
    if (is_too_deep(text))
        return fail(bad_input("the document is nested more than " + std::to_string(deepest) + " levels deep"));
    Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded())
        return fail(bad_input("the document is not valid JSON"));
    if (!json.is_object())
        return fail(bad_input("the top of the document is not an object"));
    return json;
}

Result<std::string> plain_string(const oci::Reader& reader, const char* key, std::size_t limit) {
    std::string text = TRY(reader.string(key));
    if (text.size() > limit)
        return fail(bad_input(reader.at(key) + " has more than " + std::to_string(limit) + " bytes"));
    if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
        return fail(bad_input(reader.at(key) + " has a control character in it"));
    return text;
}

} // namespace ctrd::image
