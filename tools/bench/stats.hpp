// What both benchmarks share: the clock, the figures of a series, and how they are shown.
#pragma once

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <string>
#include <vector>

namespace ctrd::bench {

inline double now_ms() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

/// The nearest-rank quantile of a sorted, non-empty series.
inline double quantile(const std::vector<double>& sorted, double share) {
    const auto last = static_cast<double>(sorted.size() - 1);
    return sorted[static_cast<std::size_t>(share * last + 0.5)];
}

struct Figures {
    double median{0};
    double p10{0};
    double p90{0};
    double p99{0};
    double best{0};
};

inline Figures figures_of(std::vector<double> series) {
    if (series.empty())
        return {};
    std::ranges::sort(series);
    return {quantile(series, 0.5), quantile(series, 0.1), quantile(series, 0.9), quantile(series, 0.99),
            series.front()};
}

inline nlohmann::json to_json(const Figures& figures) {
    return {{"median_ms", figures.median},
            {"p10_ms", figures.p10},
            {"p90_ms", figures.p90},
            {"p99_ms", figures.p99},
            {"best_ms", figures.best}};
}

} // namespace ctrd::bench
