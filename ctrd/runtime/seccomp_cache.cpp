#include "ctrd/runtime/seccomp.hpp"

#include "ctrd/base/fd.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <fmt/format.h>

#include <dirent.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace ctrd::runtime {
namespace {

constexpr std::size_t max_entries = 64; // above that all is thrown away: profiles are few, and this is only a cache
constexpr std::size_t max_entry_size = 4U << 20;

struct Header {
    char magic[8]{'c', 't', 'r', 'd', 'b', 'p', 'f', '1'};
    std::uint32_t profile_size{0};
    std::uint32_t instructions{0};
    std::uint32_t flags{0};
    std::uint32_t reserved{0};
};

/// Every value with its length or an end mark: two profiles never have the same text.
class ProfileText {
public:
    explicit ProfileText(const oci::Seccomp& seccomp) {
        const scmp_version* library = ::seccomp_version();
        text_.reserve(16384);
        add(seccomp_compiler);
        add(fmt::format("{}.{}.{}", library->major, library->minor, library->micro));
        add(seccomp.default_action);
        add(seccomp.default_errno_ret);
        add(seccomp.architectures);
        add(seccomp.flags);
        for (const auto& rule : seccomp.rules) {
            add(rule.names);
            add(rule.action);
            add(rule.errno_ret);
            for (const auto& arg : rule.args) {
                add(arg.op);
                fmt::format_to(std::back_inserter(text_), "{} {} {}\n", arg.index, arg.value, arg.value_two);
            }
            text_ += '\n';
        }
    }
    [[nodiscard]] const std::string& text() const { return text_; }

private:
    void add(std::string_view value) {
        char digits[24];
        const auto end = fmt::format_to_n(digits, sizeof digits, "{}:", value.size()).out;
        text_.append(digits, end);
        text_ += value;
    }
    void add(const std::optional<std::uint32_t>& value) { add(value ? std::to_string(*value) : "-"); }
    void add(const std::vector<std::string>& values) {
        for (const std::string& value : values)
            add(value);
        text_ += ';';
    }

    std::string text_;
};

/// FNV-1a: it names a file, and need not resist anybody.
std::uint64_t hash_of(std::string_view text) {
    std::uint64_t hash = 14695981039346656037U;
    for (const char c : text)
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    return hash;
}

bool only_we_can_write(const struct stat& st) { return st.st_uid == ::geteuid() && (st.st_mode & 022) == 0; }

std::optional<SeccompFilter> load(int folder, const std::string& name, const std::string& profile) {
    const UniqueFd fd{::openat(folder, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
    struct stat st {};
    if (!fd || ::fstat(fd.get(), &st) < 0 || !S_ISREG(st.st_mode) || !only_we_can_write(st))
        return std::nullopt;
    const auto text = read_all(fd.get(), max_entry_size);
    Header header;
    const Header expected;
    if (!text || text->size() < sizeof header)
        return std::nullopt;
    std::memcpy(&header, text->data(), sizeof header);
    const std::size_t program_size = header.instructions * sizeof(sock_filter);
    if (std::memcmp(header.magic, expected.magic, sizeof header.magic) != 0 || header.profile_size != profile.size() ||
        header.instructions > BPF_MAXINSNS || text->size() != sizeof header + profile.size() + program_size ||
        text->compare(sizeof header, profile.size(), profile) != 0)
        return std::nullopt;
    SeccompFilter filter;
    filter.flags = header.flags;
    filter.program.resize(header.instructions);
    std::memcpy(filter.program.data(), text->data() + sizeof header + profile.size(), program_size);
    return filter;
}

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

/// So many profiles come only from somebody who wants to fill the memory.
void empty_if_full(const std::string& folder) {
    const std::unique_ptr<DIR, CloseDir> dir{::opendir(folder.c_str())};
    std::vector<std::string> names;
    while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr)
        if (entry->d_name[0] != '.')
            names.emplace_back(entry->d_name);
    if (names.size() >= max_entries)
        for (const std::string& name : names)
            ::unlinkat(::dirfd(dir.get()), name.c_str(), 0);
}

void store(const std::string& folder, const std::string& name, const std::string& profile,
           const SeccompFilter& filter) {
    Header header;
    header.profile_size = static_cast<std::uint32_t>(profile.size());
    header.instructions = static_cast<std::uint32_t>(filter.program.size());
    header.flags = filter.flags;
    std::string text{reinterpret_cast<const char*>(&header), sizeof header};
    text += profile;
    text.append(reinterpret_cast<const char*>(filter.program.data()), filter.program.size() * sizeof(sock_filter));
    if (text.size() > max_entry_size || !make_dirs(folder, 0700))
        return;
    empty_if_full(folder);
    [[maybe_unused]] auto written = write_atomic(folder + "/" + name, text, 0600);
}

} // namespace

std::string seccomp_cache_folder() {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    const bool has_own = runtime != nullptr && *runtime == '/';
    if (::geteuid() == 0 && (!has_own || is_host_root()))
        return "/run/ctrd/seccomp";
    return has_own ? std::string{runtime} + "/ctrd/seccomp" : "";
}

Result<SeccompFilter> cached_seccomp(const oci::Seccomp& seccomp, const std::string& folder) {
    if (folder.empty())
        return compile_seccomp(seccomp);
    const ProfileText profile{seccomp};
    const std::string name = fmt::format("{:016x}", hash_of(profile.text()));
    const UniqueFd opened{::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)};
    if (!opened && errno != ENOENT)
        return compile_seccomp(seccomp); // a link, or nothing that we may enter
    struct stat st {};
    if (opened && (::fstat(opened.get(), &st) < 0 || !only_we_can_write(st)))
        return compile_seccomp(seccomp); // somebody else's folder: neither read nor written
    if (opened)
        if (auto filter = load(opened.get(), name, profile.text()))
            return std::move(*filter);
    SeccompFilter filter = TRY(compile_seccomp(seccomp));
    store(folder, name, profile.text(), filter);
    return filter;
}

} // namespace ctrd::runtime
