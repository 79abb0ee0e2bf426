// /run/ctrd/compiled/NAME: what a declaration came to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ctrd::activation {

std::string compiled_folder(std::string_view container);

/// Microseconds since 1970 when the config there was last written: what was started before has another one. 0: there is
/// none.
std::uint64_t compiled_time(std::string_view container);

} // namespace ctrd::activation
