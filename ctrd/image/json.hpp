// Hostile JSON, bounded in size and depth before a tree is made of it.
#pragma once

#include "ctrd/oci/reader.hpp"

namespace ctrd::image {

using Json = nlohmann::json;

/// The top must be an object. At most `limit` bytes and 32 levels.
Result<Json> parse_json(std::string_view text, std::size_t limit);

/// A string of at most `limit` bytes without control characters.
Result<std::string> plain_string(const oci::Reader& reader, const char* key, std::size_t limit = 4096);

} // namespace ctrd::image
