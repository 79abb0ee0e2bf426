#include "ctrd/runtime/prepared.hpp"

#include "ctrd/runtime/host_mounts.hpp"
#include "ctrd/runtime/id_map.hpp"
#include "ctrd/runtime/mount_api.hpp"
#include "ctrd/runtime/overlay.hpp"
#include "ctrd/runtime/sync.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>

namespace ctrd::runtime {
namespace {

/// In the parent, so that a failure can name the path; on a detached tree, so that nobody ever sees it otherwise.
Result<void> set_attributes(int tree, const plan::MountAttributes& attributes, const std::string& path) {
    if (set_mount_attributes(tree, attributes) < 0)
        return fail(os_error(errno, "cannot set the mount options of '" + path + "'"));
    return {};
}

/// For the message, and for its kind: what is there for the child to clone.
Result<Source> look_at(const std::string& path) {
    struct stat st {};
    if (::stat(path.c_str(), &st) < 0)
        return fail(os_error(errno, "'" + path + "'"));
    Source source;
    source.is_folder = S_ISDIR(st.st_mode);
    return source;
}

Result<Source> clone_tree(const std::string& path, bool recursive, const plan::MountAttributes& attributes) {
    if (::geteuid() != 0)
        return look_at(path);
    Source source;
    const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0U);
    source.tree = UniqueFd{::open_tree(AT_FDCWD, path.c_str(), flags)};
    if (!source.tree)
        return fail(os_error(errno, "'" + path + "'"));
    struct stat st {};
    if (::fstat(source.tree.get(), &st) < 0)
        return fail(os_error(errno, "'" + path + "'"));
    source.is_folder = S_ISDIR(st.st_mode);
    TRY_VOID(set_attributes(source.tree.get(), attributes, path));
    return source;
}

struct Open {
    const std::string& cgroup;
    MappedNamespaces& namespaces;

    Result<Source> operator()(const plan::AttachRootfs& step) const {
        constexpr std::uint64_t ms_rec = 16384;
        auto source = clone_tree(step.host_path, true, {.propagation = {step.propagation | ms_rec}});
        if (!source)
            return std::move(source).context("cannot open the rootfs");
        if (!source->is_folder)
            return fail(os_error(ENOTDIR, "cannot open the rootfs: '" + step.host_path + "'"));
        if (step.id_map)
            TRY_VOID(map(*source, *step.id_map).context("rootfs '" + step.host_path + "'"));
        return source;
    }
    /// The child can only say that something is not there; which it is, we can.
    Result<Source> operator()(const plan::StackRootfs& step) const {
        TRY_VOID(check_stack(step.stack).context("cannot open the image's rootfs"));
        auto layers = TRY(mount_layers(step.stack, step.id_map, namespaces).context("cannot open the image's rootfs"));
        Source source;
        if (step.id_map) {
            source = TRY(clone_tree(step.stack.store, false, {.propagation = {MS_PRIVATE}}));
            TRY_VOID(map(source, *step.id_map).context("image store '" + step.stack.store + "'"));
        }
        source.layers = std::move(layers);
        return source;
    }
    Result<Source> operator()(const plan::BindMount& step) const {
        if (!step.inside.empty())
            return Source{};
        auto source = clone_tree(step.host_source, step.recursive, step.attributes);
        if (!source && step.optional)
            return Source{};
        if (source && step.id_map)
            TRY_VOID(map(*source, *step.id_map).context(plan::describe(step)));
        return std::move(source).context(plan::describe(step));
    }
    Result<Source> operator()(const plan::BindCgroup& step) const {
        return clone_tree(cgroup, false, step.attributes).context(plan::describe(step));
    }
    Result<Source> operator()(const auto&) const { return Source{}; }

private:
    Result<void> map(const Source& source, const plan::IdMap& ids) const {
        if (!source.tree)
            return fail(os_error(EPERM, "cannot map the ids of the mount", "id-mapped mounts take root"));
        return map_ids(source.tree.get(), ids, namespaces);
    }
};

/// A label that nobody enforces would be a promise.
Result<void> check_labels(const plan::Plan& plan) {
    if (plan.mount_label.empty() && plan.process.process.selinux_label.empty())
        return {};
    constexpr std::uint32_t selinux_magic = 0xf97cff8c;
    struct statfs fs {};
    if (::statfs("/sys/fs/selinux", &fs) == 0 && static_cast<std::uint32_t>(fs.f_type) == selinux_magic)
        return {};
    return fail(Error{std::errc::not_supported,
                      plan.mount_label.empty() ? "process.selinuxLabel: SELinux is not enabled on this host"
                                               : "linux.mountLabel: SELinux is not enabled on this host",
                      "leave the labels out of config.json"});
}

std::vector<unsigned long> to_mask(const std::vector<unsigned>& numbers) {
    constexpr unsigned bits = 8 * sizeof(unsigned long);
    std::vector<unsigned long> mask(numbers.empty() ? 0 : numbers.back() / bits + 1);
    for (const unsigned number : numbers)
        mask[number / bits] |= 1UL << number % bits;
    return mask;
}

char* mutable_text(const std::string& text) {
    return const_cast<char*>(text.c_str()); // execve promises not to write
}

} // namespace

Result<PreparedProcess> prepare_process(const plan::ProcessPlan& plan, const SeccompFilter* compiled) {
    PreparedProcess result;
    for (const std::string& arg : plan.process.args)
        result.argv.push_back(mutable_text(arg));
    for (const std::string& entry : plan.process.env)
        result.envp.push_back(mutable_text(entry));
    for (const std::string& path : plan.candidates)
        result.candidates.push_back(path.c_str());
    result.argv.push_back(nullptr);
    result.envp.push_back(nullptr);
    result.groups = plan.process.user.additional_gids;
    if (compiled != nullptr)
        result.seccomp = *compiled;
    else if (plan.seccomp)
        result.seccomp = TRY(cached_seccomp(*plan.seccomp, seccomp_cache_folder()));
    if (plan.memory_policy)
        result.memory_nodes = to_mask(plan.memory_policy->nodes);
    return result;
}

void add_init(PreparedProcess& process, const std::vector<std::string>& init_args) {
    for (const std::string& arg : init_args)
        process.init_argv.push_back(mutable_text(arg));
    process.init_argv.insert(process.init_argv.end(), process.argv.begin(), process.argv.end());
}

void add_listen_environment(PreparedProcess& process, std::size_t count, const std::string& names) {
    process.own_environment = {"LISTEN_FDS=" + std::to_string(count), "LISTEN_FDNAMES=" + names,
                               "LISTEN_PID=0000000000"};
    process.envp.pop_back();
    for (const std::string& entry : process.own_environment)
        process.envp.push_back(mutable_text(entry));
    process.envp.push_back(nullptr);
    process.listen_pid = mutable_text(process.own_environment.back()) + sizeof "LISTEN_PID=" - 1;
}

void add_peer_environment(PreparedProcess& process) {
    const std::string address = "REMOTE_ADDR=";
    const std::string port = "REMOTE_PORT=";
    process.peer_environment = {address + std::string(sizeof ConnectionReport::address, '\0'),
                                port + std::string(sizeof ConnectionReport::port, '\0')};
    process.envp.pop_back();
    for (const std::string& entry : process.peer_environment)
        process.envp.push_back(mutable_text(entry));
    process.envp.push_back(nullptr);
    char** first = process.envp.data() + process.envp.size() - 3;
    process.peer = {first, first[0] + address.size(), first[1] + port.size()};
}

Result<Prepared> prepare(const plan::Plan& plan, const std::string& cgroup) {
    Prepared result;
    result.cgroup = cgroup;
    MappedNamespaces namespaces;
    TRY_VOID(check_labels(plan));
    result.sources.reserve(plan.steps.size());
    for (const plan::Step& step : plan.steps)
        result.sources.push_back(TRY(std::visit(Open{cgroup, namespaces}, step)));
    result.process = TRY(prepare_process(plan.process));
    result.container_hooks = prepare_hooks(plan.hooks.create_container);
    // They are the payload's kind: their programs come out of the image, and so may what they are told.
    result.start_hooks = prepare_hooks(plan.hooks.start_container, plan.process.process.env);
    for (const plan::Step& step : plan.steps)
        if (const auto* pivot = std::get_if<plan::PivotRoot>(&step); pivot != nullptr && pivot->chroot_only)
            result.kernel_mounts = TRY(kernel_mounts());
    return result;
}

} // namespace ctrd::runtime
