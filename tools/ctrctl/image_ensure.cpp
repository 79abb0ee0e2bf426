#include "tools/ctrctl/image_ensure.hpp"

#include "config/config.hpp"
#include "tools/ctrctl/image_progress.hpp"
#include "tools/ctrctl/image_pull.hpp"
#include "tools/ctrctl/image_signals.hpp"

namespace ctrd::ctl {
namespace {

bool is_absent(const Error& error) { return error.code == std::errc::no_such_file_or_directory; }

Result<image::Digest> find(const std::string& text) {
    const auto store = TRY(image::Store::open_existing(image::default_store));
    return TRY(find_stored_image(store, text)).manifest;
}

Result<image::Digest> pull(const std::string& text) {
    const auto store = TRY(image::Store::open(image::default_store));
    ProgressView view{Json::off};
    const image::Tag tag = TRY(with_signals(
        text, [&](const image::Progress& one) { view.show(one); },
        [&](const image::ProgressSink& progress) { return pull_image(store, text, {}, progress); }));
    return tag.manifest;
}

} // namespace

Result<image::Digest> ensure_image(const std::string& text, Missing missing) {
    auto found = find(text);
    if (found || !is_absent(found.error()))
        return found;
    // A digest alone says of no registry that it has it.
    if (missing == Missing::refuse || text.starts_with("sha256:") || text.starts_with("sha512:"))
        return fail(config::no_such_image(text));
    auto pulled = pull(text);
    if (!pulled && pulled.error().code == std::errc::no_such_file_or_directory && pulled.error().hint.empty())
        pulled.error().hint = config::no_such_image(text).hint;
    return std::move(pulled).context("image '" + printable(text) + "' is not stored, and can't be pulled");
}

} // namespace ctrd::ctl
