// The calls about a running container: limits, use, files and mounts.
#include "tools/ctrctl/client.hpp"

namespace ctrd::ctl {
namespace {

constexpr const char* manager_path = "/io/ctrd1";
constexpr const char* manager_interface = "io.ctrd1.Manager";

int read_stat(sd_bus_message* reply, Use& use) {
    const char *name = nullptr, *type = nullptr;
    char kind = 0;
    int r = sd_bus_message_read(reply, "s", &name);
    if (r < 0 || (r = sd_bus_message_peek_type(reply, &kind, &type)) < 0)
        return r;
    if (std::string_view{type} == "d")
        return sd_bus_message_read(reply, "v", "d", &use.shares[name]);
    if (std::string_view{type} == "t")
        return sd_bus_message_read(reply, "v", "t", &use.numbers[name]);
    return sd_bus_message_skip(reply, "v");
}

int read_use(sd_bus_message* reply, Use& use) {
    int r = sd_bus_message_enter_container(reply, 'a', "{sv}");
    if (r < 0)
        return r;
    while ((r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0)
        if ((r = read_stat(reply, use)) < 0 || (r = sd_bus_message_exit_container(reply)) < 0)
            return r;
    return r;
}

/// `next`: where the next call goes on; empty: that was all.
int read_uses(sd_bus_message* reply, std::map<std::string, Use>& all, std::string& next) {
    int r = sd_bus_message_enter_container(reply, 'a', "(sa{sv})");
    if (r < 0)
        return r;
    const char* text = nullptr;
    while ((r = sd_bus_message_enter_container(reply, 'r', "sa{sv}")) > 0)
        if ((r = sd_bus_message_read(reply, "s", &text)) < 0 || (r = read_use(reply, all[text])) < 0 ||
            (r = sd_bus_message_exit_container(reply)) < 0 || (r = sd_bus_message_exit_container(reply)) < 0)
            return r;
    if (r < 0 || (r = sd_bus_message_exit_container(reply)) < 0 || (r = sd_bus_message_read(reply, "s", &text)) < 0)
        return r;
    next = text;
    return r;
}

Failure garbled(int r, const std::string& doing) {
    return {exit_internal, os_error(-r, doing + ": cannot read ctrd's answer")};
}

std::string container(const std::string& name) { return "container '" + name + "'"; }

} // namespace

Outcome<End> Client::wait(const std::string& name) {
    const std::string doing = "cannot wait for " + container(name);
    const auto add = [&](sd_bus_message* m) { return sd_bus_message_append(m, "s", name.c_str()); };
    auto reply = call({manager_path, manager_interface, "WaitContainer", doing, name}, add);
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    End end;
    const char* state = nullptr;
    if (const int r = sd_bus_message_read(reply->get(), "sii", &state, &end.code, &end.status); r < 0)
        return std::unexpected{garbled(r, doing)};
    return end;
}

Outcome<void> Client::set_properties(const std::string& name, bool runtime, const std::vector<Setting>& settings) {
    const auto add = [&](sd_bus_message* m) {
        int r = sd_bus_message_append(m, "sb", name.c_str(), int{runtime});
        if (r >= 0)
            r = sd_bus_message_open_container(m, 'a', "{sv}");
        for (const auto& setting : settings)
            if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", setting.property.c_str(), "t", setting.value);
        return r < 0 ? r : sd_bus_message_close_container(m);
    };
    auto reply = call(
        {manager_path, manager_interface, "SetContainerProperties", "cannot set limits of " + container(name), name},
        add);
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    return {};
}

Outcome<Use> Client::use(const std::string& name) {
    const std::string doing = "cannot look at the use of " + container(name);
    const auto add = [&](sd_bus_message* m) { return sd_bus_message_append(m, "s", name.c_str()); };
    auto reply = call({manager_path, manager_interface, "GetContainerStats", doing, name}, add);
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    Use use;
    if (const int r = read_use(reply->get(), use); r < 0)
        return std::unexpected{garbled(r, doing)};
    return use;
}

Outcome<std::map<std::string, Use>> Client::use_of_all() {
    const std::string doing = "cannot look at the use of the containers";
    std::map<std::string, Use> all;
    std::string after;
    do {
        const auto add = [&](sd_bus_message* m) { return sd_bus_message_append(m, "s", after.c_str()); };
        auto reply = call({manager_path, manager_interface, "ListContainerStats", doing}, add);
        if (!reply)
            return std::unexpected{std::move(reply).error()};
        if (const int r = read_uses(reply->get(), all, after); r < 0)
            return std::unexpected{garbled(r, doing)};
    } while (!after.empty());
    return all;
}

Outcome<std::vector<std::uint32_t>> Client::processes(const std::string& name) {
    const std::string doing = "cannot list the processes of " + container(name);
    const auto add = [&](sd_bus_message* m) { return sd_bus_message_append(m, "s", name.c_str()); };
    auto reply = call({manager_path, manager_interface, "GetContainerProcesses", doing, name}, add);
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    const void* numbers = nullptr;
    std::size_t size = 0;
    if (const int r = sd_bus_message_read_array(reply->get(), 'u', &numbers, &size); r < 0)
        return std::unexpected{garbled(r, doing)};
    const auto* first = static_cast<const std::uint32_t*>(numbers);
    return std::vector<std::uint32_t>{first, first + size / sizeof *first};
}

Outcome<void> Client::bind_mount(const std::string& name, const std::string& source, const std::string& target,
                                 bool read_only, bool make_target) {
    const auto add = [&](sd_bus_message* m) {
        return sd_bus_message_append(m, "sssa{sv}", name.c_str(), source.c_str(), target.c_str(), 2, "ReadOnly", "b",
                                     int{read_only}, "MakeTarget", "b", int{make_target});
    };
    auto reply = call({manager_path, manager_interface, "BindMountContainer",
                       "cannot mount '" + source + "' in " + container(name), name, Again::only_if_undelivered},
                      add);
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    return {};
}

Outcome<void> Client::rename(const std::string& name, const std::string& to) {
    const auto add = [&](sd_bus_message* m) { return sd_bus_message_append(m, "ss", name.c_str(), to.c_str()); };
    auto reply = call({manager_path, manager_interface, "RenameContainer",
                       "cannot rename " + container(name) + " to '" + to + "'", name, Again::only_if_undelivered},
                      add);
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    return {};
}

Outcome<void> Client::remove(const std::string& name, bool force) {
    const auto add = [&](sd_bus_message* m) {
        return sd_bus_message_append(m, "sa{sv}", name.c_str(), 1, "Force", "b", int{force});
    };
    auto reply = call({manager_path, manager_interface, "RemoveContainer", "cannot remove " + container(name), name,
                       Again::only_if_undelivered},
                      add);
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    return {};
}

Outcome<void> Client::copy_from(const std::string& name, const std::string& path, int data) {
    const auto add = [&](sd_bus_message* m) {
        return sd_bus_message_append(m, "ssh", name.c_str(), path.c_str(), data);
    };
    auto reply = call({manager_path, manager_interface, "CopyFromContainer",
                       "cannot copy '" + path + "' out of " + container(name), name, Again::only_if_undelivered},
                      add);
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    return {};
}

Outcome<void> Client::copy_to(const std::string& name, const std::string& path, int data, const CopyWay& way) {
    const auto add = [&](sd_bus_message* m) {
        return sd_bus_message_append(m, "ssha{sv}", name.c_str(), path.c_str(), data, 3, "Name", "s", way.name.c_str(),
                                     "Single", "b", int{way.single}, "Mode", "u", way.mode);
    };
    auto reply = call({manager_path, manager_interface, "CopyToContainer",
                       "cannot copy to '" + path + "' in " + container(name), name, Again::only_if_undelivered},
                      add);
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    return {};
}

Outcome<AttachedTerminal> Client::attach(const std::string& name) {
    const std::string doing = "cannot attach to container '" + name + "'";
    const auto add_name = [&](sd_bus_message* m) { return sd_bus_message_append(m, "s", name.c_str()); };
    auto reply = call({manager_path, manager_interface, "AttachContainer", doing, name}, add_name);
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    int stream = -1, window = -1; // the message's own
    int r = sd_bus_message_read(reply->get(), "hh", &stream, &window);
    auto kept = r < 0 ? fail(os_error(-r, "malformed")) : dup(stream);
    auto size = r < 0 ? fail(os_error(-r, "malformed")) : dup(window);
    if (!kept || !size)
        return refuse(exit_internal, std::move(!kept ? kept : size).context(doing).error());
    return AttachedTerminal{*std::move(kept), *std::move(size)};
}

} // namespace ctrd::ctl
