#include "ctrd/runtime/host_mounts.hpp"

#include "ctrd/base/file.hpp"

#include <algorithm>

namespace ctrd::runtime {
namespace {

/// mountinfo writes a blank, a line's end and a backslash as \ooo.
std::string unescape(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escaped = text[i] == '\\' && i + 3 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '3';
        if (!escaped) {
            result += text[i];
            continue;
        }
        result += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
        i += 3;
    }
    return result;
}

std::string_view take_field(std::string_view& line) {
    const auto field = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(field.size() + 1, line.size()));
    return field;
}

} // namespace

std::vector<std::string> find_kernel_mounts(std::string_view mountinfo) {
    std::vector<std::string> result;
    while (!mountinfo.empty()) {
        std::string_view line = mountinfo.substr(0, mountinfo.find('\n'));
        mountinfo.remove_prefix(std::min(line.size() + 1, mountinfo.size()));
        for (int before = 0; before < 4; ++before) // ids, device, root
            take_field(line);
        const auto place = take_field(line);
        const auto separator = line.find(" - ");
        if (separator == std::string_view::npos)
            continue;
        line.remove_prefix(separator + 3);
        const auto type = take_field(line);
        if (type == "proc" || type == "sysfs")
            result.push_back(unescape(place));
    }
    return result;
}

Result<std::vector<std::string>> kernel_mounts() {
    return find_kernel_mounts(TRY(read_file("/proc/self/mountinfo", 64U << 20)));
}

} // namespace ctrd::runtime
