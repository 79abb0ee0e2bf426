// Every key that a declaration may have. The reader knows no other list; the reference in docs/ is tested against it.
#pragma once

#include <span>
#include <string_view>

namespace ctrd::config {

std::span<const std::string_view> top_level_keys();
std::span<const std::string_view> socket_keys();
std::span<const std::string_view> mount_keys();
std::span<const std::string_view> trigger_keys();
std::span<const std::string_view> resource_keys();

/// Why `key` of `table` ("" for the top level) is not taken although it means something, else empty.
std::string_view refused_key(std::string_view table, std::string_view key);

} // namespace ctrd::config
