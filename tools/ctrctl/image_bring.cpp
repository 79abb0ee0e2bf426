#include "tools/ctrctl/image_bring.hpp"

#include "config/syntax.hpp"
#include "ctrd/image/worker_protocol.hpp"
#include "tools/ctrctl/image_verbs.hpp"

#include <algorithm>
#include <array>

namespace ctrd::ctl {

Result<std::uint64_t> parse_size(const std::string& text) {
    const auto wrong = bad_input("'" + text + "' is not a size", "write bytes, or for example 512M or 64G");
    constexpr std::string_view units = "KMGT";
    std::string_view digits = text;
    unsigned shift = 0;
    if (const auto unit = digits.empty() ? std::string_view::npos : units.find(digits.back());
        unit != std::string_view::npos) {
        shift = 10 * (static_cast<unsigned>(unit) + 1);
        digits.remove_suffix(1);
    }
    const auto value = config::parse_decimal(digits, UINT64_MAX >> shift);
    return value && *value > 0 ? Result<std::uint64_t>{*value << shift} : fail(wrong);
}

Result<image::Platform> wanted_platform(const std::string& text) {
    if (text.empty())
        return image::host_platform();
    std::array<std::string, 3> parts;
    std::size_t count = 0;
    for (std::size_t begin = 0; begin <= text.size() && count < 3; ++count) {
        const std::size_t end = std::min(text.find('/', begin), text.size());
        parts[count] = text.substr(begin, end - begin);
        begin = end + 1;
    }
    if (count < 2 || parts[0].empty() || parts[1].empty() || std::ranges::count(text, '/') > 2)
        return fail(bad_input("'" + text + "' is not a platform", "for example linux/amd64 or linux/arm/v7"));
    return image::Platform{parts[0], parts[1], parts[2]};
}

int show_brought(const std::vector<image::Tag>& tags, Json json) {
    if (json != Json::off)
        return print(json_text({{"tags", imaging::to_json(tags)}}, json));
    std::string text;
    for (const image::Tag& tag : tags)
        text += printable(tag.name) + "@" + tag.manifest.text() + "\n";
    return print(text);
}

int report_brought(const Error& error) {
    if (error.code != std::errc::interrupted)
        return report(exit_failure, error);
    return report(exit_interrupted, error);
}

} // namespace ctrd::ctl
