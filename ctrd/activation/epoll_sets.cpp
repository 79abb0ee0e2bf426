#include "ctrd/activation/epoll_sets.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <cerrno>
#include <charconv>
#include <memory>

namespace ctrd::activation {
namespace {

// A payload that has more of them wants to keep us busy.
constexpr unsigned most_descriptors = 4096;
constexpr unsigned most_sets = 64;
constexpr std::size_t longest_info = 256U << 10;

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

bool is_epoll_link(int folder, const char* name) {
    char link[64];
    const ssize_t length = ::readlinkat(folder, name, link, sizeof link);
    return length >= 0 && std::string_view{link, static_cast<std::size_t>(length)} == "anon_inode:[eventpoll]";
}

/// "tfd:        5 events:     2019 data:  7ffe00000005  pos:0 ino:1a2b sdev:8", a line for each that is watched.
std::optional<EpollEntry> find_line(std::string_view info, int number, std::uint64_t inode) {
    for (std::size_t at = info.find("tfd:"); at != std::string_view::npos; at = info.find("tfd:", at + 4)) {
        const std::string_view line = info.substr(at, info.find('\n', at) - at);
        if (field(line, "tfd:", 10) != static_cast<std::uint64_t>(number) || field(line, "ino:", 16) != inode)
            continue;
        EpollEntry entry;
        entry.events = static_cast<std::uint32_t>(field(line, "events:", 16).value_or(0));
        entry.data = field(line, "data:", 16).value_or(0);
        return entry;
    }
    return std::nullopt;
}

/// Our own limit may be lower than the payload's.
void make_room_for(int number) {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) < 0 || static_cast<rlim_t>(number) < files.rlim_cur)
        return;
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
}

/// For its life, `file` is what our own descriptor `number` leads to as well: that is the number which epoll_ctl takes.
class Borrowed {
public:
    Borrowed(int file, int number) : number_{number} {
        if (file == number) {
            good_ = own_ = true;
            return;
        }
        make_room_for(number);
        flags_ = ::fcntl(number, F_GETFD);
        if (flags_ >= 0)
            saved_ = UniqueFd{::fcntl(number, F_DUPFD_CLOEXEC, 3)};
        good_ = (flags_ < 0 || saved_) && ::dup3(file, number, O_CLOEXEC) == number;
    }
    ~Borrowed() {
        if (saved_)
            ::dup3(saved_.get(), number_, (flags_ & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0);
        else if (good_ && !own_)
            ::close(number_);
    }
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;
    [[nodiscard]] bool good() const { return good_; }

private:
    int number_;
    int flags_{-1};
    UniqueFd saved_{};
    bool good_{false};
    bool own_{false}; // it is that number's own
};

/// `harmless`: an error that is none.
Result<void> change(const EpollEntry& entry, int operation, int socket, int number, int harmless) {
    const UniqueFd set = TRY(dup(entry.set.get())); // one of the two is not called `number`
    const int free_set = set.get() == number ? entry.set.get() : set.get();
    const Borrowed borrowed{socket, number};
    epoll_event event{};
    event.events = entry.events;
    event.data.u64 = entry.data;
    if (!borrowed.good() || (::epoll_ctl(free_set, operation, number, &event) < 0 && errno != harmless))
        return fail(os_error(errno, "cannot change the payload's epoll set"));
    return {};
}

} // namespace

Result<std::vector<EpollEntry>> find_epoll_entries(pid_t thread, int pidfd, int number, std::uint64_t inode) {
    const std::string process = "/proc/" + std::to_string(thread);
    const std::unique_ptr<DIR, CloseDir> dir{::opendir((process + "/fd").c_str())};
    if (!dir)
        return fail(os_error(errno, "cannot list the descriptors of process " + std::to_string(thread)));
    std::vector<EpollEntry> entries;
    unsigned descriptors = 0;
    unsigned sets = 0;
    while (const dirent* item = ::readdir(dir.get())) {
        if (++descriptors > most_descriptors || sets > most_sets)
            break;
        const std::string_view name = item->d_name;
        int set = -1;
        if (std::from_chars(name.data(), name.data() + name.size(), set).ec != std::errc{} ||
            !is_epoll_link(::dirfd(dir.get()), item->d_name))
            continue;
        ++sets;
        const auto info = read_file(process + "/fdinfo/" + item->d_name, longest_info);
        auto entry = info ? find_line(*info, number, inode) : std::nullopt;
        if (!entry)
            continue;
        entry->set = TRY(steal_fd(pidfd, set));
        entries.push_back(std::move(*entry));
    }
    return entries;
}

Result<void> enter(const EpollEntry& entry, int socket, int number) {
    // EEXIST: two descriptors for one set, or a call that is answered once more.
    return change(entry, EPOLL_CTL_ADD, socket, number, EEXIST);
}

Result<void> leave(const EpollEntry& entry, int socket, int number) {
    return change(entry, EPOLL_CTL_DEL, socket, number, ENOENT);
}

} // namespace ctrd::activation
