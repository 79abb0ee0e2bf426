#include "ctrd/image/layer_node.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/erofs/reader.hpp"
#include "ctrd/image/xattrs.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace ctrd::image {
namespace {

using Xattrs = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t copied_at_once = 1U << 18;

struct stat stat_of(const erofs::Found& file) {
    struct stat st {};
    st.st_mode = file.node.mode;
    st.st_uid = file.node.uid;
    st.st_gid = file.node.gid;
    st.st_rdev = ::makedev(file.node.major, file.node.minor);
    st.st_nlink = file.node.links;
    st.st_size = static_cast<off_t>(file.size);
    st.st_mtim = st.st_atim = {file.node.seconds, static_cast<long>(file.node.nanoseconds)};
    return st;
}

} // namespace

struct LayerNode::Kind {
    Kind() = default;
    Kind(const Kind&) = delete;
    Kind& operator=(const Kind&) = delete;
    virtual ~Kind() = default;
    virtual Result<std::optional<LayerNode>> child(const std::string& name) const = 0;
    virtual Result<bool> is_opaque() const = 0;
    virtual Result<std::string> target() const = 0;
    virtual Result<Xattrs> xattrs() const = 0;
    virtual Result<std::string> read(std::size_t limit) const = 0;
    virtual Result<void> copy_to(int file) const = 0;
};

/// `file` is O_PATH; what is to be read is opened anew, by its name in `parent`. The root has none.
struct LayerNode::InFolder : Kind, std::enable_shared_from_this<InFolder> {
    InFolder(UniqueFd itself, std::shared_ptr<const InFolder> in, std::string its_name)
        : file{std::move(itself)}, parent{std::move(in)}, name{std::move(its_name)} {}

    Result<std::optional<LayerNode>> child(const std::string& wanted) const override {
        UniqueFd there{::openat(file.get(), wanted.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
        if (!there && errno == ENOENT)
            return std::optional<LayerNode>{};
        struct stat st {};
        if (!there || ::fstat(there.get(), &st) < 0)
            return fail(os_error(errno, "cannot look at it"));
        return std::optional{LayerNode{std::make_shared<InFolder>(std::move(there), shared_from_this(), wanted), st}};
    }
    Result<bool> is_opaque() const override {
        const UniqueFd readable{::openat(file.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        return readable && image::is_opaque(readable.get());
    }
    Result<std::string> target() const override {
        char text[PATH_MAX];
        const ssize_t length = ::readlinkat(file.get(), "", text, sizeof text);
        if (length < 0)
            return fail(os_error(errno, "cannot read the link"));
        return std::string{text, static_cast<std::size_t>(length)};
    }
    Result<Xattrs> xattrs() const override {
        const UniqueFd readable = TRY(open());
        return read_xattrs(readable.get());
    }
    Result<std::string> read(std::size_t limit) const override {
        const UniqueFd readable = TRY(open());
        return read_all(readable.get(), limit);
    }
    Result<void> copy_to(int to) const override {
        const UniqueFd readable = TRY(open());
        struct stat st {};
        if (::fstat(readable.get(), &st) < 0 || ::ftruncate(to, st.st_size) < 0)
            return fail(os_error(errno, "cannot copy it"));
        for (off_t at = ::lseek(readable.get(), 0, SEEK_DATA); at >= 0; at = ::lseek(readable.get(), at, SEEK_DATA)) {
            const off_t end = ::lseek(readable.get(), at, SEEK_HOLE);
            for (off_t out = at; at < end;) {
                const auto some = static_cast<std::size_t>(std::min<off_t>(end - at, 1 << 30));
                if (::copy_file_range(readable.get(), &at, to, &out, some, 0) <= 0)
                    return fail(os_error(errno, "cannot copy it"));
            }
        }
        return errno == ENXIO ? Result<void>{} : fail(os_error(errno, "cannot copy it")); // no more data
    }

    UniqueFd file;
    std::shared_ptr<const InFolder> parent;
    std::string name;

private:
    Result<UniqueFd> open() const {
        constexpr int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
        return parent ? open_at(parent->file.get(), name, flags) : open_at(file.get(), ".", flags);
    }
};

struct LayerNode::InErofs : Kind {
    InErofs(std::shared_ptr<const erofs::Reader> from, const erofs::Found& found)
        : reader{std::move(from)}, file{found} {}

    Result<std::optional<LayerNode>> child(const std::string& name) const override {
        const auto found = TRY(reader->find(file, name));
        return found ? std::optional{LayerNode{std::make_shared<InErofs>(reader, *found), stat_of(*found)}}
                     : std::optional<LayerNode>{};
    }
    Result<bool> is_opaque() const override {
        const auto all = TRY(reader->xattrs(file));
        return std::ranges::find(all, std::pair<std::string, std::string>{opaque_name, "y"}) != all.end();
    }
    Result<std::string> target() const override { return reader->read(file, 0, PATH_MAX); }
    Result<Xattrs> xattrs() const override {
        Xattrs all = TRY(reader->xattrs(file));
        std::erase_if(all, [](const auto& one) { return !takes_xattr(one.first); });
        return all;
    }
    Result<std::string> read(std::size_t limit) const override {
        if (file.size > limit)
            return fail(os_error(EFBIG, "more than " + std::to_string(limit) + " bytes"));
        return reader->read(file, 0, limit);
    }
    Result<void> copy_to(int to) const override {
        for (std::uint64_t at = 0; at < file.size; at += copied_at_once) {
            const std::string data = TRY(reader->read(file, at, copied_at_once));
            if (data.find_first_not_of('\0') == std::string::npos) { // a hole, or as good as one
                if (::lseek(to, static_cast<off_t>(data.size()), SEEK_CUR) < 0)
                    return fail(os_error(errno, "cannot copy it"));
            } else {
                TRY_VOID(write_all(to, data));
            }
        }
        return ::ftruncate(to, static_cast<off_t>(file.size)) == 0 ? Result<void>{}
                                                                   : fail(os_error(errno, "cannot copy it"));
    }

    std::shared_ptr<const erofs::Reader> reader;
    erofs::Found file;
};

Result<LayerNode> LayerNode::root(UniqueFd layer) {
    struct stat st {};
    if (::fstat(layer.get(), &st) < 0)
        return fail(os_error(errno, "cannot look at a layer"));
    if (S_ISDIR(st.st_mode))
        return LayerNode{std::make_shared<InFolder>(std::move(layer), nullptr, ""), st};
    const auto reader = std::make_shared<const erofs::Reader>(TRY(erofs::Reader::open(std::move(layer))));
    const erofs::Found found = TRY(reader->root());
    return LayerNode{std::make_shared<InErofs>(reader, found), stat_of(found)};
}

Result<std::optional<LayerNode>> LayerNode::child(const std::string& name) const { return kind_->child(name); }
Result<bool> LayerNode::is_opaque() const { return kind_->is_opaque(); }
Result<std::string> LayerNode::target() const { return kind_->target(); }
Result<Xattrs> LayerNode::xattrs() const { return kind_->xattrs(); }
Result<std::string> LayerNode::read(std::size_t limit) const { return kind_->read(limit); }
Result<void> LayerNode::copy_to(int file) const { return kind_->copy_to(file); }

} // namespace ctrd::image
