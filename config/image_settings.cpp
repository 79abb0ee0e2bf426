#include "config/image_settings.hpp"

#include "config/reader.hpp"
#include "config/syntax.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"

#include <fmt/format.h>

#include <array>

namespace ctrd::config {

Outcome<ImageSettings> parse_image_settings(std::string_view text, const std::string& file) {
    constexpr std::array<std::string_view, 3> keys{"layers", "max-size", "verity"};
    constexpr std::array<std::string_view, 3> verity_words{"no", "auto", "require"};
    constexpr std::array<std::string_view, 2> layer_words{"folders", "erofs"};
    const auto document = parse_toml(text, file);
    if (!document)
        return refuse(document.error());
    ImageSettings settings;
    Diagnostics problems;
    ValueReader in{problems};
    for (const Member& member : document->members) {
        if (member.key == "max-size") {
            if (const auto size = in.scalar(member))
                settings.max_size = in.take(member, parse_bytes(*size));
        } else if (member.key == "verity") {
            settings.verity = static_cast<Verity>(in.choice(member, verity_words).value_or(0));
        } else if (member.key == "layers") {
            settings.layers = static_cast<LayerStorage>(in.choice(member, layer_words).value_or(0));
        } else {
            const auto near = nearest(member.key, keys);
            in.complain(member.at, fmt::format("unknown key '{}'", member.key),
                        near.empty() ? "the keys are: layers, max-size, verity"
                                     : fmt::format("did you mean '{}'?", near));
        }
    }
    if (!problems.empty())
        return refuse(std::move(problems));
    return settings;
}

Result<ImageSettings> read_image_settings(const std::string& path) {
    const auto text = read_file(path, 1U << 20);
    if (!text && text.error().code == std::errc::no_such_file_or_directory)
        return ImageSettings{};
    const std::string whole = TRY(Result<std::string>{text});
    auto settings = parse_image_settings(whole, path);
    if (!settings)
        return fail(to_error(settings.error()));
    return *settings;
}

} // namespace ctrd::config
