#include "ctrd/image/xattrs.hpp"

#include <sys/xattr.h>

#include <cerrno>

namespace ctrd::image {
namespace {

constexpr std::size_t max_value = 65536;

} // namespace

bool takes_xattr(std::string_view name) noexcept {
    if (name == "security.capability" || name == "system.posix_acl_access" || name == "system.posix_acl_default")
        return true;
    return name.starts_with("user.") && name.size() > 5 && !name.starts_with("user.overlay.");
}

Result<void> set_xattrs(int file, const TarEntry& entry) {
    for (const auto& [name, value] : entry.xattrs) {
        if (!takes_xattr(name))
            continue;
        const bool is_none = name == "security.capability" && value.empty(); // could be set, but not read
        if (is_none || name.size() > 255 || value.size() > max_value || name.find('\0') != std::string::npos)
            return fail(bad_input("'" + printable(entry.path) + "' has an attribute that no file can have"));
        // A file system without them (tmpfs before Linux 6.6) still holds the file.
        if (::fsetxattr(file, name.c_str(), value.data(), value.size(), 0) < 0 && errno != EOPNOTSUPP)
            return fail(os_error(errno, "cannot set the attribute '" + printable(name) + "' of '" +
                                            printable(entry.path) + "'"));
    }
    return {};
}

int set_opaque(int folder) noexcept { return ::fsetxattr(folder, opaque_name, "y", 1, 0); }

bool is_opaque(int folder) noexcept {
    char value = 0;
    return ::fgetxattr(folder, opaque_name, &value, 1) == 1 && value == 'y';
}

Result<std::vector<std::pair<std::string, std::string>>> read_xattrs(int file) {
    std::vector<std::pair<std::string, std::string>> result;
    std::string names(max_value, '\0');
    const ssize_t length = ::flistxattr(file, names.data(), names.size());
    if (length < 0)
        return errno == EOPNOTSUPP ? std::move(result)
                                   : Result<std::vector<std::pair<std::string, std::string>>>{
                                         fail(os_error(errno, "cannot list attributes"))};
    names.resize(static_cast<std::size_t>(length));
    for (std::size_t begin = 0; begin < names.size();) {
        const std::string name = names.c_str() + begin;
        begin += name.size() + 1;
        if (!takes_xattr(name))
            continue;
        std::string value(max_value, '\0');
        const ssize_t size = ::fgetxattr(file, name.c_str(), value.data(), value.size());
        if (size < 0)
            return fail(os_error(errno, "cannot read the attribute '" + name + "'"));
        value.resize(static_cast<std::size_t>(size));
        result.emplace_back(name, std::move(value));
    }
    return result;
}

} // namespace ctrd::image
