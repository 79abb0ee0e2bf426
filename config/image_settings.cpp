#include "config/image_settings.hpp"

#include "config/reader.hpp"
#include "config/syntax.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"

#include <fmt/format.h>

#include <array>

namespace ctrd::config {

Result<std::uint64_t> parse_bytes(std::string_view text) {
    constexpr std::string_view units = "KMGT";
    std::uint64_t factor = 1;
    auto digits = text;
    if (const auto unit = text.empty() ? std::string_view::npos : units.find(text.back());
        unit != std::string_view::npos) {
        factor = std::uint64_t{1} << (10 * (unit + 1));
        digits.remove_suffix(1);
    }
    const auto number = parse_decimal(digits, UINT64_MAX / factor);
    if (!number || *number == 0)
        return fail(bad_input(fmt::format("'{}' is no size", text), "write for example \"20G\""));
    return *number * factor;
}

Outcome<ImageSettings> parse_image_settings(std::string_view text, const std::string& file) {
    constexpr std::array<std::string_view, 1> keys{"max-size"};
    const auto document = parse_toml(text, file);
    if (!document)
        return refuse(document.error());
    ImageSettings settings;
    Diagnostics problems;
    ValueReader in{problems};
    for (const Member& member : document->members) {
        if (member.key != keys.front()) {
            const auto near = nearest(member.key, keys);
            in.complain(member.at, fmt::format("unknown key '{}'", member.key),
                        near.empty() ? "the only key is: max-size" : fmt::format("did you mean '{}'?", near));
            continue;
        }
        const auto size = in.scalar(member);
        if (size)
            settings.max_size = in.take(member, parse_bytes(*size));
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
