#include "ctrd/registry/challenge.hpp"

#include <algorithm>
#include <optional>

namespace ctrd::registry {
namespace {

constexpr std::size_t longest_header = 8192;
constexpr std::size_t most_challenges = 16;
constexpr std::size_t most_values = 32;

bool is_token_char(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
}

std::string lower(std::string_view text) {
    std::string result{text};
    std::ranges::transform(result, result.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return result;
}

class Scanner {
public:
    explicit Scanner(std::string_view text) : text_{text} {}

    [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
    void skip(std::string_view which) {
        while (!at_end() && which.find(text_[at_]) != std::string_view::npos)
            ++at_;
    }
    bool take(char c) {
        if (at_end() || text_[at_] != c)
            return false;
        ++at_;
        return true;
    }
    std::string_view token() {
        const std::size_t start = at_;
        while (!at_end() && is_token_char(text_[at_]))
            ++at_;
        return text_.substr(start, at_ - start);
    }
    /// After its opening quote; nothing where it does not end.
    std::optional<std::string> quoted() {
        std::string value;
        while (!at_end()) {
            char c = text_[at_++];
            if (c == '"')
                return value;
            if (c == '\\' && !at_end())
                c = text_[at_++];
            value += c;
        }
        return std::nullopt;
    }
    /// The '=', with what may stand around it, of "name = value"; not that of a scheme's one opaque word.
    bool take_equals() {
        const std::size_t before = at_;
        skip(" \t");
        if (take('=')) {
            skip(" \t");
            if (!at_end() && (text_[at_] == '"' || is_token_char(text_[at_])))
                return true;
        }
        at_ = before;
        return false;
    }
    /// What follows a scheme and is no list of values: letters, digits and padding.
    void skip_opaque() {
        token();
        skip("/=+");
        while (!at_end() && text_[at_] != ',' && text_[at_] != ' ')
            ++at_;
    }
    [[nodiscard]] std::size_t at() const { return at_; }
    void go_to(std::size_t at) { at_ = at; }

private:
    std::string_view text_;
    std::size_t at_{0};
};

Error bad_header() { return bad_input("the registry's WWW-Authenticate header is malformed"); }

Result<void> read_value(Scanner& in, std::string_view name, Challenge& challenge) {
    std::optional<std::string> value = in.take('"') ? in.quoted() : std::string{in.token()};
    if (!value || challenge.values.size() == most_values)
        return fail(bad_header());
    // The first of a name counts: what a proxy would have checked.
    challenge.values.emplace(lower(name), *std::move(value));
    return {};
}

} // namespace

std::string Challenge::value(const std::string& name) const {
    const auto it = values.find(name);
    return it == values.end() ? std::string{} : it->second;
}

Result<std::vector<Challenge>> parse_challenges(std::string_view header) {
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' ? c != '\t' : c == 0x7f; };
    if (header.size() > longest_header || std::ranges::any_of(header, is_control))
        return fail(bad_header());
    std::vector<Challenge> result;
    Scanner in{header};
    for (in.skip(" \t,"); !in.at_end(); in.skip(" \t,")) {
        const std::string_view word = in.token();
        if (word.empty())
            return fail(bad_header());
        if (in.take_equals()) {
            if (result.empty())
                return fail(bad_header());
            TRY_VOID(read_value(in, word, result.back()));
            continue;
        }
        if (result.size() == most_challenges)
            return fail(bad_header());
        result.push_back({lower(word), {}});
        in.skip(" \t");
        const std::size_t start = in.at();
        const std::string_view next = in.token();
        if (next.empty() || in.take_equals())
            in.go_to(start); // a list of values, or nothing
        else
            in.skip_opaque();
    }
    return result;
}

} // namespace ctrd::registry
