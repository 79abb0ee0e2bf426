// cp: files and folders into a container or out of one. What makes and unpacks a folder's stream on our side is tar(1).
#include "tools/ctrctl/client.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "ctrd/base/fd.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/base/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>

namespace ctrd::ctl {
namespace {

namespace fs = std::filesystem;

/// "web:/etc/hosts"; a path with a slash before the colon, or without one, is ours.
struct Side {
    std::string container{};
    std::string path{};
};

Side side_of(const std::string& text) {
    const auto colon = text.find(':');
    if (colon == std::string::npos || text.find('/') < colon)
        return {"", text};
    return {text.substr(0, colon), text.substr(colon + 1)};
}

/// tar(1), with one end of a pipe as its stdin or stdout.
Result<pid_t> start_tar(std::vector<std::string> arguments, int fd, int number) {
    arguments.insert(arguments.begin(), "tar");
    std::vector<char*> argv;
    for (auto& argument : arguments)
        argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, fd, number);
    pid_t pid = 0;
    const int err = ::posix_spawnp(&pid, "tar", &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (err != 0)
        return fail(os_error(err, "cannot run tar"));
    return pid;
}

struct Pipe {
    UniqueFd read{};
    UniqueFd write{};
};

Result<Pipe> make_pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) < 0)
        return fail(os_error(errno, "cannot make a pipe"));
    return Pipe{UniqueFd{fds[0]}, UniqueFd{fds[1]}};
}

Outcome<void> tar_ended(const Result<int>& status) {
    if (!status)
        return refuse(exit_failure, status.error());
    if (*status != 0)
        return refuse(exit_failure, bad_input("tar ended with status " + std::to_string(*status)));
    return {};
}

Outcome<void> copy_in(Client& client, const std::string& source, const Side& to) {
    struct stat st {};
    if (::stat(source.c_str(), &st) < 0)
        return refuse(exit_failure, os_error(errno, "'" + source + "'"));
    const std::string name = fs::path{source}.lexically_normal().filename();
    CopyWay way{name == "." || name == ".." ? "" : name};
    if (!S_ISDIR(st.st_mode)) {
        const UniqueFd file{::open(source.c_str(), O_RDONLY | O_CLOEXEC)};
        if (!file)
            return refuse(exit_failure, os_error(errno, "'" + source + "'"));
        way.single = true;
        way.mode = st.st_mode & 0777U;
        return client.copy_to(to.container, to.path, file.get(), way);
    }
    auto pipe = make_pipe();
    if (!pipe)
        return refuse(exit_internal, pipe.error());
    const auto tar =
        start_tar({"--create", "--file=-", "--sparse", "--hard-dereference", "--directory=" + source, "--", "."},
                  pipe->write.get(), 1);
    if (!tar)
        return refuse(exit_internal, tar.error());
    pipe->write = UniqueFd{};
    auto copied = client.copy_to(to.container, to.path, pipe->read.get(), way);
    pipe->read = UniqueFd{}; // a tar that writes to nobody ends
    const auto ended = tar_ended(wait_exit(*tar));
    return copied ? ended : copied;
}

/// A folder of our own beside the destination: what arrives gets its name only when all of it is there.
class Landing {
public:
    explicit Landing(const fs::path& beside) {
        std::string name = (beside / ".ctrctl-cp-XXXXXX").string();
        if (::mkdtemp(name.data()) != nullptr)
            path_ = name;
    }
    ~Landing() {
        std::error_code ignored;
        if (!path_.empty())
            fs::remove_all(path_, ignored);
    }
    Landing(const Landing&) = delete;
    Landing& operator=(const Landing&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_{};
};

/// The one thing in the folder moves to where the user wants it.
Outcome<void> settle(const std::string& landing, const std::string& target) {
    std::error_code error;
    const fs::directory_iterator only{landing, error};
    if (error || only == fs::directory_iterator{})
        return refuse(exit_failure, bad_input("nothing was copied"));
    const fs::path from = only->path();
    const fs::path to = fs::is_directory(target) ? fs::path{target} / from.filename() : fs::path{target};
    if (::rename(from.c_str(), to.c_str()) < 0)
        return refuse(exit_failure, os_error(errno, "'" + to.string() + "'",
                                             errno == ENOTEMPTY || errno == EEXIST ? "it is there already" : ""));
    return {};
}

Outcome<void> copy_out(Client& client, const Side& from, const std::string& target) {
    const fs::path folder = fs::is_directory(target) ? fs::path{target} : fs::absolute(target).parent_path();
    const bool contents = from.path.ends_with("/") || from.path.ends_with("/.");
    const Landing landing{folder};
    if (landing.path().empty())
        return refuse(exit_failure, os_error(errno, "cannot write to '" + folder.string() + "'"));
    std::string into = landing.path();
    if (contents) { // the whole of it becomes the target
        into += "/" + fs::path{target}.filename().string();
        if (::mkdir(into.c_str(), 0755) < 0)
            return refuse(exit_failure, os_error(errno, "'" + into + "'"));
    }
    auto pipe = make_pipe();
    if (!pipe)
        return refuse(exit_internal, pipe.error());
    std::vector<std::string> arguments{"--extract", "--file=-", "--no-same-owner", "--warning=no-unknown-keyword",
                                       "--directory=" + into};
    const auto tar = start_tar(arguments, pipe->read.get(), 0);
    if (!tar)
        return refuse(exit_internal, tar.error());
    pipe->read = UniqueFd{};
    auto copied = client.copy_from(from.container, from.path, pipe->write.get());
    if (!copied)
        ::kill(*tar, SIGKILL); // it would only complain of a stream that does not end as it should
    pipe->write = UniqueFd{};
    const auto ended = tar_ended(wait_exit(*tar));
    if (!copied || !ended)
        return copied ? ended : copied;
    return settle(landing.path(), target);
}

} // namespace

int cp(const CpOptions& options) {
    const Side from = side_of(options.source);
    const Side to = side_of(options.target);
    if (from.container.empty() == to.container.empty())
        return report(exit_bad_input, bad_input("one of the two must be CONTAINER:PATH, and only one",
                                                "as in: ctrctl cp web:/etc/nginx/nginx.conf ."));
    const Side& inside = from.container.empty() ? to : from;
    if (auto good = check_names({inside.container}); !good)
        return report(good.error());
    if (!inside.path.starts_with('/'))
        return report(exit_bad_input, bad_input("the path in the container, '" + inside.path + "', is not absolute"));
    auto client = Client::connect(!options.no_ask_password);
    if (!client)
        return report(client.error());
    const auto done =
        from.container.empty() ? copy_in(*client, options.source, to) : copy_out(*client, from, options.target);
    return done ? exit_ok : report(done.error());
}

} // namespace ctrd::ctl
