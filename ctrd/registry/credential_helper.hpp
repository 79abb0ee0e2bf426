// docker-credential-NAME, as other container tools ask it: a program of its own that keeps passwords elsewhere.
#pragma once

#include "ctrd/registry/credentials.hpp"

#include <chrono>

namespace ctrd::registry {

struct HelperSettings {
    std::vector<std::string> folders{"/usr/local/bin", "/usr/bin", "/usr/libexec/docker", "/usr/lib/docker"};
    std::chrono::milliseconds timeout{30000};
};

/// 1 to 64 of [A-Za-z0-9._-], beginning with a letter or digit: it becomes part of a path.
bool is_helper_name(std::string_view name) noexcept;

/// Nothing where the helper has none for `key`. The helper is looked for in fixed folders, must be nobody's but root's
/// (or our own) to write, and gets a clean environment and no descriptor of ours.
Result<std::optional<Credentials>> ask_helper(const std::string& name, const std::string& key,
                                              const HelperSettings& settings = {});
Result<void> store_with_helper(const std::string& name, const std::string& key, const Credentials& credentials,
                               const HelperSettings& settings = {});
Result<void> erase_with_helper(const std::string& name, const std::string& key, const HelperSettings& settings = {});

} // namespace ctrd::registry
