#include "ctrd/image/layer_writer.hpp"

#include <algorithm>

namespace ctrd::image {
namespace {

constexpr std::string_view whiteout_prefix = ".wh.";
constexpr std::string_view opaque_marker = ".wh..wh..opq";
constexpr std::uint64_t most_implied_bytes = 64U << 20;

} // namespace

Result<std::string> clean_entry_path(std::string_view path) {
    std::string clean;
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view component = path.substr(begin, end - begin);
        begin = end + 1;
        if (component.empty() || component == ".")
            continue;
        if (component == "..")
            return fail(bad_input("'" + printable(path.substr(0, 300)) + "' has '..' in it"));
        if (component.size() > 255)
            return fail(bad_input("'" + printable(path.substr(0, 300)) + "' has a name of more than 255 bytes"));
        clean += clean.empty() ? "" : "/";
        clean += component;
    }
    if (clean.size() >= 4096)
        return fail(bad_input("'" + printable(path.substr(0, 300)) + "...' is a path of more than 4095 bytes"));
    return clean;
}

Result<void> LayerCount::add_entry() {
    if (++entries_ <= most_entries_)
        return {};
    return fail(Error{std::errc::file_too_large, "the layer has more than " + std::to_string(most_entries_) +
                                                     " entries, with the folders that their paths need"});
}

Result<void> LayerCount::add_implied(const std::string& path) {
    TRY_VOID(add_entry());
    implied_bytes_ += path.size();
    if (implied_bytes_ <= most_implied_bytes)
        return {};
    return fail(Error{std::errc::file_too_large, "the layer's paths need more folders than any real layer's do"});
}

Result<void> check_size(const TarEntry& entry, const LayerLimits& limits) {
    if (entry.size <= limits.file_size)
        return {};
    return fail(Error{std::errc::file_too_large,
                      "'" + printable(entry.path) + "' has " + std::to_string(entry.size) + " bytes"});
}

Result<void> for_content(const TarEntry& entry, TarReader& data,
                         const std::function<Result<void>(std::uint64_t offset, std::string_view)>& sink) {
    std::size_t segment = 0;
    std::uint64_t in_segment = 0;
    std::uint64_t offset = 0;
    for (auto part = TRY(data.data()); !part.empty(); part = TRY(data.data())) {
        while (!part.empty()) {
            std::size_t size = part.size();
            while (entry.sparse && in_segment == entry.segments[segment].length) {
                ++segment; // check_segments: together they are as long as the data
                in_segment = 0;
            }
            if (entry.sparse) {
                offset = entry.segments[segment].offset + in_segment;
                size = static_cast<std::size_t>(
                    std::min<std::uint64_t>(size, entry.segments[segment].length - in_segment));
            }
            TRY_VOID(sink(offset, part.substr(0, size)));
            offset += size;
            in_segment += size;
            part.remove_prefix(size);
        }
    }
    return {};
}

Result<Whiteout> whiteout_of(const std::string& name, const std::string& path) {
    if (!name.starts_with(whiteout_prefix))
        return Whiteout{};
    if (name == opaque_marker)
        return Whiteout{Whiteout::Kind::opaque};
    std::string hidden = name.substr(whiteout_prefix.size());
    if (hidden.starts_with(whiteout_prefix))
        return Whiteout{Whiteout::Kind::ignored};
    if (hidden.empty() || hidden == "." || hidden == "..")
        return fail(bad_input("'" + printable(path) + "' deletes nothing that could be there"));
    return Whiteout{Whiteout::Kind::hidden, std::move(hidden)};
}

} // namespace ctrd::image
