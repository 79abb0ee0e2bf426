// Typed access to a JSON object that knows its own place ("linux.resources") for the message.
#pragma once

#include "ctrd/base/result.hpp"

#include <nlohmann/json.hpp>

#include <limits>
#include <optional>

namespace ctrd::oci {

using Json = nlohmann::json;

class Reader {
public:
    Reader(const Json& object, std::string place) : object_{&object}, place_{std::move(place)} {}

    static Result<Reader> root(const Json& object);

    /// The member, or nullptr when it is absent or null.
    [[nodiscard]] const Json* find(const char* key) const;
    [[nodiscard]] std::string at(std::string_view key) const;

    Result<std::optional<Reader>> object(const char* key) const;
    Result<std::vector<Reader>> objects(const char* key) const;
    Result<std::vector<std::string>> strings(const char* key) const;
    Result<std::string> string(const char* key) const; // "" when absent
    Result<bool> boolean(const char* key) const;       // false when absent

    template <class T> Result<std::optional<T>> integer(const char* key) const {
        const Json* value = find(key);
        if (value == nullptr)
            return std::optional<T>{};
        if (value->is_number_unsigned()) {
            if (const auto n = value->get<std::uint64_t>(); std::in_range<T>(n))
                return std::optional<T>{static_cast<T>(n)};
            return fail(bad_input(at(key) + " is out of range: " + value->dump()));
        }
        if (value->is_number_integer()) {
            if (const auto n = value->get<std::int64_t>(); std::in_range<T>(n))
                return std::optional<T>{static_cast<T>(n)};
            return fail(bad_input(at(key) + " is out of range: " + value->dump()));
        }
        return fail(bad_input(at(key) + " is not a whole number"));
    }
    template <class T> Result<T> required_integer(const char* key) const {
        const auto value = TRY(integer<T>(key));
        if (!value)
            return fail(bad_input(at(key) + " is missing"));
        return *value;
    }
    Result<std::string> required_string(const char* key) const;

    /// A property of the spec that this runtime does not do: refused unless it is absent or empty.
    Result<void> refuse(std::initializer_list<const char*> keys) const;

    [[nodiscard]] const Json& json() const { return *object_; }
    [[nodiscard]] const std::string& place() const { return place_; }

private:
    const Json* object_;
    std::string place_;
};

/// No NUL byte: such a string would mean one thing to us and another to the kernel.
Result<std::string> checked_string(const Json& value, const std::string& place);

} // namespace ctrd::oci
