#include "tools/ctr-oci/criu_externals.hpp"

#include "ctrd/base/file.hpp"
#include "tools/ctr-oci/mount_table.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <climits>

namespace ctrd::ctr_oci {
namespace {

constexpr char streams_file[] = "descriptors.json";
constexpr int streams = 3;

Result<std::string> link_of(const std::string& path) {
    char target[PATH_MAX];
    const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
    if (n < 0)
        return fail(os_error(errno, "cannot read the link '" + path + "'"));
    return std::string{target, static_cast<std::size_t>(n)};
}

/// Terminals are --shell-job's: CRIU knows how to bring back a session on another one.
bool is_plain(const struct stat& st) {
    constexpr unsigned memory_devices = 1; // null, zero, random
    return S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && major(st.st_rdev) == memory_devices);
}

Result<std::string> stream_name(pid_t pid, int fd, const MountTable& table) {
    const std::string path = fmt::format("/proc/{}/fd/{}", pid, fd);
    const auto target = link_of(path);
    if (!target)
        return std::string{}; // closed
    if (target->starts_with("pipe:[") || target->starts_with("socket:["))
        return *target;
    struct stat st {};
    const int mount = TRY(mount_id(std::to_string(pid), fd));
    if (table.contains(mount) || ::stat(path.c_str(), &st) < 0 || !is_plain(st))
        return std::string{}; // the container's own
    return fmt::format("file[{:x}:{:x}]", mount, st.st_ino);
}

struct ExternalNamespace {
    std::uint64_t flag;
    const char* type;
    const char* key;
};
constexpr ExternalNamespace namespaces[] = {{CLONE_NEWNET, "net", "network"}, {CLONE_NEWPID, "pid", "pids"}};

Result<const ExternalNamespace*> known(const plan::JoinNamespace& join) {
    for (const ExternalNamespace& one : namespaces)
        if (one.flag == join.clone_flag)
            return &one;
    return fail(bad_input("a container with the " + join.type + " namespace '" + join.host_path +
                              "' can be neither saved nor restored",
                          "CRIU joins network and pid namespaces only"));
}

} // namespace

Result<std::vector<std::string>> stream_names(pid_t pid) {
    const MountTable table = TRY(mount_table(std::to_string(pid)));
    std::vector<std::string> names;
    for (int fd = 0; fd < streams; ++fd)
        names.push_back(TRY(stream_name(pid, fd, table)));
    return names;
}

Result<void> write_stream_names(int images, const std::vector<std::string>& names) {
    const UniqueFd file = TRY(open_at(images, streams_file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
    return write_all(file.get(), nlohmann::json(names).dump());
}

Result<std::vector<InheritedFd>> inherited_streams(int images) {
    const UniqueFd file = TRY(open_at(images, streams_file, O_RDONLY | O_NOFOLLOW).context("--image-path"));
    const auto names = nlohmann::json::parse(TRY(read_all(file.get(), 1U << 16)), nullptr, false);
    if (!names.is_array() || names.size() > streams)
        return fail(bad_input(fmt::format("--image-path: '{}' is damaged", streams_file)));
    std::vector<InheritedFd> inherited;
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i].is_string() && !names[i].get_ref<const std::string&>().empty()) {
            const auto& name = names[i].get_ref<const std::string&>();
            bool first = true; // stdout and stderr are often one file: it comes back once
            for (const InheritedFd& other : inherited)
                first = first && other.key != name;
            if (first)
                inherited.push_back({name, static_cast<int>(i)});
        }
    return inherited;
}

Result<std::vector<std::string>> external_namespaces_of(pid_t pid, const plan::Plan& plan) {
    std::vector<std::string> externals;
    for (const plan::JoinNamespace& join : plan.joins) {
        const ExternalNamespace* type = TRY(known(join));
        struct stat st {};
        const std::string path = fmt::format("/proc/{}/ns/{}", pid, type->type);
        if (::stat(path.c_str(), &st) < 0)
            return fail(os_error(errno, "cannot look at '" + path + "'"));
        externals.push_back(fmt::format("{}[{}]:{}", type->type, st.st_ino, type->key));
    }
    return externals;
}

Result<std::vector<InheritedFd>> external_namespaces_for(const plan::Plan& plan, std::vector<UniqueFd>& opened) {
    std::vector<InheritedFd> inherited;
    for (const plan::JoinNamespace& join : plan.joins) {
        const ExternalNamespace* type = TRY(known(join));
        opened.push_back(TRY(open_at(AT_FDCWD, join.host_path, O_RDONLY | O_NONBLOCK).context("linux.namespaces")));
        inherited.push_back({type->key, opened.back().get()});
    }
    return inherited;
}

Result<void> check_restorable(const oci::Spec& spec, const plan::Plan& plan) {
    if (spec.intel_rdt)
        return fail(bad_input("a container with linux.intelRdt can be neither saved nor restored"));
    if (spec.seccomp && oci::notifies(*spec.seccomp))
        return fail(bad_input("a container with SCMP_ACT_NOTIFY in linux.seccomp can be neither saved nor restored",
                              "nobody would answer its calls any more"));
    for (const plan::JoinNamespace& join : plan.joins)
        [[maybe_unused]] auto* type = TRY(known(join));
    return {};
}

void add_mounts(CriuMessage& options, const std::vector<ExternalMount>& mounts) {
    for (const ExternalMount& mount : mounts)
        options.message(23, CriuMessage{}.text(1, mount.key).text(2, mount.value));
}

void add_externals(CriuMessage& options, const std::vector<std::string>& externals) {
    for (const std::string& external : externals)
        options.text(37, external);
}

void add_inherited(CriuMessage& options, const std::vector<InheritedFd>& fds) {
    for (const InheritedFd& one : fds)
        options.message(27, CriuMessage{}.text(1, one.key).number(2, static_cast<std::uint64_t>(one.fd)));
}

} // namespace ctrd::ctr_oci
