// Failure as a value: what was being done, where, why, and what the reader can do about it.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace ctrd {

struct Error {
    std::errc code{std::errc::io_error};
    std::string message{}; // lower case, no full stop, user strings in single quotes
    std::string hint{};    // what to do about it; may be empty
};

/// The error of a system call: `doing` plus the text of `err`.
Error os_error(int err, std::string_view doing, std::string_view hint = {});
/// An error that is not the kernel's: bad input, by default.
Error bad_input(std::string_view message, std::string_view hint = {});
/// The text of an errno value; thread-safe, never empty.
std::string errno_text(int err);
/// One line that can be shown anywhere: control characters, which a configuration may hold and a terminal obeys, as
/// \xNN, and what is longer than anybody reads cut off.
std::string printable(std::string_view text);
/// "message" or "message\n  hint: ...", as printed after a program's name.
std::string to_text(const Error& error);

template <class T> struct [[nodiscard]] Result : std::expected<T, Error> {
    using std::expected<T, Error>::expected;

    /// Puts `doing` before the message on the way up; a success passes through unchanged.
    Result context(std::string_view doing) && {
        if (!*this)
            this->error().message = std::string{doing} + ": " + this->error().message;
        return std::move(*this);
    }
};

inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>{std::move(error)}; }

} // namespace ctrd

/// The value of a Result, or return its error. In an aggregate's braces only the first: GCC 12 leaks those before it.
#define TRY(expr)                                                                                                      \
    (__extension__({                                                                                                   \
        auto try_result_ = (expr);                                                                                     \
        if (!try_result_)                                                                                              \
            return std::unexpected(std::move(try_result_).error());                                                    \
        *std::move(try_result_);                                                                                       \
    }))

/// The same for a Result<void>.
#define TRY_VOID(expr)                                                                                                 \
    do {                                                                                                               \
        if (auto try_result_ = (expr); !try_result_)                                                                   \
            return std::unexpected(std::move(try_result_).error());                                                    \
    } while (false)
