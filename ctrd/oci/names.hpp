// Names of the kernel's flags as config.json writes them.
#pragma once

#include "ctrd/oci/reader.hpp"

#include <array>
#include <cstdint>
#include <optional>

namespace ctrd::oci {

/// "CAP_CHOWN" -> 0; any case, as runc takes it.
std::optional<unsigned> capability_number(const std::string& name);
/// 0 -> "CAP_CHOWN"; a number that has no name stays one: "CAP_63".
std::string capability_name(unsigned number);
/// "RLIMIT_NOFILE" -> RLIMIT_NOFILE.
std::optional<int> rlimit_number(std::string_view name);
/// "network" -> CLONE_NEWNET.
std::optional<std::uint64_t> namespace_flag(std::string_view type);

/// One word of a configuration and the kernel's number for it.
struct Named {
    std::string_view name;
    int value;
};

template <std::size_t N>
Result<int> named(const std::array<Named, N>& table, const Reader& in, std::string_view key, const std::string& name) {
    for (const Named& entry : table)
        if (entry.name == name)
            return entry.value;
    return fail(bad_input(in.at(key) + ": '" + name + "' is not one that ctrd knows"));
}

/// The same for the string at `key`, which must be there.
template <std::size_t N>
Result<int> required_named(const std::array<Named, N>& table, const Reader& in, const char* key) {
    auto name = in.required_string(key);
    if (!name)
        return fail(std::move(name).error());
    return named(table, in, key, *name);
}

} // namespace ctrd::oci
