#include "ctrd/bus/output_lines.hpp"

namespace ctrd::bus {
namespace {

using namespace std::string_view_literals;

OutputLine to_line(std::string_view text) {
    OutputLine line;
    if (text.size() >= 3 && text[0] == '<' && text[1] >= '0' && text[1] <= '7' && text[2] == '>') {
        line.priority = text[1] - '0';
        text.remove_prefix(3);
    }
    line.text = text.substr(0, text.find_last_not_of(" \t\r"sv) + 1);
    return line;
}

} // namespace

std::optional<OutputLine> take_line(std::string_view& written, bool at_end) {
    auto length = written.substr(0, longest_line).find_first_of("\n\0"sv);
    const bool is_whole = length != std::string_view::npos;
    if (!is_whole) {
        if (written.empty() || (written.size() < longest_line && !at_end))
            return std::nullopt;
        length = std::min(written.size(), longest_line);
    }
    const OutputLine line = to_line(written.substr(0, length));
    written.remove_prefix(length + (is_whole ? 1 : 0));
    return line;
}

} // namespace ctrd::bus
