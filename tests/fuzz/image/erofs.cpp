// Fuzz target: a layer of any content as an EROFS file, and a file of any content that is said to be one. An odd first
// byte has the rest taken as such a file, behind a superblock that is right; else it is a layer's tar.
#include "ctrd/image/erofs_layer.hpp"
#include "ctrd/image/layer_node.hpp"

#include "ctrd/base/file.hpp"
#include "tests/fuzz/promise.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <set>

namespace {

using namespace ctrd;
using image::LayerNode;

constexpr std::size_t enough = 1U << 20;

class WholeSource : public image::ChunkSource {
public:
    explicit WholeSource(std::string_view text) : text_{text} {}
    Result<std::string_view> next() override { return std::exchange(text_, {}); }

private:
    std::string_view text_;
};

UniqueFd memory_file() {
    UniqueFd file{::memfd_create("layer", MFD_CLOEXEC)};
    fuzz::promise(static_cast<bool>(file), "there is a file");
    return file;
}

void look(const LayerNode& node) {
    if (S_ISREG(node.stat().st_mode))
        if (const auto read = node.read(enough))
            fuzz::promise(read->size() == static_cast<std::uint64_t>(node.stat().st_size),
                          "a file is as long as it says");
    if (S_ISLNK(node.stat().st_mode))
        if (const auto target = node.target())
            fuzz::promise(target->size() <= 4096, "a link leads no further than a path can be");
    if (node.is_folder())
        static_cast<void>(node.is_opaque());
    static_cast<void>(node.xattrs());
}

/// What the layer holds, as long as its own paths lead there.
void look_at(const LayerNode& root, const std::string& path, bool must_be_read) {
    std::optional<LayerNode> node{root};
    for (std::size_t begin = 0; node && node->is_folder() && begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        auto child = node->child(path.substr(begin, end - begin));
        fuzz::promise(child.has_value() || !must_be_read, "what was written can be read");
        node = child ? *std::move(child) : std::nullopt;
        begin = end + 1;
    }
    if (node)
        look(*node);
}

void write_and_read(std::string_view tar) {
    UniqueFd file = memory_file();
    image::ErofsLayer layer{file.get(), {.bytes = enough, .file_size = enough, .entries = 1000}};
    WholeSource source{tar};
    image::TarReader reader{source};
    std::set<std::string> paths;
    for (;;) {
        const auto entry = reader.next();
        if (!entry || (*entry && !layer.add(**entry, reader)))
            return;
        if (!*entry)
            break;
        if (const auto path = image::clean_entry_path((*entry)->path))
            paths.insert(*path);
    }
    const std::string any_hash(32, 'h');
    const auto settled = layer.settle({}, image::Digest::from_bytes(image::Algorithm::sha256, any_hash));
    if (!settled || !*settled)
        return;
    auto root = LayerNode::root(std::move(file));
    fuzz::promise(root.has_value(), "what was written can be read");
    for (const std::string& path : paths)
        look_at(*root, path, true);
}

void read_any(std::string_view bytes) {
    UniqueFd file = memory_file();
    erofs::Superblock super;
    super.root = erofs::root_at / erofs::slot_size;
    const std::string_view right{reinterpret_cast<const char*>(&super), sizeof super};
    const bool written =
        write_all(file.get(), std::string(erofs::superblock_at, '\0') + std::string{right} + std::string{bytes})
            .has_value();
    fuzz::promise(written, "there is a file");
    const auto root = LayerNode::root(std::move(file));
    if (!root) {
        fuzz::promise(!root.error().message.empty(), "an error says something");
        return;
    }
    look(*root);
    for (const char* path : {"a", "d", "d/f", "d/d/f", "d/d/d/d/f", ".", ".."})
        look_at(*root, path, false);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0)
        return 0;
    const std::string_view rest{reinterpret_cast<const char*>(data) + 1, size - 1};
    if ((data[0] & 1) != 0)
        read_any(rest);
    else
        write_and_read(rest);
    return 0;
}
