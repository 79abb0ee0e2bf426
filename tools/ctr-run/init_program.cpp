#include "tools/ctr-run/init_program.hpp"

#include <fcntl.h>
#include <sys/mount.h>

#include <cerrno>

namespace ctrd::run {
namespace {

constexpr const char* program = CTRD_LIBEXECDIR "/ctr-init";

} // namespace

Result<UniqueFd> open_init() {
    UniqueFd file{::open_tree(AT_FDCWD, program, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)};
    mount_attr attr{};
    attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    if (!file || ::mount_setattr(file.get(), "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
        return fail(os_error(errno, "init: cannot open '" + std::string{program} + "'"));
    return file;
}

std::vector<std::string> init_arguments(const Declared& declared) {
    return {"ctr-init", std::to_string(declared.stop_signal), std::to_string(declared.stop_timeout.count())};
}

} // namespace ctrd::run
