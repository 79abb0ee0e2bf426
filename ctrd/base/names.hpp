// Grammars of the names that cross our edge. Anything else is refused before it becomes part of a path or a unit.
#pragma once

#include "ctrd/base/result.hpp"

#include <span>

namespace ctrd {

/// 1..64 of [A-Za-z0-9.-], first and last alphanumeric, no "..": valid as a machine name, a unit instance and a
/// file name alike.
bool is_container_name(std::string_view name) noexcept;
Result<void> check_container_name(std::string_view name);

/// What runc allows as a container id: 1..1024 of [A-Za-z0-9_+.-], not "." or "..".
bool is_container_id(std::string_view id) noexcept;

/// 'SIGTERM', 'TERM' or '15' -> 15; also SIGRTMIN, SIGRTMIN+3 and SIGRTMAX-1.
Result<int> parse_signal(std::string_view text);
/// 15 -> "SIGTERM".
std::string signal_name(int number);

/// What an instance of a warm pool says of itself (STATUS=) until it has its connection, and then.
inline constexpr const char* waiting_status = "Waiting for a connection";
inline constexpr const char* connected_status = "Connected";
/// What ctr-run ends with where such an instance could not be made (EX_UNAVAILABLE).
inline constexpr int not_made_status = 69;

/// The candidate nearest to `name` by edit distance, if it is near enough to be a slip of the fingers; else empty.
std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates);

} // namespace ctrd
