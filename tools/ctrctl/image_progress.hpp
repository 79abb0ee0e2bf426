// How far a load or a pull is: a line for each layer on a terminal, or a line of JSON for each report.
#pragma once

#include "ctrd/image/ingest.hpp"
#include "tools/ctrctl/output.hpp"

namespace ctrd::ctl {

/// On stderr where that is a terminal; JSON lines on stdout where `json` is asked for; else nothing.
class ProgressView {
public:
    explicit ProgressView(Json json, bool quiet = false);
    ~ProgressView();
    ProgressView(const ProgressView&) = delete;
    ProgressView& operator=(const ProgressView&) = delete;
    void show(const image::Progress& progress);

private:
    void draw() const;
    Json json_;
    bool terminal_;
    std::vector<image::Progress> layers_{};
    std::size_t drawn_{0};
};

/// "sha256:0123...  [#####     ]  12.3 MB / 45.6 MB".
std::string progress_line(const image::Progress& progress, unsigned width);
/// "12.3 MB".
std::string size_text(std::uint64_t bytes);

} // namespace ctrd::ctl
