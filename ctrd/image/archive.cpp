#include "ctrd/image/archive.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"
#include "ctrd/image/chunk_queue.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace ctrd::image {
namespace {

constexpr std::size_t max_members = 100'000;

/// A file from its beginning, by pread: its offset is nobody's.
class FileSource : public ChunkSource {
public:
    explicit FileSource(int file) : file_{file} {}
    Result<std::string_view> next() override {
        const ssize_t n = ::pread(file_, buffer_.data(), buffer_.size(), static_cast<off_t>(offset_));
        if (n < 0)
            return fail(os_error(errno, "cannot read the archive"));
        offset_ += static_cast<std::uint64_t>(n);
        return std::string_view{buffer_.data(), static_cast<std::size_t>(n)};
    }
    Result<bool> jump(std::uint64_t size) override {
        offset_ += size;
        return true;
    }

private:
    int file_;
    std::uint64_t offset_{0};
    std::string buffer_ = std::string(chunk_size, '\0');
};

/// The whole input into `to`, not compressed.
Result<void> spool(int from, int to, std::string first, const LayerLimits& limits) {
    const Compression compression = TRY(detect_compression(first));
    const auto decompressor = Decompressor::make(compression);
    std::uint64_t size = 0;
    const auto sink = [&](std::string_view data) -> Result<void> {
        size += data.size();
        if (size > limits.bytes)
            return fail(Error{std::errc::file_too_large, "it has more than " + std::to_string(limits.bytes) + " bytes",
                              "if you trust it, allow more by --max-layer-size"});
        TRY_VOID(charge(limits.budget, data.size()));
        return write_all(to, data);
    };
    for (std::string data = std::move(first); !data.empty();) {
        TRY_VOID(decompressor->feed(data, sink));
        data.resize(chunk_size);
        ssize_t n = -1;
        do
            n = ::read(from, data.data(), data.size());
        while (n < 0 && errno == EINTR);
        if (n < 0)
            return fail(os_error(errno, "cannot read"));
        data.resize(static_cast<std::size_t>(n));
    }
    return decompressor->finish();
}

Result<std::string> first_chunk(int file) {
    std::string data(chunk_size, '\0');
    std::size_t have = 0;
    while (have < 512) {
        const ssize_t n = ::read(file, data.data() + have, data.size() - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(os_error(errno, "cannot read the archive"));
        if (n == 0)
            break;
        have += static_cast<std::size_t>(n);
    }
    data.resize(have);
    return data;
}

} // namespace

Result<Archive> Archive::open(UniqueFd file, const Workspace& workspace, const LayerLimits& limits) {
    struct stat st {};
    if (::fstat(file.get(), &st) < 0)
        return fail(os_error(errno, "cannot look at the archive"));
    Archive archive{std::move(file)};
    archive.is_folder_ = S_ISDIR(st.st_mode);
    if (archive.is_folder_)
        return archive;
    std::string first = TRY(first_chunk(archive.file_.get()));
    if (first.empty())
        return fail(bad_input("it is empty"));
    const bool plain = TRY(detect_compression(first)) == Compression::none;
    if (!S_ISREG(st.st_mode) || !plain) {
        UniqueFd spooled = TRY(workspace.new_file("archive"));
        TRY_VOID(spool(archive.file_.get(), spooled.get(), std::move(first), limits));
        archive.file_ = std::move(spooled);
    }
    TRY_VOID(archive.index());
    return archive;
}

Result<void> Archive::index() {
    struct stat st {};
    if (::fstat(file_.get(), &st) < 0)
        return fail(os_error(errno, "cannot look at the archive"));
    FileSource source{file_.get()};
    TarReader reader{source};
    std::map<std::string, std::string> links;
    while (const auto entry = TRY(reader.next())) {
        const std::string name = TRY(clean_entry_path(entry->path));
        if (members_.size() + links.size() >= max_members)
            return fail(bad_input("the archive has more than " + std::to_string(max_members) + " members"));
        using Type = TarEntry::Type;
        if (entry->type == Type::file && !entry->sparse) {
            const std::uint64_t begin = reader.position();
            if (begin + entry->stored_size > static_cast<std::uint64_t>(st.st_size))
                return fail(bad_input("the tar archive is damaged: it ends in the middle of a file"));
            members_.insert_or_assign(name, Range{begin, entry->stored_size});
        } else if (entry->type == Type::symlink || entry->type == Type::hard_link) {
            const std::size_t slash = name.rfind('/');
            const bool relative = entry->type == Type::symlink && slash != std::string::npos;
            links[name] = (relative ? name.substr(0, slash + 1) : "") + entry->link;
        }
    }
    return add_links(links);
}

/// Old archives of Docker have a layer that occurs twice as a link: "ID/layer.tar -> ../OTHER/layer.tar".
Result<void> Archive::add_links(const std::map<std::string, std::string>& links) {
    for (const auto& [name, target] : links) {
        std::string clean;
        for (std::size_t begin = 0; begin < target.size();) {
            const std::size_t end = std::min(target.find('/', begin), target.size());
            const std::string part = target.substr(begin, end - begin);
            begin = end + 1;
            if (part == "..")
                clean.resize(clean.rfind('/') == std::string::npos ? 0 : clean.rfind('/'));
            else if (!part.empty() && part != ".")
                clean += (clean.empty() ? "" : "/") + part;
        }
        if (const auto found = members_.find(clean); found != members_.end() && clean != name)
            members_.try_emplace(name, found->second);
    }
    return {};
}

bool Archive::has(const std::string& name) const {
    if (!is_folder_)
        return members_.contains(name);
    return UniqueFd{rooted::open_raw(file_.get(), name.c_str(), O_PATH)}.get() >= 0;
}

Result<LayerInput> Archive::member(const std::string& name) const {
    if (!is_folder_) {
        const auto found = members_.find(name);
        if (found == members_.end())
            return fail(os_error(ENOENT, "'" + printable(name) + "' in the archive"));
        return LayerInput{TRY(dup(file_.get())), found->second.offset, found->second.length};
    }
    UniqueFd file{rooted::open_raw(file_.get(), name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY)};
    struct stat st {};
    if (!file || ::fstat(file.get(), &st) < 0)
        return fail(os_error(errno, "'" + printable(name) + "' in the layout"));
    if (!S_ISREG(st.st_mode))
        return fail(bad_input("'" + printable(name) + "' in the layout is not a regular file"));
    return LayerInput{std::move(file), 0, static_cast<std::uint64_t>(st.st_size)};
}

Result<std::string> Archive::text(const std::string& name) const {
    const LayerInput input = TRY(member(name));
    if (input.length > max_document_size)
        return fail(bad_input("'" + printable(name) + "' has " + std::to_string(input.length) +
                              " bytes, more than any such document"));
    std::string text(static_cast<std::size_t>(input.length), '\0');
    std::size_t have = 0;
    while (have < text.size()) {
        const ssize_t n =
            ::pread(input.file.get(), text.data() + have, text.size() - have, static_cast<off_t>(*input.offset + have));
        if (n <= 0)
            return fail(n < 0 ? os_error(errno, "cannot read '" + printable(name) + "'")
                              : bad_input("'" + printable(name) + "' is shorter than it was"));
        have += static_cast<std::size_t>(n);
    }
    return text;
}

} // namespace ctrd::image
