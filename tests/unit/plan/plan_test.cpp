#include "ctrd/plan/mount_options.hpp"
#include "ctrd/plan/plan.hpp"

#include <catch2/catch.hpp>

#include <linux/mount.h>
#include <linux/sched.h>

#include <algorithm>

using namespace ctrd;

namespace {

constexpr std::uint64_t ms_rec = 16384;
constexpr std::uint64_t ms_private = 1UL << 18;
constexpr std::uint64_t ms_slave = 1UL << 19;

oci::Spec minimal() {
    oci::Spec spec;
    spec.root_path = "rootfs";
    spec.process.emplace();
    spec.process->args = {"sh"};
    spec.process->cwd = "/";
    spec.namespaces = {{CLONE_NEWNS, "mount", ""}, {CLONE_NEWPID, "pid", ""}};
    return spec;
}

Result<plan::Plan> plan_of(const oci::Spec& spec) { return plan::make_plan(spec, {"/bundle"}); }

template <class S> std::vector<S> steps_of(const plan::Plan& plan) {
    std::vector<S> result;
    for (const auto& step : plan.steps)
        if (const auto* found = std::get_if<S>(&step))
            result.push_back(*found);
    return result;
}

template <class S> std::ptrdiff_t position_of(const plan::Plan& plan) {
    return std::ranges::find_if(plan.steps, [](const auto& step) { return std::holds_alternative<S>(step); }) -
           plan.steps.begin();
}

} // namespace

TEST_CASE("a relative rootfs is the bundle's, and no change of ours propagates to the host", "[plan]") {
    const auto plan = plan_of(minimal());
    REQUIRE(plan.has_value());
    CHECK(steps_of<plan::AttachRootfs>(*plan).at(0).host_path == "/bundle/rootfs");
    CHECK(steps_of<plan::AttachRootfs>(*plan).at(0).propagation == ms_private);
    CHECK(steps_of<plan::SetPropagation>(*plan).at(0).flags == (ms_rec | ms_slave));
    CHECK(position_of<plan::SetPropagation>(*plan) < position_of<plan::AttachRootfs>(*plan));
}

TEST_CASE("a container has its own mount namespace or is refused", "[plan]") {
    auto spec = minimal();
    spec.namespaces = {{CLONE_NEWPID, "pid", ""}};
    CHECK_FALSE(plan_of(spec).has_value());
}

TEST_CASE("masks and read-only paths come after all mounts, and the pivot after them", "[plan]") {
    auto spec = minimal();
    spec.mounts = {{"/proc", "proc", "proc", {}}};
    spec.masked_paths = {"/proc/kcore"};
    spec.readonly_paths = {"/proc/sys"};
    spec.root_readonly = true;
    const auto plan = plan_of(spec);
    REQUIRE(plan.has_value());
    CHECK(position_of<plan::MountFs>(*plan) < position_of<plan::ReadonlyPath>(*plan));
    CHECK(position_of<plan::ReadonlyPath>(*plan) < position_of<plan::MaskPath>(*plan));
    CHECK(position_of<plan::MaskPath>(*plan) < position_of<plan::ReadonlyRoot>(*plan));
    CHECK(position_of<plan::ReadonlyRoot>(*plan) < position_of<plan::PivotRoot>(*plan));
}

TEST_CASE("the default devices are made, unless /dev is somebody else's", "[plan]") {
    auto spec = minimal();
    CHECK(steps_of<plan::MakeDevice>(*plan_of(spec)).size() == 6);
    spec.mounts = {{"/dev", "bind", "/dev", {"rbind"}}};
    CHECK(steps_of<plan::MakeDevice>(*plan_of(spec)).empty());
    CHECK(steps_of<plan::MakeSymlink>(*plan_of(spec)).empty());
}

TEST_CASE("in a user namespace devices are bound from the host instead of made", "[plan]") {
    auto spec = minimal();
    spec.namespaces.push_back({CLONE_NEWUSER, "user", ""});
    spec.uid_mappings = spec.gid_mappings = {{0, 100000, 65536}};
    const auto plan = plan_of(spec);
    REQUIRE(plan.has_value());
    CHECK(steps_of<plan::MakeDevice>(*plan).empty());
    CHECK(steps_of<plan::BindMount>(*plan).size() == 6);
}

TEST_CASE("without rules for devices those may be used that the configuration makes", "[plan]") {
    auto spec = minimal();
    CHECK(plan_of(spec)->device_rules.empty());
    spec.devices = {{'c', "/dev/fuse", 10, 229}, {'p', "/dev/fifo"}, {'b', "/dev/sda", 8, 0}};
    const auto implied = plan_of(spec)->device_rules;
    REQUIRE(implied.size() == 2); // a FIFO is no device
    CHECK((implied[0].allow && implied[0].type == 'c' && implied[0].major == 10 && implied[0].minor == 229));
    CHECK((implied[1].allow && implied[1].type == 'b' && implied[1].access == "rwm"));
    spec.resources.devices = {{false}};
    REQUIRE(plan_of(spec)->device_rules.size() == 1);
    CHECK_FALSE(plan_of(spec)->device_rules.front().allow);
}

TEST_CASE("id maps and a new user namespace come together or not at all", "[plan]") {
    auto spec = minimal();
    spec.uid_mappings = {{0, 100000, 65536}};
    CHECK_FALSE(plan_of(spec).has_value());
    spec = minimal();
    spec.namespaces.push_back({CLONE_NEWUSER, "user", ""});
    CHECK_FALSE(plan_of(spec).has_value());
}

TEST_CASE("a tmpfs that is to be read-only turns so only after mounts inside it", "[plan]") {
    auto spec = minimal();
    spec.mounts = {{"/dev", "tmpfs", "tmpfs", {"ro", "nosuid"}}, {"/dev/pts", "devpts", "devpts", {}}};
    const auto plan = plan_of(spec);
    REQUIRE(plan.has_value());
    const auto mounts = steps_of<plan::MountFs>(*plan);
    CHECK((mounts.at(0).attributes.set & MOUNT_ATTR_RDONLY) == 0);
    REQUIRE(steps_of<plan::Remount>(*plan).size() == 1);
    CHECK(steps_of<plan::Remount>(*plan).at(0).destination == "/dev");
    CHECK(steps_of<plan::Remount>(*plan).at(0).attributes.set == MOUNT_ATTR_RDONLY);
    CHECK(position_of<plan::MakeDevice>(*plan) < position_of<plan::Remount>(*plan));
}

TEST_CASE("a source in the rootfs is looked for there, after the mounts before it", "[plan]") {
    auto spec = minimal();
    const std::string root = spec.root_path.starts_with('/') ? spec.root_path : "/bundle/" + spec.root_path;
    const auto inside = [&](const std::string& source) {
        spec.mounts = {{"/data", "bind", source, {"rbind"}}};
        return steps_of<plan::BindMount>(*plan_of(spec)).at(0).inside;
    };
    CHECK(inside(root + "/srv/x") == "/srv/x");
    CHECK(inside(root + "x/srv").empty());
    CHECK(inside(root + "/../srv").empty());
    CHECK(inside(root + "/srv/..").empty());
    CHECK(inside(root).empty());
    CHECK(inside("/srv").empty());
    spec.root_path = "/";
    CHECK(inside("/srv").empty());
}

TEST_CASE("of a variable that is given twice the last counts", "[plan]") {
    auto spec = minimal();
    spec.process->env = {"A=1", "PATH=/wrong", "B=2", "A=3", "PATH=/bin"};
    spec.process->args = {"sh"};
    const auto plan = plan_of(spec);
    REQUIRE(plan.has_value());
    CHECK(plan->process.process.env == std::vector<std::string>{"B=2", "A=3", "PATH=/bin"});
    CHECK(plan->process.candidates == std::vector<std::string>{"/bin/sh"});
}

TEST_CASE("a bind mount is a slave of the host's unless rootfs and mount both ask for sharing", "[plan]") {
    auto spec = minimal();
    spec.mounts = {{"/data", "bind", "/srv", {"rbind", "rshared"}}};
    CHECK(steps_of<plan::BindMount>(*plan_of(spec)).at(0).attributes.propagation.front() == (ms_rec | ms_slave));
    spec.rootfs_propagation = "rshared";
    CHECK(steps_of<plan::BindMount>(*plan_of(spec)).at(0).attributes.propagation.front() != (ms_rec | ms_slave));
}

TEST_CASE("where the host's /sys is shown read-only, its cgroups are so, too", "[plan]") {
    const auto recursive = [](const char* source, std::vector<std::string> options) {
        auto spec = minimal();
        spec.mounts = {{"/sys", "none", source, std::move(options)}};
        return steps_of<plan::BindMount>(*plan_of(spec)).at(0).attributes.set_recursive;
    };
    CHECK(recursive("/sys", {"rbind", "ro"}) == MOUNT_ATTR_RDONLY);
    CHECK(recursive("/sys/fs//", {"ro", "rbind"}) == MOUNT_ATTR_RDONLY);
    CHECK(recursive("/sys", {"rbind", "rw"}) == 0);
    CHECK(recursive("/sys", {"rbind", "ro", "rrw"}) == 0); // said, and meant
    CHECK(recursive("/sys", {"bind", "ro"}) == 0);         // nothing lies below it
    CHECK(recursive("/srv", {"rbind", "ro"}) == 0);
}

TEST_CASE("without a cgroup namespace the container's own cgroup is bound, not the host's hierarchy mounted",
          "[plan]") {
    auto spec = minimal();
    spec.mounts = {{"/sys/fs/cgroup", "cgroup", "cgroup", {"ro"}}};
    CHECK(steps_of<plan::BindCgroup>(*plan_of(spec)).size() == 1);
    spec.namespaces.push_back({CLONE_NEWCGROUP, "cgroup", ""});
    CHECK(steps_of<plan::MountFs>(*plan_of(spec)).at(0).type == "cgroup2");
}

TEST_CASE("a host name needs a namespace of its own", "[plan]") {
    auto spec = minimal();
    spec.hostname = "web";
    CHECK_FALSE(plan_of(spec).has_value());
    spec.namespaces.push_back({CLONE_NEWUTS, "uts", ""});
    CHECK(steps_of<plan::SetHostname>(*plan_of(spec)).at(0).name == "web");
}

TEST_CASE("a name may be given to a uts namespace that is joined", "[plan]") {
    auto spec = minimal();
    spec.hostname = "web";
    spec.namespaces.push_back({CLONE_NEWUTS, "uts", "/proc/7/ns/uts"});
    CHECK(steps_of<plan::SetHostname>(*plan_of(spec)).size() == 1);
}

TEST_CASE("a name is set by its property or by its sysctl, never differently by both", "[plan]") {
    auto spec = minimal();
    spec.namespaces.push_back({CLONE_NEWUTS, "uts", ""});
    spec.sysctl = {{"kernel.domainname", "example.org"}};
    CHECK(plan_of(spec).has_value());
    spec.domainname = "example.org";
    CHECK(plan_of(spec).has_value());
    spec.domainname = "example.com";
    CHECK_FALSE(plan_of(spec).has_value());
    spec.sysctl = {{"kernel.hostname", "web"}};
    CHECK_FALSE(plan_of(spec).has_value());
}

TEST_CASE("in a read-only rootfs the working directory is made before nothing can be made any more", "[plan]") {
    auto spec = minimal();
    spec.root_readonly = true;
    spec.process->cwd = "/srv/new";
    const auto plan = plan_of(spec);
    REQUIRE(plan.has_value());
    const auto is_folder = [](const plan::Step& s) { return std::holds_alternative<plan::MakeFolder>(s); };
    const auto is_root = [](const plan::Step& s) { return std::holds_alternative<plan::ReadonlyRoot>(s); };
    const auto folder = std::ranges::find_if(plan->steps, is_folder);
    REQUIRE(folder != plan->steps.end());
    CHECK(std::get<plan::MakeFolder>(*folder).path == "/srv/new");
    CHECK(folder < std::ranges::find_if(plan->steps, is_root));
}

TEST_CASE("a bind mount passes over what only a new tmpfs can have", "[plan]") {
    auto spec = minimal();
    spec.mounts = {{"/data", "bind", "/srv", {"bind", "mode=755", "size=1m"}, {}, {}}};
    CHECK(plan_of(spec).has_value());
    spec.mounts.front().options.emplace_back("nr_inodes=1");
    CHECK_FALSE(plan_of(spec).has_value());
}

TEST_CASE("only sysctls that the container's own namespaces keep apart may be set", "[plan]") {
    auto spec = minimal();
    spec.namespaces.push_back({CLONE_NEWNET, "network", ""});
    spec.sysctl = {{"net.ipv4.ip_forward", "1"}};
    CHECK(steps_of<plan::WriteSysctl>(*plan_of(spec)).at(0).path == "net/ipv4/ip_forward");
    for (const char* bad : {"kernel.core_pattern", "vm.swappiness", "kernel.shmmax", "net.ipv4/../../../x", "net.a+b",
                            "", "kernel/core_pattern", "net/../kernel/core_pattern"}) {
        spec.sysctl = {{bad, "1"}};
        INFO(bad);
        CHECK_FALSE(plan_of(spec).has_value());
    }
    spec.sysctl = {{"net.core.somaxconn", "1\nkernel.core_pattern=x"}};
    CHECK_FALSE(plan_of(spec).has_value());
}

TEST_CASE("mount options are sorted into attributes, propagation and the file system's own", "[plan]") {
    const auto options = plan::parse_mount_options(
        {"/x", "tmpfs", "tmpfs", {"nosuid", "noatime", "rro", "rprivate", "mode=755", "newinstance", "exec"}});
    REQUIRE(options.has_value());
    CHECK(options->attributes.set == (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME));
    CHECK((options->attributes.clear & MOUNT_ATTR_NOEXEC) != 0);
    CHECK(options->attributes.set_recursive == MOUNT_ATTR_RDONLY);
    CHECK(options->attributes.propagation == std::vector<std::uint64_t>{ms_rec | ms_private});
    REQUIRE(options->data.size() == 2);
    CHECK(options->data[0].key == "mode");
    CHECK(options->data[0].value == "755");
    CHECK(options->data[1].flag);
}

TEST_CASE("the last of contradicting mount options wins", "[plan]") {
    const auto options = plan::parse_mount_options({"/x", "bind", "/y", {"bind", "ro", "rw"}, {}, {}});
    CHECK((options->attributes.set & MOUNT_ATTR_RDONLY) == 0);
    CHECK((options->attributes.clear & MOUNT_ATTR_RDONLY) != 0);
}

TEST_CASE("mount options that other runtimes have and the spec has not are refused, never passed over", "[plan]") {
    for (const char* word : {"ridmap=uids=0-1-10", "copy-symlink"})
        CHECK_FALSE(plan::parse_mount_options({"/x", "bind", "/y", {"bind", word}, {}, {}}).has_value());
}

TEST_CASE("id mappings of a mount are its own or the container's", "[plan]") {
    auto spec = minimal();
    spec.mounts = {{"/m", "bind", "/y", {"bind", "ridmap"}, {}, {}}};
    CHECK_FALSE(plan_of(spec).has_value());
    spec.mounts.front().uid_mappings = {{1, 2, 3}};
    spec.mounts.front().gid_mappings = {{4, 5, 6}};
    const auto plan = plan_of(spec);
    REQUIRE(plan.has_value());
    const auto step = std::ranges::find_if(plan->steps, [](const auto& s) {
        const auto* bind = std::get_if<plan::BindMount>(&s);
        return bind != nullptr && bind->destination == "/m";
    });
    REQUIRE(step != plan->steps.end());
    const auto& map = std::get<plan::BindMount>(*step).id_map;
    REQUIRE(map.has_value());
    CHECK(map->recursive);
    CHECK(map->uids == std::vector<oci::IdMapping>{{1, 2, 3}});
    spec.mounts.front().type = "tmpfs";
    spec.mounts.front().options = {};
    CHECK_FALSE(plan_of(spec).has_value());
}

TEST_CASE("hooks come after the mounts and before anything is hidden or read-only", "[plan]") {
    auto spec = minimal();
    spec.root_readonly = true;
    spec.masked_paths = {"/proc/keys"};
    spec.hooks.create_runtime = {{"/x", {}, {}, {}}};
    spec.hooks.create_container = {{"/y", {}, {}, {}}};
    const auto plan = plan_of(spec);
    REQUIRE(plan.has_value());
    std::vector<std::string> order;
    for (const auto& step : plan->steps) {
        if (std::holds_alternative<plan::MakeSymlink>(step) && (order.empty() || order.back() != "links"))
            order.emplace_back("links");
        if (std::holds_alternative<plan::AwaitRuntimeHooks>(step))
            order.emplace_back("runtime");
        if (std::holds_alternative<plan::RunContainerHooks>(step))
            order.emplace_back("container");
        if (std::holds_alternative<plan::MaskPath>(step))
            order.emplace_back("mask");
        if (std::holds_alternative<plan::ReadonlyRoot>(step))
            order.emplace_back("read-only");
        if (std::holds_alternative<plan::PivotRoot>(step))
            order.emplace_back("pivot");
    }
    CHECK(order == std::vector<std::string>{"links", "runtime", "container", "mask", "read-only", "pivot"});
}

TEST_CASE("without pivot_root the rootfs becomes the root from where it is", "[plan]") {
    auto spec = minimal();
    const auto root_step = [&] {
        const auto plan = plan::make_plan(spec, {"/bundle", true});
        REQUIRE(plan.has_value());
        return steps_of<plan::PivotRoot>(*plan).at(0);
    };
    CHECK(root_step().chroot_only);
    CHECK_FALSE(root_step().in_place);
    spec.hooks.create_runtime.push_back({"/bin/true", {}, {}, {}});
    CHECK(root_step().in_place);
}

TEST_CASE("a program without a slash is looked for along the container's PATH", "[plan]") {
    auto spec = minimal();
    spec.process->env = {"PATH=/a::/b"};
    CHECK(plan_of(spec)->process.candidates == std::vector<std::string>{"/a/sh", "./sh", "/b/sh"});
    spec.process->args = {"/bin/x"};
    CHECK(plan_of(spec)->process.candidates == std::vector<std::string>{"/bin/x"});
}

TEST_CASE("a destination with '..' is refused", "[plan]") {
    auto spec = minimal();
    spec.mounts = {{"/a/../../x", "tmpfs", "tmpfs", {}}};
    CHECK_FALSE(plan_of(spec).has_value());
}

TEST_CASE("every step can be put into words", "[plan]") {
    auto spec = minimal();
    spec.namespaces.push_back({CLONE_NEWNET, "network", ""});
    spec.mounts = {{"/srv", "bind", "/host", {"bind", "ro"}}};
    const std::string text = plan::describe(*plan_of(spec));
    CHECK(text.find("bind '/host' on '/srv' (read-only)") != std::string::npos);
    CHECK(text.find("bring up the loopback interface") != std::string::npos);
}

TEST_CASE("what a machine is offered comes after its mounts, and the host's bus is looked for last", "[plan]") {
    const plan::HostFacts host{"/bundle", false, {{"/host/bus", "/var/run/dbus/system_bus_socket", false}}, true};
    const auto made = plan::make_plan(minimal(), host);
    REQUIRE(made.has_value());
    const auto binds = steps_of<plan::BindMount>(*made);
    REQUIRE_FALSE(binds.empty());
    const auto& offer = binds.back();
    CHECK(offer.host_source == "/host/bus");
    CHECK(offer.optional);
    CHECK((offer.attributes.set & MOUNT_ATTR_RDONLY) != 0);
    CHECK(position_of<plan::BindMount>(*made) < position_of<plan::KeepOutHostBus>(*made));
    CHECK(position_of<plan::KeepOutHostBus>(*made) < position_of<plan::PivotRoot>(*made));
    CHECK(steps_of<plan::KeepOutHostBus>(*plan_of(minimal())).empty());
}

TEST_CASE("an image's layers take the place of the rootfs, and nothing else changes", "[plan]") {
    plan::HostFacts host{.bundle = "/bundle"};
    host.stack = plan::Stack{"/store", {"two", "one"}, "/store/containers/web/two"};
    const auto plan = plan::make_plan(minimal(), host);
    REQUIRE(plan.has_value());
    CHECK(steps_of<plan::AttachRootfs>(*plan).empty());
    const auto stacks = steps_of<plan::StackRootfs>(*plan);
    REQUIRE(stacks.size() == 1);
    CHECK(stacks[0].stack.layers == std::vector<std::string>{"two", "one"});
    CHECK(stacks[0].propagation == ms_private);
    CHECK(position_of<plan::SetPropagation>(*plan) < position_of<plan::StackRootfs>(*plan));
    CHECK(plan->steps.size() == plan_of(minimal())->steps.size());
    CHECK(plan::describe(plan::Step{stacks[0]}) ==
          "stack 2 layers of '/store' into the rootfs, changes go to '/store/containers/web/two'");
}

TEST_CASE("an image can't be stacked where hooks look for it, nor in a user namespace of others", "[plan]") {
    plan::HostFacts host{.bundle = "/bundle"};
    host.stack = plan::Stack{"/store", {"one"}, ""};
    auto hooked = minimal();
    hooked.hooks.create_runtime.push_back({"/bin/true"});
    CHECK_FALSE(plan::make_plan(hooked, host).has_value());
    auto joined = minimal();
    joined.namespaces.push_back({CLONE_NEWUSER, "user", "/proc/1/ns/user"});
    CHECK_FALSE(plan::make_plan(joined, host).has_value());
}

TEST_CASE("in a user namespace the store is seen with the container's ids, and a folder where that is asked for",
          "[plan]") {
    auto mapped = minimal();
    mapped.namespaces.push_back({CLONE_NEWUSER, "user", ""});
    mapped.uid_mappings = mapped.gid_mappings = {{0, 524288, 65536}};
    plan::HostFacts host{.bundle = "/bundle"};
    CHECK_FALSE(steps_of<plan::AttachRootfs>(*plan::make_plan(mapped, host)).at(0).id_map.has_value());
    host.maps_rootfs = true;
    CHECK(steps_of<plan::AttachRootfs>(*plan::make_plan(mapped, host)).at(0).id_map->uids == mapped.uid_mappings);
    CHECK_FALSE(steps_of<plan::AttachRootfs>(*plan::make_plan(minimal(), host)).at(0).id_map.has_value());
    host.stack = plan::Stack{"/store", {"one"}, ""};
    const auto stack = steps_of<plan::StackRootfs>(*plan::make_plan(mapped, host)).at(0);
    REQUIRE(stack.id_map.has_value());
    CHECK(stack.id_map->gids == mapped.gid_mappings);
    CHECK(plan::describe(plan::Step{stack}).find(" with other ids") != std::string::npos);
}

TEST_CASE("folders that the rootfs is to have are made before anything is mounted", "[plan]") {
    auto spec = minimal();
    spec.mounts = {{"/data", "bind", "/srv", {"rbind"}}};
    spec.annotations["io.ctrd.folders"] = "/data/deep\n/x\nrelative\n";
    const auto plan = plan_of(spec);
    REQUIRE(plan.has_value());
    const auto folders = steps_of<plan::MakeFolder>(*plan);
    REQUIRE(folders.size() == 2);
    CHECK(folders[0].path == "/data/deep");
    CHECK(folders[1].path == "/x");
    CHECK(position_of<plan::AttachRootfs>(*plan) < position_of<plan::MakeFolder>(*plan));
    CHECK(position_of<plan::MakeFolder>(*plan) < position_of<plan::BindMount>(*plan));
}
