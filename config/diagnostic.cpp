#include "config/diagnostic.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ctrd::config {

std::string to_text(const Diagnostic& diagnostic) {
    std::string text = diagnostic.at.file;
    if (diagnostic.at.line != 0)
        text += fmt::format("{}{}:{}", text.empty() ? "" : ":", diagnostic.at.line, diagnostic.at.column);
    if (!text.empty())
        text += ": ";
    text += diagnostic.message;
    return diagnostic.hint.empty() ? text : text + "\n  hint: " + diagnostic.hint;
}

std::string to_text(const Diagnostics& diagnostics) {
    Diagnostics sorted = diagnostics;
    // Files stay in the order in which they were read; within one, from top to bottom.
    std::ranges::stable_sort(sorted, [](const Diagnostic& a, const Diagnostic& b) {
        return a.at.file == b.at.file && std::pair{a.at.line, a.at.column} < std::pair{b.at.line, b.at.column};
    });
    std::string text;
    for (const auto& diagnostic : sorted)
        text += to_text(diagnostic) + "\n";
    if (!text.empty())
        text.pop_back();
    return text;
}

Error to_error(const Diagnostics& diagnostics) {
    if (diagnostics.empty())
        return bad_input("the declaration is wrong");
    Diagnostic first = diagnostics.front();
    std::string hint = std::exchange(first.hint, {});
    for (std::size_t i = 1; i < diagnostics.size(); ++i)
        hint += (hint.empty() ? "" : "\n") + to_text(diagnostics[i]);
    return bad_input(to_text(first), hint);
}

Diagnostics from_error(const Error& error, std::string file) {
    return {Diagnostic{Location{std::move(file), 0, 0}, error.message, error.hint}};
}

} // namespace ctrd::config
