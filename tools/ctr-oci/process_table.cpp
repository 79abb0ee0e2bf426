#include "tools/ctr-oci/process_table.hpp"

#include <algorithm>
#include <charconv>

namespace ctrd::ctr_oci {
namespace {

std::string_view take_line(std::string_view& text) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return line;
}

std::vector<std::string_view> words(std::string_view line) {
    std::vector<std::string_view> result;
    while (true) {
        const auto begin = line.find_first_not_of(' ');
        if (begin == std::string_view::npos)
            return result;
        line.remove_prefix(begin);
        result.push_back(line.substr(0, line.find(' ')));
        line.remove_prefix(result.back().size());
    }
}

} // namespace

Result<std::string> lines_of_processes(std::string_view table, const std::vector<int>& pids) {
    const auto title = take_line(table);
    const auto columns = words(title);
    const auto column = static_cast<std::size_t>(std::ranges::find(columns, "PID") - columns.begin());
    if (column == columns.size())
        return fail(bad_input("ps printed no column PID", "its options must not leave it out"));
    std::string result{title};
    result += '\n';
    while (!table.empty()) {
        const auto line = take_line(table);
        const auto values = words(line);
        int pid = 0;
        if (column >= values.size() ||
            std::from_chars(values[column].begin(), values[column].end(), pid).ec != std::errc{})
            continue;
        if (std::ranges::find(pids, pid) != pids.end())
            result.append(line) += '\n';
    }
    return result;
}

} // namespace ctrd::ctr_oci
