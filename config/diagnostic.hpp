// What is wrong with a declaration, and where: all of it, not only the first mistake.
#pragma once

#include "ctrd/base/result.hpp"

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

namespace ctrd::config {

/// A place in a file that a person wrote. `line` 0: the file as a whole; `file` empty: no file (an ad-hoc container).
struct Location {
    std::string file{};
    std::uint32_t line{0};
    std::uint32_t column{0};
    bool operator==(const Location&) const = default;
};

struct Diagnostic {
    Location at{};
    std::string message{}; // lower case, no full stop
    std::string hint{};    // may be empty
    bool operator==(const Diagnostic&) const = default;
};
using Diagnostics = std::vector<Diagnostic>;

/// "file:line:column: message\n  hint: ...", without what is not known.
std::string to_text(const Diagnostic& diagnostic);
/// One line each (two with a hint), in the order of file and line.
std::string to_text(const Diagnostics& diagnostics);
/// For a caller that reports one Error: the first message, and the others as the hint.
Error to_error(const Diagnostics& diagnostics);
/// A failure that has no place in a file, such as a folder that can't be read.
Diagnostics from_error(const Error& error, std::string file = {});

/// A value, or everything that keeps it from being one (never empty).
template <class T> struct [[nodiscard]] Outcome : std::expected<T, Diagnostics> {
    using std::expected<T, Diagnostics>::expected;
};
inline std::unexpected<Diagnostics> refuse(Diagnostics diagnostics) {
    return std::unexpected<Diagnostics>{std::move(diagnostics)};
}

} // namespace ctrd::config
