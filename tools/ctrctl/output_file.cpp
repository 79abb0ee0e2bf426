#include "tools/ctrctl/output_file.hpp"

#include "ctrd/base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>

namespace ctrd::ctl {

Outcome<OutputFile> OutputFile::open(const std::string& path) {
    const bool to_stdout = path.empty() || path == "-";
    if (to_stdout && ::isatty(STDOUT_FILENO) == 1)
        return refuse(exit_bad_input, bad_input("an archive is nothing for a terminal",
                                                "-o FILE writes it to a file, '> FILE' and '| PROGRAM' work too"));
    struct stat st {};
    const bool special = !to_stdout && ::stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode);
    if (to_stdout || special) {
        auto fd = to_stdout ? dup(STDOUT_FILENO) : open_at(AT_FDCWD, path, O_WRONLY | O_NOCTTY);
        if (!fd)
            return refuse(exit_failure, std::move(fd).error());
        return OutputFile{std::move(*fd), "", path};
    }
    std::string temporary = path + ".XXXXXX";
    UniqueFd fd{::mkostemp(temporary.data(), O_CLOEXEC)};
    if (!fd)
        return refuse(exit_failure, os_error(errno, "cannot write '" + path + "'"));
    return OutputFile{std::move(fd), std::move(temporary), path};
}

OutputFile::~OutputFile() {
    if (!temporary_.empty())
        ::unlink(temporary_.c_str());
}

Result<void> OutputFile::keep() {
    if (temporary_.empty())
        return {};
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(fd_.get(), 0666 & ~mask) < 0 || ::rename(temporary_.c_str(), path_.c_str()) < 0)
        return fail(os_error(errno, "cannot write '" + path_ + "'"));
    temporary_.clear();
    return {};
}

} // namespace ctrd::ctl
