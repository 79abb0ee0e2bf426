#include "ctrd/base/detach_keys.hpp"

#include "ctrd/base/names.hpp"

#include <optional>

namespace ctrd {
namespace {

constexpr std::string_view prefix = "ctrl-";

std::optional<char> key_of(std::string_view word) {
    if (word.size() == 1)
        return word.front();
    if (!word.starts_with(prefix) || word.size() != prefix.size() + 1)
        return std::nullopt;
    const char c = word.back();
    if (c >= 'a' && c <= 'z')
        return static_cast<char>(c - 'a' + 1);
    return c >= '@' && c <= '_' ? std::optional<char>{static_cast<char>(c - '@')} : std::nullopt;
}

} // namespace

Result<DetachKeys> DetachKeys::parse(std::string_view text) {
    DetachKeys keys;
    while (!text.empty()) {
        const auto comma = text.find(',', 1); // a comma may be a key itself
        const std::string_view word = text.substr(0, comma);
        const auto key = key_of(word);
        if (!key)
            return fail(bad_input("'" + printable(word) + "' is no key that could detach",
                                  "write them as in \"ctrl-p,ctrl-q\" or \"ctrl-@,x\""));
        keys.keys_ += *key;
        text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    }
    return keys;
}

DetachKeys::Typed DetachKeys::take(std::string_view typed) {
    Typed result;
    if (keys_.empty())
        return {std::string{typed}, false};
    for (const char c : typed) {
        // What was held may begin the keys anew at a later place of it: "aab" after "aaab".
        while (held_ > 0 && c != keys_[held_]) {
            std::size_t keep = held_ - 1;
            while (keep > 0 && keys_.compare(0, keep, keys_, held_ - keep, keep) != 0)
                --keep;
            result.bytes.append(keys_, 0, held_ - keep);
            held_ = keep;
        }
        if (c != keys_[held_]) {
            result.bytes += c;
        } else if (++held_ == keys_.size()) {
            held_ = 0;
            result.detached = true;
            return result;
        }
    }
    return result;
}

} // namespace ctrd
