// How answers look: colour, width, tables and JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace ctrd::ctl {

/// What the environment says about colour; null: not set.
struct ColourWishes {
    const char* systemd_colors{nullptr};
    const char* no_color{nullptr};
    const char* term{nullptr};
};
/// SYSTEMD_COLORS decides; else NO_COLOR and TERM=dumb switch it off; else a terminal has it.
bool wants_colour(bool is_terminal, const ColourWishes& wishes);

/// How stdout can be written to.
struct Look {
    bool colour{false};
    bool utf8{false};
    unsigned width{0}; // columns; 0: no terminal, nothing is shortened
};
Look look_of_stdout();

enum class Style { plain, good, busy, bad, faint, title };
std::string styled(std::string_view text, Style style, const Look& look);

/// Bytes that would steer the terminal (control characters, also the 8-bit ones in UTF-8) become '?'.
std::string printable(std::string_view text);

/// Characters, not bytes, of UTF-8 text.
std::size_t columns_of(std::string_view text);

struct Cell {
    std::string text{};
    Style style{Style::plain};
};

/// A table with a title line; the widest column gives way until a row fits the terminal. Where that is too narrow
/// for all of them, the last ones are left out.
class Table {
public:
    explicit Table(std::vector<std::string> titles);
    void add(std::vector<Cell> row);
    [[nodiscard]] std::string render(const Look& look) const;

private:
    std::vector<std::vector<Cell>> rows_; // the first one holds the titles
};

enum class Json { off, pretty, brief };
/// What --json was given: "off", "pretty", "short", or "true" for none.
Json json_of(std::string_view text);
std::string json_text(const nlohmann::json& value, Json how);

/// To stdout, flushed; 0, or exit_failure with a message where that can't be done.
int print(std::string_view text);

} // namespace ctrd::ctl
