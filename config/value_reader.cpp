#include "config/reader.hpp"

#include "ctrd/base/names.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ctrd::config {

void ValueReader::complain(const Location& at, std::string message, std::string hint) {
    problems_.push_back({at, std::move(message), std::move(hint)});
}

void ValueReader::wrong_type(const Member& member, std::string_view wanted, std::string_view hint) {
    complain(member.value.at, fmt::format("'{}' must be {}, not {}", member.key, wanted, kind_name(member.value.kind)),
             std::string{hint});
}

std::optional<std::string> ValueReader::string(const Member& member, std::string_view hint) {
    if (member.value.kind == Value::Kind::string)
        return member.value.string;
    wrong_type(member, "a string", hint);
    return std::nullopt;
}

std::optional<bool> ValueReader::boolean(const Member& member) {
    if (member.value.kind == Value::Kind::boolean)
        return member.value.boolean;
    wrong_type(member, "true or false", "write it without quotes");
    return std::nullopt;
}

std::optional<std::uint64_t> ValueReader::integer(const Member& member, std::uint64_t min, std::uint64_t max) {
    if (member.value.kind != Value::Kind::integer) {
        wrong_type(member, "an integer");
        return std::nullopt;
    }
    const auto value = member.value.integer;
    if (value >= 0 && static_cast<std::uint64_t>(value) >= min && static_cast<std::uint64_t>(value) <= max)
        return static_cast<std::uint64_t>(value);
    complain(member.value.at, fmt::format("'{}' is {}, but it goes from {} to {}", member.key, value, min, max));
    return std::nullopt;
}

std::optional<std::string> ValueReader::scalar(const Member& member) {
    if (member.value.kind == Value::Kind::string)
        return member.value.string;
    if (member.value.kind == Value::Kind::integer)
        return std::to_string(member.value.integer);
    wrong_type(member, "a string or an integer");
    return std::nullopt;
}

std::optional<std::vector<std::string>> ValueReader::strings(const Member& member) {
    if (member.value.kind != Value::Kind::array) {
        wrong_type(member, "an array of strings", fmt::format("write {} = [\"...\"]", member.key));
        return std::nullopt;
    }
    std::vector<std::string> list;
    for (const auto& item : member.value.items) {
        if (item.kind == Value::Kind::string)
            list.push_back(item.string);
        else
            complain(item.at,
                     fmt::format("'{}' must be an array of strings, but it holds {}", member.key, kind_name(item.kind)),
                     "put it in quotes");
    }
    return list;
}

std::vector<const Value*> ValueReader::tables(const Member& member) {
    std::vector<const Value*> list;
    if (member.value.kind != Value::Kind::array) {
        wrong_type(member, "an array of tables", fmt::format("write [[{}]] in two pairs of brackets", member.key));
        return list;
    }
    for (const auto& item : member.value.items) {
        if (item.kind == Value::Kind::table)
            list.push_back(&item);
        else
            complain(item.at,
                     fmt::format("'{}' must be an array of tables, but it holds {}", member.key, kind_name(item.kind)),
                     fmt::format("write [[{}]] in two pairs of brackets", member.key));
    }
    return list;
}

std::optional<std::size_t> ValueReader::choice(const Member& member, std::span<const std::string_view> words) {
    const auto text = string(member);
    if (!text)
        return std::nullopt;
    if (const auto it = std::ranges::find(words, *text); it != words.end())
        return static_cast<std::size_t>(it - words.begin());
    const auto near = nearest(*text, words);
    complain(member.value.at, fmt::format("'{}' can't be '{}'", member.key, *text),
             near.empty() ? fmt::format("it is one of \"{}\"", fmt::join(words, "\", \""))
                          : fmt::format("did you mean \"{}\"?", near));
    return std::nullopt;
}

} // namespace ctrd::config
