#include "tools/ctr-oci/mount_table.hpp"

#include "ctrd/base/file.hpp"

#include <charconv>

namespace ctrd::ctr_oci {
namespace {

/// The kernel writes blanks, line ends and backslashes as \ooo.
std::string unescaped(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned code = 0;
        if (text[i] == '\\' && i + 3 < text.size() &&
            std::from_chars(text.data() + i + 1, text.data() + i + 4, code, 8).ptr == text.data() + i + 4) {
            result += static_cast<char>(code);
            i += 3;
        } else {
            result += text[i];
        }
    }
    return result;
}

std::string_view take_word(std::string_view& line) {
    const auto end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return word;
}

} // namespace

MountTable parse_mount_table(std::string_view text) {
    MountTable table;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        int id = 0;
        const std::string_view number = take_word(line);
        if (std::from_chars(number.data(), number.data() + number.size(), id).ec != std::errc{})
            continue;
        for (int skipped = 0; skipped < 3; ++skipped) // parent, device, root
            take_word(line);
        table.emplace(id, unescaped(take_word(line)));
    }
    return table;
}

Result<MountTable> mount_table(const std::string& pid) {
    return parse_mount_table(TRY(read_file("/proc/" + pid + "/mountinfo", 64U << 20)));
}

Result<int> mount_id(const std::string& pid, int fd) {
    const std::string path = "/proc/" + pid + "/fdinfo/" + std::to_string(fd);
    const std::string text = TRY(read_file(path));
    constexpr std::string_view mark = "mnt_id:\t";
    const auto at = text.find(mark);
    int id = 0;
    if (at == std::string::npos ||
        std::from_chars(text.data() + at + mark.size(), text.data() + text.size(), id).ec != std::errc{})
        return fail(bad_input("'" + path + "' names no mount"));
    return id;
}

bool is_below(std::string_view path, std::string_view folder) {
    return folder == "/" ? path.size() > 1
                         : path.size() > folder.size() + 1 && path.starts_with(folder) && path[folder.size()] == '/';
}

} // namespace ctrd::ctr_oci
