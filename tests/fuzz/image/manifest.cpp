// Fuzz target: the documents of an image, by the first byte: 'c' its config, else a manifest or an index. What is
// accepted names files and says what a declaration will hold.
#include "ctrd/image/documents.hpp"
#include "tests/fuzz/promise.hpp"

#include <algorithm>

namespace {

using namespace ctrd;

bool is_whole(std::string_view text) { return text.find('\0') == std::string_view::npos; }

void check(const image::Descriptor& descriptor) {
    const std::string digest = descriptor.digest.text();
    fuzz::promise(image::Digest::parse(digest).has_value(), "a digest keeps its grammar");
    fuzz::promise(digest.find('/') == std::string::npos, "a digest is one component of a path");
    fuzz::promise(is_whole(descriptor.media_type), "a media type is a whole string");
}

void config(std::string_view text) {
    const auto config = image::parse_config(text);
    if (!config) {
        fuzz::promise(!config.error().message.empty(), "a refusal says why");
        return;
    }
    for (const auto& [name, value] : config->environment)
        fuzz::promise(!name.empty() && name.find('=') == std::string::npos && is_whole(name) && is_whole(value),
                      "a variable has a name");
    for (const auto* words : {&config->entrypoint, &config->command})
        fuzz::promise(std::ranges::all_of(*words, is_whole), "an argument is a whole string");
    fuzz::promise(image::chain_ids(config->diff_ids).size() == config->diff_ids.size(), "each layer has a chain id");
}

void document(std::string_view text) {
    const auto document = image::parse_document(text);
    if (!document) {
        fuzz::promise(!document.error().message.empty(), "a refusal says why");
        return;
    }
    std::string written;
    if (const auto* manifest = std::get_if<image::Manifest>(&*document)) {
        check(manifest->config);
        std::ranges::for_each(manifest->layers, check);
        written = image::to_json(*manifest);
    } else {
        const auto& index = std::get<image::Index>(*document);
        std::ranges::for_each(index.manifests, check);
        if (const auto chosen = image::choose(index, image::host_platform()))
            check(*chosen);
        written = image::to_json(index);
    }
    const auto again = image::parse_document(written);
    fuzz::promise(again && again->index() == document->index(), "what is written is read as the same kind");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0)
        return 0;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    if (text.front() == 'c')
        config(text.substr(1));
    else
        document(text);
    return 0;
}
