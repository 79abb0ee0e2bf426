// A TOML text as values that know where they were written, and how the files of one container become one document.
#pragma once

#include "config/diagnostic.hpp"

#include <string_view>

namespace ctrd::config {

struct Member;

struct Value {
    enum class Kind { string, integer, real, boolean, date, array, table };
    Kind kind{Kind::table};
    std::string string{};
    std::int64_t integer{0};
    double real{0};
    bool boolean{false};
    std::vector<Value> items{};    // of an array
    std::vector<Member> members{}; // of a table, in the order in which toml++ sorts them
    Location at{};

    [[nodiscard]] const Member* find(std::string_view key) const;
};

struct Member {
    std::string key{};
    Location at{}; // of the key
    Value value{};
};

/// "a string", "an integer" ...: as a message names it.
std::string_view kind_name(Value::Kind kind);

/// `file` is only named in locations. A syntax error is the one diagnostic.
Outcome<Value> parse_toml(std::string_view text, const std::string& file);

/// Puts a later file over an earlier one: tables are merged, scalars and plain arrays replaced. An element of
/// [[socket]] changes the earlier one of the same name, of [[mount]] the one with the same target; others are added.
/// An empty array takes away what came before.
void merge(Value& base, const Value& over);

} // namespace ctrd::config
