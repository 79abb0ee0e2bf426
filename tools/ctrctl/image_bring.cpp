#include "tools/ctrctl/image_bring.hpp"

#include "config/syntax.hpp"
#include "ctrd/image/worker_protocol.hpp"
#include "tools/ctrctl/image_verbs.hpp"

#include <algorithm>
#include <array>

namespace ctrd::ctl {

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
