#include "tools/ctrctl/outcome.hpp"

#include "ctrd/base/names.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>

namespace ctrd::ctl {
namespace {

bool is_variable_name(std::string_view name) {
    const auto fits = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
    return !name.empty() && !std::isdigit(static_cast<unsigned char>(name.front())) && std::ranges::all_of(name, fits);
}

} // namespace

int report(int exit, const Error& error) {
    const std::string text = "ctrctl: " + to_text(error) + "\n";
    std::fflush(stdout);
    std::fwrite(text.data(), 1, text.size(), stderr);
    return exit;
}

int report(const Failure& failure) { return report(failure.exit, failure.error); }

Outcome<void> check_names(const std::vector<std::string>& names) {
    for (const auto& name : names)
        if (auto good = check_container_name(name); !good)
            return refuse(exit_bad_input, std::move(good).error());
    return {};
}

Outcome<void> check_assignments(const std::vector<std::string>& assignments) {
    for (const auto& assignment : assignments) {
        const std::size_t equals = assignment.find('=');
        if (equals == std::string::npos || !is_variable_name(std::string_view{assignment}.substr(0, equals)))
            return refuse(exit_bad_input,
                          bad_input("'" + assignment + "' is not an environment variable", "write it as NAME=VALUE"));
    }
    return {};
}

} // namespace ctrd::ctl
