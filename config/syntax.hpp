// The small languages inside a declaration: sizes, durations, addresses, users. Pure, strict, without locale.
#pragma once

#include "config/unit_spec.hpp"
#include "ctrd/base/result.hpp"

#include <cstdint>
#include <optional>

namespace ctrd::config {

/// "5min 20s", "1.5h", "90" (seconds), "infinity" -> microseconds, as systemd.time(7) has it.
Result<std::uint64_t> parse_duration(std::string_view text);
/// As systemd reads it back: "90s", "1500ms", "infinity".
std::string duration_text(std::uint64_t microseconds);

/// "20G": K, M, G, T to the base of 1024; not nothing.
Result<std::uint64_t> parse_bytes(std::string_view text);

/// "512M", "1.5G", "80%", "infinity": checked for systemd's MemoryMax= and its like, returned as it is. Nothing at
/// all ("0") makes sense for swap only.
Result<std::string> check_memory(std::string_view text, bool zero_allowed = false);
/// "2%" or "0.5%" -> 20 or 5; from 0.1 to 100000 per cent.
Result<std::uint32_t> parse_permille(std::string_view text);
/// "150%" for CPUQuota=.
Result<std::string> check_cpu_quota(std::string_view text);
/// "1".."10000" for CPUWeight= and IOWeight=; "idle" where `idle_allowed`.
Result<std::string> check_weight(std::string_view text, bool idle_allowed);
/// "64", "10%", "infinity" for TasksMax=.
Result<std::string> check_tasks_max(std::string_view text);

/// "machine-web.slice" or "machine-web": a slice below machine.slice, with its suffix.
Result<std::string> parse_slice(std::string_view text);

struct ListenAddress {
    enum class Kind { port, ipv4, ipv6, path };
    Kind kind{Kind::port};
    std::string text{};    // as ListenStream= takes it, in its shortest form
    std::string host{};    // without brackets; empty for a bare port and a path
    std::uint16_t port{0}; // 0 for a path
    [[nodiscard]] bool wildcard() const { return kind == Kind::port || host == "0.0.0.0" || host == "::"; }
    [[nodiscard]] bool loopback() const { return host == "::1" || host.starts_with("127."); }
};
/// "8080", "0.0.0.0:8080", "[::]:8080", "web.localhost:8080" (which is 127.0.0.1) or "/run/x.sock".
Result<ListenAddress> parse_listen(std::string_view text);

/// Permissions as SocketMode= takes them: "0660".
Result<std::string> check_mode(std::string_view text);

/// A decimal number without sign, blanks or leading zeros.
std::optional<std::uint64_t> parse_decimal(std::string_view text, std::uint64_t max);

/// One half of `user`: an id, or a name to be looked up in the rootfs.
struct Principal {
    std::optional<std::uint32_t> id{};
    std::string name{};
};
struct UserText {
    Principal user{};
    std::optional<Principal> group{};
};
/// "name", "uid", "uid:gid", "name:group". Ids go to 4294967294: the last one means "no id" to the kernel.
Result<UserText> parse_user(std::string_view text);

/// "no", "pick", "identity", "UID" or "UID:COUNT"; nothing is "no".
Result<std::optional<PrivateUsers>> parse_private_users(std::string_view text);
std::string private_users_text(const PrivateUsers& users);

/// Begins with '/', has no component "." or "..", no control character.
Result<void> check_absolute_path(std::string_view path);
/// The same path without doubled and trailing slashes.
std::string clean_path(std::string_view path);
/// No NUL, newline or other control character.
bool is_printable(std::string_view text) noexcept;
/// A valid name of an environment variable: letters, digits and '_', not beginning with a digit.
bool is_environment_name(std::string_view name) noexcept;
bool is_hostname(std::string_view name) noexcept;

} // namespace ctrd::config
