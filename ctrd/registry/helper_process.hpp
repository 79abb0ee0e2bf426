// Runs a small program, gives it some text and takes its answer: bounded in time and size, with a clean environment.
#pragma once

#include "ctrd/base/result.hpp"

#include <chrono>
#include <vector>

namespace ctrd::registry {

struct Ran {
    int status{0}; // its exit code, or 128 + signal
    std::string output{};
};

/// `program` is an absolute path. It is killed when the time is over or it says more than `limit` bytes.
Result<Ran> run_program(const std::string& program, const std::vector<std::string>& arguments, std::string_view input,
                        std::chrono::milliseconds timeout, std::size_t limit = 64U << 10);

} // namespace ctrd::registry
