#include "tools/ctr-copy/copy.hpp"

#include <archive.h>

#include <cerrno>

namespace ctrd::copy {

Error archive_failure(archive* handle, std::string_view doing) {
    const int err = ::archive_errno(handle);
    const char* text = ::archive_error_string(handle);
    Error error = bad_input(std::string{doing} + ": " + printable(text != nullptr ? text : "malformed stream"));
    if (err > 0)
        error.code = static_cast<std::errc>(err);
    return error;
}

} // namespace ctrd::copy
