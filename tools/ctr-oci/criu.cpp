#include "tools/ctr-oci/criu.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

namespace ctrd::ctr_oci {
namespace {

enum class Stage : int { cgroup, exec };

struct Failure {
    Stage stage{};
    int err{0};
};

std::string_view describe(Stage stage) {
    switch (stage) {
    case Stage::cgroup:
        return "cannot move criu into the container's cgroup";
    case Stage::exec:
        return "cannot run 'criu'";
    }
    return "";
}

Error to_error(const Failure& failure) {
    if (failure.stage == Stage::exec && failure.err == ENOENT)
        return {std::errc::no_such_file_or_directory, "checkpoint and restore need CRIU, which is not installed",
                "install the package 'criu'"};
    return os_error(failure.err, describe(failure.stage));
}

/// Between fork and exec: system calls alone.
class Child {
public:
    Child(const CriuSetup& setup, int socket, int errors) : setup_{setup}, socket_{socket}, errors_{errors} {
        std::snprintf(number_.data(), number_.size(), "%d", socket);
        procs_ = setup.cgroup + "/cgroup.procs";
    }

    [[noreturn]] void run() noexcept {
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        if (!setup_.cgroup.empty())
            enter_cgroup();
        ::fcntl(socket_, F_SETFD, 0);
        for (const int fd : setup_.pass_fds)
            ::fcntl(fd, F_SETFD, 0);
        ::execvp(words_[0], words_.data());
        fail_with(Stage::exec);
    }

private:
    void enter_cgroup() noexcept {
        const int fd = ::open(procs_.c_str(), O_WRONLY | O_CLOEXEC);
        if (fd < 0 || ::write(fd, "0", 1) != 1)
            fail_with(Stage::cgroup);
    }
    [[noreturn]] void fail_with(Stage stage) noexcept {
        const Failure failure{stage, errno};
        [[maybe_unused]] const auto n = ::write(errors_, &failure, sizeof failure);
        ::_exit(127);
    }

    const CriuSetup& setup_;
    int socket_;
    int errors_;
    std::string procs_{};
    std::array<char, 12> number_{};
    char name_[5] = "criu";
    char mode_[5] = "swrk";
    std::array<char*, 4> words_{name_, mode_, number_.data(), nullptr};
};

/// A running `criu swrk`. It is never killed: a dump that is cut off would leave its code in the container's processes.
class Criu {
public:
    static Result<Criu> start(const CriuSetup& setup) {
        SocketPair sockets = TRY(make_socket_pair());
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) < 0)
            return fail(os_error(errno, "cannot make a pipe"));
        const UniqueFd errors{ends[0]};
        UniqueFd theirs{ends[1]};
        Child child{setup, sockets.theirs.get(), theirs.get()};
        const pid_t pid = ::fork();
        if (pid < 0)
            return fail(os_error(errno, "cannot make a process for criu"));
        if (pid == 0)
            child.run();
        theirs = UniqueFd{};
        Failure failure;
        if (::read(errors.get(), &failure, sizeof failure) == sizeof failure) {
            [[maybe_unused]] auto ended = wait_exit(pid);
            return fail(to_error(failure));
        }
        return Criu{pid, std::move(sockets.ours)};
    }
    Criu(Criu&& other) noexcept : pid_{std::exchange(other.pid_, -1)}, socket_{std::move(other.socket_)} {}
    Criu& operator=(Criu&&) = delete;
    ~Criu() {
        socket_ = UniqueFd{}; // the end of the conversation is the end of criu
        if (pid_ > 0) [[maybe_unused]]
            auto ended = wait_exit(pid_);
    }

    Result<CriuReply> call(CriuType type, const CriuMessage& criu_options, const CriuNotified& notified) {
        CriuMessage request;
        request.number(1, static_cast<std::uint64_t>(type)).message(2, criu_options);
        TRY_VOID(send_fds(socket_.get(), request.bytes(), {}).context("criu"));
        Result<void> heard{};
        while (true) {
            const FdMessage message = TRY(receive_fds(socket_.get(), 1U << 20).context("criu"));
            if (message.data.empty())
                return fail(heard ? Error{std::errc::io_error, "criu ended without an answer", ""} : heard.error());
            CriuReply reply = TRY(parse_criu_reply(message.data));
            if (reply.type != CriuType::notify)
                return heard ? Result<CriuReply>{std::move(reply)} : fail(heard.error());
            if (heard)
                heard = notified(reply, message.fds);
            CriuMessage answer;
            answer.number(1, static_cast<std::uint64_t>(CriuType::notify)).flag(3, heard.has_value());
            TRY_VOID(send_fds(socket_.get(), answer.bytes(), {}).context("criu"));
        }
    }

private:
    Criu(pid_t pid, UniqueFd socket) : pid_{pid}, socket_{std::move(socket)} {}
    pid_t pid_;
    UniqueFd socket_;
};

} // namespace

Result<CriuMounts> CriuMounts::enter(const std::string& source, const std::string& target) {
    UniqueFd home = TRY(open_at(AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY));
    UniqueFd folder = TRY(open_at(AT_FDCWD, ".", O_PATH | O_DIRECTORY));
    if (::unshare(CLONE_NEWNS) < 0)
        return fail(os_error(errno, "cannot make a mount namespace for criu"));
    CriuMounts mounts{std::move(home), std::move(folder)};
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0)
        return fail(os_error(errno, "cannot make a mount namespace for criu"));
    if (::mount(source.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) < 0)
        return fail(os_error(errno, "cannot bind '" + source + "' for criu"));
    return mounts;
}

CriuMounts::~CriuMounts() { [[maybe_unused]] auto left = leave(); }

Result<void> CriuMounts::leave() {
    if (!home_)
        return {};
    const UniqueFd home = std::move(home_);
    // Joining a namespace leads to its root.
    if (::setns(home.get(), CLONE_NEWNS) < 0 || ::fchdir(folder_.get()) < 0)
        return fail(os_error(errno, "cannot return from the mount namespace of criu"));
    return {};
}

Result<CriuReply> call_criu(CriuType type, const CriuMessage& criu_options, const CriuSetup& setup,
                            const CriuNotified& notified) {
    Criu criu = TRY(Criu::start(setup));
    if (setup.mounts != nullptr)
        TRY_VOID(setup.mounts->leave());
    return criu.call(type, criu_options, notified);
}

} // namespace ctrd::ctr_oci
