#include "ctrd/base/result.hpp"

#include <cstring>

namespace ctrd {

std::string errno_text(int err) {
    char buffer[128];
    return ::strerror_r(err, buffer, sizeof buffer); // the GNU variant returns the text
}

Error os_error(int err, std::string_view doing, std::string_view hint) {
    return {static_cast<std::errc>(err), std::string{doing} + ": " + errno_text(err), std::string{hint}};
}

Error bad_input(std::string_view message, std::string_view hint) {
    return {std::errc::invalid_argument, std::string{message}, std::string{hint}};
}

std::string printable(std::string_view text) {
    constexpr std::size_t longest = 4096;
    constexpr std::string_view digits = "0123456789abcdef";
    std::string result;
    for (const char c : text.substr(0, longest)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= ' ' && byte != 0x7f)
            result += c;
        else
            result += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
    return text.size() > longest ? result + "..." : result;
}

std::string to_text(const Error& error) {
    return error.hint.empty() ? error.message : error.message + "\n  hint: " + error.hint;
}

} // namespace ctrd
