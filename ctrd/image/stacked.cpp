// Looking into layers as overlayfs does, without a mount: settle.hpp.
#include "ctrd/image/settle.hpp"
#include "ctrd/image/xattrs.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>

namespace ctrd::image {
namespace {

UniqueFd open_path(int folder, const std::string& name) {
    return UniqueFd{::openat(folder, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
}

bool hides_below(int folder) {
    const UniqueFd readable{::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    return readable && is_opaque(readable.get());
}

/// One step down: what has the name in the uppermost layer decides, and for a folder those below that are folders too.
/// `stack` becomes the folders; false: it is none, and `only` is what it is (nothing, if that is empty).
Result<bool> step_down(std::vector<UniqueFd>& stack, const std::string& name, UniqueFd& only, UniqueFd& in) {
    std::vector<UniqueFd> next;
    for (const UniqueFd& folder : stack) {
        UniqueFd there = open_path(folder.get(), name);
        if (!there && errno == ENOENT)
            continue;
        struct stat st {};
        if (!there || ::fstat(there.get(), &st) < 0)
            return fail(os_error(errno, "cannot look at '" + printable(name) + "' in a lower layer"));
        if (!S_ISDIR(st.st_mode)) {
            const bool deleted = S_ISCHR(st.st_mode) && st.st_rdev == 0;
            if (next.empty() && !deleted) {
                only = std::move(there);
                in = TRY(dup(folder.get()));
            }
            break;
        }
        const bool last = hides_below(there.get());
        next.push_back(std::move(there));
        if (last)
            break;
    }
    stack = std::move(next);
    return !stack.empty();
}

} // namespace

Result<Found> find_in_layers(std::span<const UniqueFd> layers, const std::string& path) {
    Found found;
    std::vector<UniqueFd> stack;
    for (const UniqueFd& layer : layers)
        stack.push_back(TRY(dup(layer.get())));
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string name = path.substr(begin, end - begin);
        found.path = path.substr(0, end);
        begin = end + 1;
        UniqueFd only;
        if (TRY(step_down(stack, name, only, found.folder)))
            continue;
        if (!only)
            return found;
        struct stat st {};
        if (::fstat(only.get(), &st) < 0)
            return fail(os_error(errno, "cannot look at '" + printable(found.path) + "' in a lower layer"));
        found.kind = S_ISLNK(st.st_mode) ? Found::Kind::link : Found::Kind::other;
        if (found.kind == Found::Kind::other && begin < path.size())
            found.kind = Found::Kind::nothing; // a file in the middle of the path
        if (found.kind == Found::Kind::link) {
            char target[PATH_MAX];
            const ssize_t length = ::readlinkat(only.get(), "", target, sizeof target);
            if (length < 0)
                return fail(os_error(errno, "cannot read the link '" + printable(found.path) + "' in a lower layer"));
            found.target.assign(target, static_cast<std::size_t>(length));
        }
        found.file = std::move(only);
        return found;
    }
    found.kind = stack.empty() ? Found::Kind::nothing : Found::Kind::folder;
    if (!stack.empty())
        found.file = std::move(stack.front());
    return found;
}

Result<std::string> resolve_in_layers(std::span<const UniqueFd> layers, const std::string& path) {
    std::string current = path;
    for (int links = 0; links < 40; ++links) {
        const Found found = TRY(find_in_layers(layers, current));
        if (found.kind == Found::Kind::nothing)
            return std::string{};
        if (found.kind != Found::Kind::link)
            return current;
        // Where the link leads, and what of the path comes after it; ".." goes up and stops at the root.
        const std::size_t slash = found.path.rfind('/');
        const std::string before =
            slash == std::string::npos || found.target.starts_with('/') ? "" : found.path.substr(0, slash);
        const std::string whole = before + "/" + found.target + current.substr(found.path.size());
        std::vector<std::string> parts;
        for (std::size_t begin = 0; begin < whole.size();) {
            const std::size_t end = std::min(whole.find('/', begin), whole.size());
            std::string part = whole.substr(begin, end - begin);
            begin = end + 1;
            if (part == ".." && !parts.empty())
                parts.pop_back();
            else if (!part.empty() && part != "." && part != "..")
                parts.push_back(std::move(part));
        }
        current.clear();
        for (const std::string& part : parts)
            current += (current.empty() ? "" : "/") + part;
    }
    return fail(os_error(ELOOP, "'" + printable(path) + "' in the lower layers"));
}

} // namespace ctrd::image
