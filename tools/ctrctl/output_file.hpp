// A file that gets its name when it is whole, or stdout, or what is there already and is no regular file (a FIFO, a
// device).
#pragma once

#include "tools/ctrctl/outcome.hpp"

#include "ctrd/base/fd.hpp"

namespace ctrd::ctl {

class OutputFile {
public:
    /// "" and "-": stdout, which may not be a terminal: what is written is not text.
    static Outcome<OutputFile> open(const std::string& path);
    OutputFile(OutputFile&& other) noexcept
        : fd_{std::move(other.fd_)}, temporary_{std::exchange(other.temporary_, {})}, path_{std::move(other.path_)} {}
    OutputFile& operator=(OutputFile&&) = delete;
    ~OutputFile(); // without keep() nothing is left

    [[nodiscard]] int fd() const { return fd_.get(); }
    /// All of it is written.
    Result<void> keep();

private:
    OutputFile(UniqueFd fd, std::string temporary, std::string path)
        : fd_{std::move(fd)}, temporary_{std::move(temporary)}, path_{std::move(path)} {}
    UniqueFd fd_;
    std::string temporary_; // "": there is none
    std::string path_;
};

} // namespace ctrd::ctl
