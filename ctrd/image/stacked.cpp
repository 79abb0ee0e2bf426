#include "ctrd/image/stacked.hpp"

#include <cerrno>

namespace ctrd::image {
namespace {

std::string at(const std::string& name) { return "'" + printable(name) + "' in a lower layer"; }

/// One step down: what has the name in the uppermost layer decides, and for a folder those below that are folders too.
/// `stack` becomes the folders; false: it is none, and `only` is what it is, if anything.
Result<bool> step_down(std::vector<LayerNode>& stack, const std::string& name, std::optional<LayerNode>& only) {
    std::vector<LayerNode> next;
    for (const LayerNode& folder : stack) {
        auto there = TRY(folder.child(name).context(at(name)));
        if (!there)
            continue;
        if (!there->is_folder()) {
            if (next.empty() && !there->is_whiteout())
                only = std::move(there);
            break;
        }
        const bool last = TRY(there->is_opaque().context(at(name)));
        next.push_back(*std::move(there));
        if (last)
            break;
    }
    stack = std::move(next);
    return !stack.empty();
}

} // namespace

Result<Found> find_in_layers(std::span<const LayerNode> layers, const std::string& path) {
    Found found;
    std::vector<LayerNode> stack{layers.begin(), layers.end()};
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string name = path.substr(begin, end - begin);
        found.path = path.substr(0, end);
        begin = end + 1;
        std::optional<LayerNode> only;
        if (TRY(step_down(stack, name, only)))
            continue;
        if (!only)
            return found;
        found.kind = S_ISLNK(only->stat().st_mode) ? Found::Kind::link : Found::Kind::other;
        if (found.kind == Found::Kind::other && begin < path.size())
            found.kind = Found::Kind::nothing; // a file in the middle of the path
        if (found.kind == Found::Kind::link)
            found.target = TRY(only->target().context(at(found.path)));
        found.node = std::move(only);
        return found;
    }
    found.kind = stack.empty() ? Found::Kind::nothing : Found::Kind::folder;
    if (!stack.empty())
        found.node = std::move(stack.front());
    return found;
}

Result<std::string> resolve_in_layers(std::span<const LayerNode> layers, const std::string& path) {
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
