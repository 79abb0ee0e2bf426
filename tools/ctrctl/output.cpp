#include "tools/ctrctl/output.hpp"

#include "tools/ctrctl/outcome.hpp"

#include <nlohmann/json.hpp>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <clocale>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <langinfo.h>

namespace ctrd::ctl {
namespace {

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, text) != words.end();
}

bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

/// $COLUMNS, else what the terminal says, else 80.
unsigned terminal_width() {
    unsigned width = 0;
    if (const char* columns = ::getenv("COLUMNS")) {
        const auto [end, err] = std::from_chars(columns, columns + std::strlen(columns), width);
        if (err == std::errc{} && *end == '\0' && width > 0)
            return width;
    }
    winsize size{};
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

const char* sequence(Style style) {
    switch (style) {
    case Style::good:
        return "\x1b[32m";
    case Style::busy:
        return "\x1b[33m";
    case Style::bad:
        return "\x1b[1;31m";
    case Style::faint:
        return "\x1b[90m";
    case Style::title:
        return "\x1b[4m";
    case Style::plain:
        break;
    }
    return "";
}

std::string shortened(std::string_view text, std::size_t width, bool utf8) {
    if (columns_of(text) <= width)
        return std::string{text};
    const std::string_view dots = utf8 ? "\u2026" : "...";
    const std::size_t keep = width - std::min(width, columns_of(dots));
    std::size_t seen = 0;
    std::size_t at = 0;
    while (at < text.size() && (!starts_character(text[at]) || seen++ < keep))
        ++at;
    return std::string{text.substr(0, at)} + std::string{dots};
}

constexpr std::size_t gap = 2;
constexpr std::size_t least_column = 8;
constexpr std::size_t fewest_columns = 2;

std::size_t row_of(const std::vector<std::size_t>& widths, std::size_t most) {
    std::size_t total = gap * (widths.size() - 1);
    for (const std::size_t width : widths)
        total += std::min(width, most);
    return total;
}

/// The last columns, which say least, are left out where no row could be read; then the widest give way.
void fit(std::vector<std::size_t>& widths, std::size_t columns) {
    while (widths.size() > fewest_columns && row_of(widths, least_column) > columns)
        widths.pop_back();
    for (std::size_t total = row_of(widths, SIZE_MAX); total > columns; --total) {
        const auto widest = std::ranges::max_element(widths);
        if (*widest <= least_column)
            break;
        --*widest;
    }
}

} // namespace

bool wants_colour(bool is_terminal, const ColourWishes& wishes) {
    const std::string_view forced = wishes.systemd_colors ? wishes.systemd_colors : "";
    if (one_of(forced, {"0", "no", "n", "false", "f", "off"}))
        return false;
    if (one_of(forced, {"1", "yes", "y", "true", "t", "on", "16", "256", "24bit"}))
        return true;
    if (wishes.no_color && *wishes.no_color)
        return false;
    return is_terminal && !(wishes.term && std::string_view{wishes.term} == "dumb");
}

Look look_of_stdout() {
    std::setlocale(LC_CTYPE, "");
    const bool terminal = ::isatty(STDOUT_FILENO) == 1;
    return {.colour = wants_colour(terminal, {::getenv("SYSTEMD_COLORS"), ::getenv("NO_COLOR"), ::getenv("TERM")}),
            .utf8 = std::string_view{::nl_langinfo(CODESET)} == "UTF-8",
            .width = terminal ? terminal_width() : 0};
}

std::string styled(std::string_view text, Style style, const Look& look) {
    if (!look.colour || style == Style::plain)
        return std::string{text};
    return sequence(style) + std::string{text} + "\x1b[0m";
}

std::string printable(std::string_view text) {
    std::string safe{text};
    for (std::size_t i = 0; i < safe.size(); ++i) {
        const auto c = static_cast<unsigned char>(safe[i]);
        if (c < 0x20 || c == 0x7f)
            safe[i] = '?';
        else if (c == 0xc2 && i + 1 < safe.size() && static_cast<unsigned char>(safe[i + 1]) < 0xa0)
            safe.replace(i, 2, "?"); // U+0080 to U+009F
    }
    return safe;
}

std::size_t columns_of(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, starts_character));
}

Table::Table(std::vector<std::string> titles) {
    std::vector<Cell> row;
    for (auto& title : titles)
        row.push_back({std::move(title), Style::title});
    rows_.push_back(std::move(row));
}

void Table::add(std::vector<Cell> row) {
    for (auto& cell : row)
        cell.text = cell.text.empty() ? "-" : printable(cell.text);
    rows_.push_back(std::move(row));
}

std::string Table::render(const Look& look) const {
    std::vector<std::size_t> widths(rows_.front().size());
    for (const auto& row : rows_)
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], columns_of(row[i].text));
    if (look.width > 0)
        fit(widths, look.width);
    std::string text;
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < std::min(row.size(), widths.size()); ++i) {
            const std::string cell = shortened(row[i].text, widths[i], look.utf8);
            text += styled(cell, row[i].style, look);
            if (i + 1 < widths.size())
                text.append(widths[i] + gap - columns_of(cell), ' ');
        }
        text += '\n';
    }
    return text;
}

Json json_of(std::string_view text) {
    if (text == "short")
        return Json::brief;
    return text == "pretty" || text == "true" ? Json::pretty : Json::off;
}

std::string json_text(const nlohmann::json& value, Json how) {
    // A path may hold any bytes: what is no UTF-8 is replaced, an exception would lose the whole answer.
    return value.dump(how == Json::pretty ? 4 : -1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int print(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0)
        return exit_ok;
    return report(exit_failure, os_error(errno, "cannot write to stdout"));
}

} // namespace ctrd::ctl
