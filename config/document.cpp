#include "config/document.hpp"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
// toml++ 3.3 asserts that a table's name begins with a good character ("[{a]" does not), and has an error for it only
// behind that: a slip in one file would abort the generator, and with it every container.
#define TOML_ASSERT(expr) static_assert(true)
#include <toml++/toml.h>

#include <algorithm>
#include <array>

namespace ctrd::config {
namespace {

Location location(const toml::source_region& source, const std::string& file) {
    return {file, source.begin.line, source.begin.column};
}

Value convert(const toml::node& node, const std::string& file);

Value convert_table(const toml::table& table, const std::string& file) {
    Value value;
    for (auto&& [key, node] : table)
        value.members.push_back({std::string{key.str()}, location(key.source(), file), convert(node, file)});
    return value;
}

Value convert(const toml::node& node, const std::string& file) {
    Value value;
    if (const auto* table = node.as_table()) {
        value = convert_table(*table, file);
    } else if (const auto* array = node.as_array()) {
        value.kind = Value::Kind::array;
        for (const auto& item : *array)
            value.items.push_back(convert(item, file));
    } else if (const auto* text = node.as_string()) {
        value.kind = Value::Kind::string;
        value.string = text->get();
    } else if (const auto* integer = node.as_integer()) {
        value.kind = Value::Kind::integer;
        value.integer = integer->get();
    } else if (const auto* boolean = node.as_boolean()) {
        value.kind = Value::Kind::boolean;
        value.boolean = boolean->get();
    } else if (const auto* real = node.as_floating_point()) {
        value.kind = Value::Kind::real;
        value.real = real->get();
    } else {
        value.kind = Value::Kind::date;
    }
    value.at = location(node.source(), file);
    return value;
}

/// Arrays of tables whose elements have an identity, and the key that is it.
constexpr std::array<std::pair<std::string_view, std::string_view>, 2> keyed_arrays{{
    {"socket", "name"},
    {"mount", "target"},
}};

Value* same_element(std::vector<Value>& items, const Value& element, std::string_view identity) {
    const Member* id = element.find(identity);
    if (id == nullptr || id->value.kind != Value::Kind::string)
        return nullptr;
    const auto it = std::ranges::find_if(items, [&](const Value& item) {
        const Member* other = item.find(identity);
        return other != nullptr && other->value.kind == Value::Kind::string && other->value.string == id->value.string;
    });
    return it == items.end() ? nullptr : &*it;
}

/// The elements of `over` among themselves stay as they are: two of one name are a mistake that the checks report.
void merge_elements(Value& base, const Value& over, std::string_view identity) {
    if (over.items.empty())
        base.items.clear();
    std::vector<Value> added;
    for (const auto& element : over.items) {
        if (Value* earlier = same_element(base.items, element, identity))
            merge(*earlier, element);
        else
            added.push_back(element);
    }
    std::ranges::move(added, std::back_inserter(base.items));
}

} // namespace

const Member* Value::find(std::string_view key) const {
    const auto it = std::ranges::find(members, key, &Member::key);
    return it == members.end() ? nullptr : &*it;
}

std::string_view kind_name(Value::Kind kind) {
    switch (kind) {
    case Value::Kind::string:
        return "a string";
    case Value::Kind::integer:
        return "an integer";
    case Value::Kind::real:
        return "a floating-point number";
    case Value::Kind::boolean:
        return "a boolean";
    case Value::Kind::date:
        return "a date or time";
    case Value::Kind::array:
        return "an array";
    case Value::Kind::table:
        return "a table";
    }
    return "something else";
}

Outcome<Value> parse_toml(std::string_view text, const std::string& file) {
    const toml::parse_result result = toml::parse(text, std::string_view{file});
    if (!result) {
        std::string why{result.error().description()};
        if (why.starts_with("Error "))
            why[0] = 'e'; // it goes on in the middle of our sentence
        return refuse({Diagnostic{location(result.error().source(), file), "not valid TOML: " + why, {}}});
    }
    Value root = convert_table(result.table(), file);
    root.at = {file, 0, 0};
    return root;
}

void merge(Value& base, const Value& over) {
    for (const auto& member : over.members) {
        const auto it = std::ranges::find(base.members, member.key, &Member::key);
        if (it == base.members.end()) {
            base.members.push_back(member);
            continue;
        }
        const auto keyed =
            std::ranges::find(keyed_arrays, member.key, &std::pair<std::string_view, std::string_view>::first);
        if (it->value.kind == Value::Kind::table && member.value.kind == Value::Kind::table)
            merge(it->value, member.value);
        else if (keyed != keyed_arrays.end() && it->value.kind == Value::Kind::array &&
                 member.value.kind == Value::Kind::array)
            merge_elements(it->value, member.value, keyed->second);
        else
            *it = member;
    }
}

} // namespace ctrd::config
