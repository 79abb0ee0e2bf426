#include "ctrd/image/verity.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"
#include "ctrd/image/folder.hpp"

#include <fcntl.h>
#include <linux/fsverity.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>

namespace ctrd::image {
namespace {

constexpr std::uint64_t most_with_holes = 1U << 30; // of one layer
constexpr std::size_t written_at = 1U << 16;
constexpr std::string_view no_measure = "-";
constexpr std::string_view end_mark = "end";

Error at_path(int err, std::string_view doing, const std::string& path) {
    return os_error(err, std::string{doing} + " '" + printable(path) + "' of a layer");
}

/// 0, or errno.
int enable(int file) {
    struct stat st {};
    if (::fstat(file, &st) < 0)
        return errno;
    fsverity_enable_arg how{};
    how.version = 1;
    how.hash_algorithm = FS_VERITY_HASH_ALG_SHA256;
    how.block_size = static_cast<std::uint32_t>(st.st_blksize); // before Linux 6.3 no other will do
    while (::ioctl(file, FS_IOC_ENABLE_VERITY, &how) < 0)
        if (errno != EINTR)
            return errno == EEXIST ? 0 : errno;
    return 0;
}

/// In hex; "-": it has none.
Result<std::string> measure(int file) {
    constexpr std::size_t sha256_size = 32;
    alignas(fsverity_digest) std::array<char, sizeof(fsverity_digest) + sha256_size> buffer{};
    fsverity_digest digest{};
    digest.digest_size = sha256_size;
    std::memcpy(buffer.data(), &digest, sizeof digest);
    if (::ioctl(file, FS_IOC_MEASURE_VERITY, buffer.data()) < 0)
        return errno == ENODATA || errno == EOPNOTSUPP || errno == ENOTTY
                   ? Result<std::string>{std::string{no_measure}}
                   : fail(os_error(errno, "the kernel says no digest"));
    std::memcpy(&digest, buffer.data(), sizeof digest);
    if (digest.digest_algorithm != FS_VERITY_HASH_ALG_SHA256 || digest.digest_size != sha256_size)
        return fail(bad_input("the kernel has measured it by another hash than SHA-256"));
    return Digest::from_bytes(Algorithm::sha256, {buffer.data() + sizeof digest, sha256_size}).hex();
}

/// Calls for each regular file, open for reading.
class Walk {
public:
    using Sink = std::function<Result<void>(int file, const struct stat&, const std::string& path)>;
    explicit Walk(Sink sink) : sink_{std::move(sink)} {}

    /// Below a folder, or of a layer that is a file: that one, whose path is "".
    Result<void> layer(int layer) {
        struct stat st {};
        if (::fstat(layer, &st) < 0)
            return fail(at_path(errno, "cannot look at", ""));
        return S_ISREG(st.st_mode) ? sink_(layer, st, "").context("the EROFS file") : folder(layer, "");
    }

private:
    // As deep as a path can be; each level is held open.
    Result<void> folder(int folder, const std::string& path) {
        const auto names = TRY(all_names_in(folder).context("'" + printable(path) + "' of a layer"));
        for (const std::string& name : names) {
            const std::string below = path.empty() ? name : path + "/" + name;
            struct stat st {};
            if (::fstatat(folder, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0)
                return fail(at_path(errno, "cannot look at", below));
            if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
                continue;
            const UniqueFd node{
                ::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
            if (!node)
                return fail(at_path(errno, "cannot open", below));
            TRY_VOID(S_ISDIR(st.st_mode) ? this->folder(node.get(), below)
                                         : sink_(node.get(), st, below).context("'" + printable(below) + "'"));
        }
        return {};
    }

    Sink sink_;
};

class Record {
public:
    explicit Record(int file) : file_{file} {}

    Result<void> add(std::string_view measured, std::string_view path) {
        (((text_ += measured) += ' ') += path) += '\0';
        return text_.size() < written_at ? Result<void>{} : write();
    }
    Result<void> end() {
        (text_ += end_mark) += '\0';
        return write();
    }

private:
    Result<void> write() {
        TRY_VOID(write_all(file_, text_));
        text_.clear();
        return {};
    }
    int file_;
    std::string text_{};
};

class RecordReader {
public:
    explicit RecordReader(UniqueFd file) : stream_{::fdopen(file.get(), "re")} {
        if (stream_) [[maybe_unused]]
            const int taken = file.release();
    }
    ~RecordReader() { std::free(line_); }
    RecordReader(const RecordReader&) = delete;
    RecordReader& operator=(const RecordReader&) = delete;

    struct Entry {
        std::string measured{}, path{};
    };
    /// Nothing at its end.
    Result<std::optional<Entry>> next() {
        if (ended_)
            return std::optional<Entry>{};
        const ssize_t length = stream_ ? ::getdelim(&line_, &room_, '\0', stream_.get()) : -1;
        if (length < 0 && stream_ && std::ferror(stream_.get()) == 0)
            return fail(bad_input("the record of what was measured ends too early"));
        if (length < 0)
            return fail(os_error(errno, "cannot read the record of what was measured"));
        const std::string_view line{line_, std::strlen(line_)};
        const std::size_t space = line.find(' ');
        ended_ = line == end_mark;
        if (ended_)
            return std::optional<Entry>{};
        if (space == std::string_view::npos)
            return fail(bad_input("the record of what was measured is damaged"));
        return std::optional{Entry{std::string{line.substr(0, space)}, std::string{line.substr(space + 1)}}};
    }

private:
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    std::unique_ptr<std::FILE, Close> stream_;
    char* line_{nullptr};
    std::size_t room_{0};
    bool ended_{false};
};

bool is_file(int tree, const std::string& path) {
    const UniqueFd file{rooted::open_raw(tree, path.c_str(), O_PATH | O_NOFOLLOW)};
    struct stat st {};
    return file && ::fstat(file.get(), &st) == 0 && S_ISREG(st.st_mode);
}

std::string says(const std::string& path, std::string_view what) {
    return (path.empty() ? "the EROFS file" : "'" + printable(path) + "'") + ": " + std::string{what};
}

Result<void> seal_file(int file) {
    const int err = enable(file);
    return err == 0 ? Result<void>{} : fail(os_error(err, "cannot switch on fs-verity"));
}

Result<void> seal_files(int tree, int record, const BudgetRef& budget) {
    std::uint64_t with_holes = 0;
    Record written{record};
    const auto seal = [&](int file, const struct stat& st, const std::string& path) -> Result<void> {
        const auto size = static_cast<std::uint64_t>(st.st_size);
        if (size > 0 && ::lseek(file, 0, SEEK_HOLE) < st.st_size) {
            if (size > most_with_holes - with_holes)
                return written.add(no_measure, path);
            with_holes += size;
        }
        // The hash tree, and a block that describes it.
        TRY_VOID(charge(budget, size / 127 + 4096));
        TRY_VOID(seal_file(file));
        // Sealing has changed them.
        const timespec times[] = {st.st_atim, st.st_mtim};
        if (::futimens(file, times) < 0)
            return fail(os_error(errno, "cannot set its time"));
        return written.add(TRY(measure(file)), path);
    };
    TRY_VOID(Walk{seal}.layer(tree));
    return written.end();
}

} // namespace

Result<bool> can_have_verity(const Store& store) {
    const Workspace workspace = TRY(Workspace::make(store));
    {
        const UniqueFd file = TRY(workspace.new_file("probe"));
        TRY_VOID(write_all(file.get(), "probe"));
    }
    const UniqueFd file = TRY(open_at(workspace.folder(), "probe", O_RDONLY | O_NOFOLLOW));
    const int err = enable(file.get());
    if (err == EOPNOTSUPP || err == ENOTTY)
        return false;
    return err == 0 ? Result<bool>{true}
                    : fail(os_error(err, "cannot find out whether the image store can have fs-verity"));
}

Result<void> seal_layer(const Workspace& workspace, int tree, const std::string& record, const BudgetRef& budget) {
    {
        const UniqueFd file = TRY(workspace.new_file(record));
        TRY_VOID(seal_files(tree, file.get(), budget));
    }
    const UniqueFd file = TRY(open_at(workspace.folder(), record, O_RDONLY | O_NOFOLLOW));
    return seal_file(file.get()).context("what was measured of it");
}

Result<std::optional<std::string>> first_unsealed(int tree, UniqueFd record) {
    RecordReader reader{std::move(record)};
    std::optional<std::string> found;
    const auto compare = [&](int file, const struct stat&, const std::string& path) -> Result<void> {
        if (found)
            return {};
        const auto entry = TRY(reader.next());
        if (!entry || entry->path != path) {
            const bool extra = !entry || is_file(tree, entry->path);
            found = says(extra ? path : entry->path, extra ? "it is not of this layer" : "it is missing");
            return {};
        }
        const std::string now = TRY(measure(file));
        if (now != entry->measured)
            found = says(path, now == no_measure ? "it has no fs-verity any more: it is another file"
                                                 : "the kernel measures another content than at first");
        return {};
    };
    TRY_VOID(Walk{compare}.layer(tree));
    if (!found)
        if (const auto entry = TRY(reader.next()))
            found = says(entry->path, "it is missing");
    return found;
}

} // namespace ctrd::image
