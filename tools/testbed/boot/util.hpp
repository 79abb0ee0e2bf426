// Small helpers of the nested test bed's launcher. It stands alone on purpose: the bed must be usable
// while the rest of the tree does not build.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace testbed {

// What a caller gets when the bed itself, and not the command, is at fault.
constexpr int bed_failed = 125;

class UniqueFd {
public:
    explicit UniqueFd(int fd = -1) noexcept : fd_{fd} {}
    UniqueFd(UniqueFd&& o) noexcept : fd_{std::exchange(o.fd_, -1)} {}
    UniqueFd& operator=(UniqueFd o) noexcept {
        std::swap(fd_, o.fd_);
        return *this;
    }
    ~UniqueFd() {
        if (fd_ >= 0)
            ::close(fd_);
    }
    [[nodiscard]] int get() const noexcept { return fd_; }
    void reset() noexcept { *this = UniqueFd{}; }

private:
    int fd_;
};

// One line on stderr; `why` is an errno or 0.
inline void complain(int why, const std::string& what) noexcept {
    if (why != 0)
        std::fprintf(stderr, "testbed: %s: %s\n", what.c_str(), std::strerror(why));
    else
        std::fprintf(stderr, "testbed: %s\n", what.c_str());
}

[[noreturn]] inline void die(int why, const std::string& what) noexcept {
    complain(why, what);
    std::_Exit(bed_failed);
}

inline void must(bool ok, const std::string& what) noexcept {
    if (!ok)
        die(errno, what);
}

inline bool write_text(const std::string& path, std::string_view text, int flags = O_WRONLY) noexcept {
    UniqueFd fd{::open(path.c_str(), flags | O_CLOEXEC, 0644)};
    return fd.get() >= 0 && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

} // namespace testbed
