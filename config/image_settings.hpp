// /etc/ctrd/images.toml: what holds for the image store of this machine.
#pragma once

#include "config/diagnostic.hpp"

#include <cstdint>
#include <optional>

namespace ctrd::config {

/// Whether unpacked layers are sealed by fs-verity.
enum class Verity {
    no,
    automatic, // where the file system has it
    required
};

/// How layers that come are stored.
enum class LayerStorage { folders, erofs };

struct ImageSettings {
    /// Bytes that the store may take; containers' changes count, and aren't stopped.
    std::optional<std::uint64_t> max_size{};
    Verity verity{Verity::no};
    LayerStorage layers{LayerStorage::folders};
};

inline constexpr const char* image_settings_file = "/etc/ctrd/images.toml";

/// Pure.
Outcome<ImageSettings> parse_image_settings(std::string_view text, const std::string& file);
/// No file says nothing.
Result<ImageSettings> read_image_settings(const std::string& path = image_settings_file);

} // namespace ctrd::config
