#include "ctrd/activation/stop_mark.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"

#include <unistd.h>

#include <cerrno>

namespace ctrd::activation {
namespace {

std::string mark_path(std::string_view container) { return "/run/ctrd/run/" + std::string{container} + ".stop"; }

} // namespace

Result<void> mark_stop(std::string_view container) {
    TRY_VOID(check_container_name(container));
    return write_atomic(mark_path(container), "", 0600);
}

bool is_stop_marked(std::string_view container) {
    return is_container_name(container) && ::access(mark_path(container).c_str(), F_OK) == 0;
}

Result<void> unmark_stop(std::string_view container) {
    TRY_VOID(check_container_name(container));
    if (::unlink(mark_path(container).c_str()) < 0 && errno != ENOENT)
        return fail(os_error(errno, "cannot remove '" + mark_path(container) + "'"));
    return {};
}

} // namespace ctrd::activation
