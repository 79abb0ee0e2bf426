// What checkpoint and restore have in common: options, folders, the log.
#include "ctrd/base/file.hpp"
#include "tools/ctr-oci/criu.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>

namespace ctrd::ctr_oci {
namespace {

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

Error not_ours(const std::string& path) {
    return {std::errc::operation_not_permitted, "'" + path + "' can be written by others, or is not ours",
            "what CRIU finds there it trusts: chown it to us and chmod go-w"};
}

bool is_ours(const struct stat& st) { return st.st_uid == ::geteuid() && (st.st_mode & 022U) == 0; }

Result<UniqueFd> open_folder(int dir, const std::string& path, const std::string& shown) {
    UniqueFd fd{::openat(dir, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    struct stat st {};
    if (!fd || ::fstat(fd.get(), &st) < 0)
        return fail(os_error(errno, "cannot open '" + shown + "'"));
    if (!is_ours(st))
        return fail(not_ours(shown));
    return fd;
}

/// A chain of pre-dumps is at most this long.
constexpr int most_parents = 256;

/// Every file in it, and in what its link "parent" leads to: the images that it is based on.
Result<void> check_images(int folder, const std::string& shown, int depth = 0) {
    if (depth > most_parents)
        return fail(os_error(ELOOP, "'" + shown + "/parent'"));
    UniqueFd copy = TRY(open_at(folder, ".", O_RDONLY | O_DIRECTORY));
    const std::unique_ptr<DIR, CloseDir> dir{::fdopendir(copy.get())};
    if (!dir)
        return fail(os_error(errno, "cannot list '" + shown + "'"));
    [[maybe_unused]] const int owned = copy.release();
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string name = entry->d_name;
        struct stat st {};
        if (name == "." || name == "..")
            continue;
        if (::fstatat(folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0)
            return fail(os_error(errno, "cannot look at '" + shown + "/" + name + "'"));
        if (name == "parent" && S_ISLNK(st.st_mode)) {
            const UniqueFd parent = TRY(open_folder(folder, name, shown + "/" + name));
            TRY_VOID(check_images(parent.get(), shown + "/" + name, depth + 1));
        } else if (S_ISLNK(st.st_mode) || !is_ours(st)) {
            return fail(not_ours(shown + "/" + name));
        }
    }
    return {};
}

/// --parent-path, which CRIU takes as relative to the images and writes into them as a link.
Result<void> check_parent(int images, const std::string& path) {
    if (path.empty())
        return {};
    if (path.starts_with('/'))
        return fail(bad_input("--parent-path '" + path + "' must be relative to --image-path"));
    return check_images(TRY(open_folder(images, path, path).context("--parent-path")).get(), path);
}

std::uint64_t cgroups_mode(const std::string& name) {
    return name == "ignore" ? 0 : name == "full" ? 4 : name == "strict" ? 5 : 3; // soft
}

} // namespace

Result<void> check_criu_options(const Options& options) {
    const CriuOptions& wanted = options.criu;
    if (::geteuid() != 0)
        return fail(Error{std::errc::operation_not_permitted, options.command + " needs root: CRIU does", ""});
    if (wanted.lazy_pages)
        return fail(bad_input("--lazy-pages is not done", "let it save all memory, or --pre-dump most of it before"));
    if (!wanted.page_server.empty() || !wanted.status_fd.empty())
        return fail(bad_input("--page-server and --status-fd are not done", "copy the images when they are written"));
    return {};
}

Result<CriuFolders> open_criu_folders(const Options& options, ImagesAre use) {
    CriuFolders folders;
    const std::string& path = options.criu.image_path;
    if (use == ImagesAre::to_write && ::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST)
        return fail(os_error(errno, "--image-path: cannot make '" + path + "'"));
    folders.images = TRY(open_folder(AT_FDCWD, path, path).context("--image-path"));
    if (use == ImagesAre::to_read)
        TRY_VOID(check_images(folders.images.get(), path).context("--image-path"));
    TRY_VOID(check_parent(folders.images.get(), options.criu.parent_path));
    folders.log = path;
    if (const std::string& work = options.criu.work_path; !work.empty()) {
        if (::mkdir(work.c_str(), 0700) < 0 && errno != EEXIST)
            return fail(os_error(errno, "--work-path: cannot make '" + work + "'"));
        folders.work = TRY(open_folder(AT_FDCWD, work, work).context("--work-path"));
        folders.log = work;
    }
    return folders;
}

CriuMessage criu_options(const Options& options, const CriuFolders& folders, std::string_view log) {
    const CriuOptions& wanted = options.criu;
    CriuMessage message;
    message.number(1, static_cast<std::uint64_t>(folders.images.get()));
    if (folders.work)
        message.number(17, static_cast<std::uint64_t>(folders.work.get()));
    message.flag(4, wanted.ext_unix_sk).flag(5, wanted.tcp_established).flag(7, wanted.shell_job);
    message.flag(8, wanted.file_locks).flag(16, wanted.auto_dedup);
    message.flag(18, wanted.link_remap).flag(46, wanted.tcp_skip_in_flight);
    message.number(9, 4).text(10, log);
    message.flag(12, true);                                               // notifications
    message.flag(24, true).number(34, cgroups_mode(wanted.cgroups_mode)); // the older field, and the newer
    message.flag(50, true); // the terminal's master is not the container's
    if (wanted.empty_network)
        message.number(38, CLONE_NEWNET);
    return message;
}

Error criu_error(const CriuFolders& folders, std::string_view log, std::string_view doing, const CriuReply& reply) {
    const UniqueFd file{::openat(folders.work ? folders.work.get() : folders.images.get(), std::string{log}.c_str(),
                                 O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    const auto text = file ? read_all(file.get(), 256U << 20) : Result<std::string>{std::string{}};
    std::string reasons;
    constexpr std::string_view mark = "Error (";
    std::size_t at = text ? text->size() : 0;
    // The last ones: before them are those of what CRIU has only tried.
    for (int count = 0; count < 3 && at != 0 && (at = text->rfind(mark, at - 1)) != std::string::npos; ++count) {
        const std::string line = text->substr(at, text->find('\n', at) - at);
        const auto words = line.find("): ");
        reasons = (words == std::string::npos ? line : line.substr(words + 3)) + (count == 0 ? "" : "; ") + reasons;
    }
    for (char& c : reasons)
        if (static_cast<unsigned char>(c) < ' ')
            c = ' ';
    if (reasons.empty())
        reasons = !reply.message.empty() ? reply.message
                  : reply.error != 0     ? errno_text(reply.error)
                                         : "no reason given";
    return {std::errc::io_error, std::string{doing} + ": criu: " + reasons,
            "all it said is in '" + folders.log + "/" + std::string{log} + "'"};
}

} // namespace ctrd::ctr_oci
