#include "tools/ctrctl/client.hpp"

#include "ctrd/base/names.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

namespace ctrd::ctl {
namespace {

constexpr const char* service = "io.ctrd1";
constexpr const char* manager_path = "/io/ctrd1";
constexpr const char* manager_interface = "io.ctrd1.Manager";
constexpr const char* container_interface = "io.ctrd1.Container";
// A start or stop takes as long as its unit's own time limits let it.
constexpr std::uint64_t no_time_limit = UINT64_MAX;
constexpr std::array pauses{std::chrono::milliseconds{50}, std::chrono::milliseconds{150},
                            std::chrono::milliseconds{400}, std::chrono::milliseconds{1000}};

struct BusError {
    sd_bus_error error = SD_BUS_ERROR_NULL;
    BusError() = default;
    BusError(const BusError&) = delete;
    BusError& operator=(const BusError&) = delete;
    ~BusError() { sd_bus_error_free(&error); }
    [[nodiscard]] std::string_view name() const { return error.name ? error.name : ""; }
};

Outcome<Bus> open_system_bus(bool ask) {
    sd_bus* bus = nullptr;
    if (const int r = sd_bus_open_system(&bus); r < 0)
        return refuse(exit_internal, os_error(-r, "cannot reach the system bus",
                                              "is dbus running? 'ctrctl run' and 'ctrctl check' work without it"));
    sd_bus_set_allow_interactive_authorization(bus, ask);
    return Bus{bus};
}

Failure garbled(int r, const std::string& doing) {
    return {exit_internal, os_error(-r, doing + ": cannot read ctrd's answer",
                                    "ctrctl and ctrd may be of different versions: 'systemctl restart ctrd.service'")};
}

int read_row(sd_bus_message* reply, Row& row) {
    const char *name = nullptr, *state = nullptr, *source = nullptr, *unit = nullptr, *path = nullptr;
    const int r = sd_bus_message_read(reply, "(sssuso)", &name, &state, &source, &row.leader, &unit, &path);
    if (r <= 0)
        return r;
    row.name = name;
    row.state = state;
    row.source = source;
    row.unit = unit;
    row.path = path;
    return r;
}

int read_rows(sd_bus_message* reply, std::vector<Row>& rows) {
    int r = sd_bus_message_enter_container(reply, 'a', "(sssuso)");
    while (r > 0) {
        Row row;
        r = read_row(reply, row);
        if (r > 0)
            rows.push_back(std::move(row));
    }
    return r;
}

int read_sockets(sd_bus_message* reply, std::vector<Socket>& sockets) {
    int r = sd_bus_message_enter_container(reply, 'v', "a(sssu)");
    if (r < 0 || (r = sd_bus_message_enter_container(reply, 'a', "(sssu)")) < 0)
        return r;
    for (;;) {
        const char *listen = nullptr, *deliver = nullptr, *name = nullptr;
        std::uint32_t port = 0;
        r = sd_bus_message_read(reply, "(sssu)", &listen, &deliver, &name, &port);
        if (r < 0)
            return r;
        if (r == 0)
            break;
        sockets.push_back({listen, deliver, name, port});
    }
    if ((r = sd_bus_message_exit_container(reply)) < 0)
        return r;
    return sd_bus_message_exit_container(reply);
}

int read_starts(sd_bus_message* reply, StartCounts& starts) {
    int r = sd_bus_message_enter_container(reply, 'v', "(tt(ttt)a(ts))");
    if (r < 0 || (r = sd_bus_message_enter_container(reply, 'r', "tt(ttt)a(ts)")) < 0 ||
        (r = sd_bus_message_read(reply, "tt(ttt)", &starts.succeeded, &starts.failed, &starts.p50, &starts.p90,
                                 &starts.p99)) < 0 ||
        (r = sd_bus_message_enter_container(reply, 'a', "(ts)")) < 0)
        return r;
    for (;;) {
        FailedStart failed;
        const char* reason = nullptr;
        if ((r = sd_bus_message_read(reply, "(ts)", &failed.when, &reason)) < 0)
            return r;
        if (r == 0)
            break;
        failed.reason = reason;
        starts.failures.push_back(std::move(failed));
    }
    for (int depth = 0; depth < 3 && r >= 0; ++depth)
        r = sd_bus_message_exit_container(reply);
    return r;
}

int read_string(sd_bus_message* reply, std::string& value) {
    const char* text = nullptr;
    const int r = sd_bus_message_read(reply, "v", "s", &text);
    if (r >= 0)
        value = text;
    return r;
}

int read_property(sd_bus_message* reply, std::string_view key, Details& details) {
    if (key == "Name")
        return read_string(reply, details.name);
    if (key == "State")
        return read_string(reply, details.state);
    if (key == "Source")
        return read_string(reply, details.source);
    if (key == "Image")
        return read_string(reply, details.image);
    if (key == "ImageDigest")
        return read_string(reply, details.image_digest);
    if (key == "Unit")
        return read_string(reply, details.unit);
    if (key == "CGroup")
        return read_string(reply, details.cgroup);
    if (key == "Leader")
        return sd_bus_message_read(reply, "v", "u", &details.leader);
    if (key == "Since")
        return sd_bus_message_read(reply, "v", "t", &details.since);
    if (key == "MainCode")
        return sd_bus_message_read(reply, "v", "i", &details.main_code);
    if (key == "MainStatus")
        return sd_bus_message_read(reply, "v", "i", &details.main_status);
    if (key == "Result")
        return read_string(reply, details.result);
    if (key == "Sockets")
        return read_sockets(reply, details.sockets);
    if (key == "Standby")
        return read_string(reply, details.standby);
    if (key == "Starts")
        return read_starts(reply, details.starts);
    if (key == "Connections")
        return sd_bus_message_read(reply, "v", "(uu)", &details.connections, &details.queued);
    return sd_bus_message_skip(reply, "v");
}

int read_details(sd_bus_message* reply, Details& details) {
    int r = sd_bus_message_enter_container(reply, 'a', "{sv}");
    if (r < 0)
        return r;
    while ((r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
        const char* key = nullptr;
        if ((r = sd_bus_message_read(reply, "s", &key)) < 0 || (r = read_property(reply, key, details)) < 0 ||
            (r = sd_bus_message_exit_container(reply)) < 0)
            return r;
    }
    return r;
}

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, text) != words.end();
}

} // namespace

bool was_undelivered(std::string_view error) {
    return one_of(error, {"org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"}) ||
           error.starts_with("org.freedesktop.DBus.Error.Spawn.") || error.starts_with("org.freedesktop.systemd1.");
}

bool is_lost_connection(std::string_view error) {
    return one_of(error, {"org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Disconnected",
                          "org.freedesktop.DBus.Error.TimedOut", "org.freedesktop.DBus.Error.Timeout",
                          "org.freedesktop.DBus.Error.UnknownObject"});
}

Outcome<Client> Client::connect(bool ask) {
    auto bus = open_system_bus(ask);
    if (!bus)
        return std::unexpected{std::move(bus).error()};
    return Client{std::move(*bus), ask};
}

Outcome<Message> Client::new_call(const char* method) {
    sd_bus_message* message = nullptr;
    if (const int r =
            sd_bus_message_new_method_call(bus_.get(), &message, service, manager_path, manager_interface, method);
        r < 0)
        return refuse(exit_internal, os_error(-r, "cannot build a bus message"));
    return Message{message};
}

Outcome<Message> Client::call(const Call& what, const Fill& fill) {
    for (std::size_t attempt = 0;; ++attempt) {
        sd_bus_message* raw = nullptr;
        int r = sd_bus_message_new_method_call(bus_.get(), &raw, service, what.path.c_str(), what.interface.c_str(),
                                               what.method.c_str());
        const Message message{raw};
        if (r < 0 || (r = fill(raw)) < 0)
            return refuse(exit_internal, os_error(-r, "cannot build a bus message"));
        BusError error;
        sd_bus_message* reply = nullptr;
        if ((r = sd_bus_call(bus_.get(), raw, no_time_limit, &error.error, &reply)) >= 0)
            return Message{reply};
        const bool lost = is_lost_connection(error.name()) && what.again == Again::yes;
        if ((!lost && !was_undelivered(error.name())) || attempt == pauses.size())
            return std::unexpected{explain(error.error, what.doing, what.name)};
        std::this_thread::sleep_for(pauses[attempt]);
        if (sd_bus_is_open(bus_.get()) <= 0)
            if (auto again = open_system_bus(ask_))
                bus_ = std::move(*again);
    }
}

Failure Client::explain(const sd_bus_error& error, const std::string& doing, const std::string& name) {
    const std::string_view kind = error.name ? error.name : "";
    const std::string text = doing + ": " + (error.message ? error.message : "no reason was given");
    if (kind == "io.ctrd1.Error.NoSuchContainer") {
        const std::string near = nearest_container(name);
        return {exit_no_container,
                {std::errc::no_such_process, "there is no container '" + name + "'",
                 near.empty() ? "'ctrctl list' shows those that are declared; after writing a new "
                                "file run 'ctrctl apply'"
                              : "did you mean '" + near + "'?"}};
    }
    if (one_of(kind, {"org.freedesktop.DBus.Error.AccessDenied", "io.ctrd1.Error.AccessDenied"}))
        return {exit_denied,
                {std::errc::permission_denied, doing + ": permission denied",
                 "run it as root, or let polkit allow it to this user: io.ctrd1(5) says which action it is"}};
    if (kind == "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired")
        return {exit_denied,
                {std::errc::permission_denied, doing + ": permission denied: polkit wants an administrator's password",
                 "run it as root, or at a terminal, where polkit can ask for it"}};
    if (kind == "io.ctrd1.Error.BadInput" || kind == "org.freedesktop.DBus.Error.InvalidArgs")
        return {exit_bad_input, bad_input(text)};
    if (kind == "io.ctrd1.Error.NotRunning")
        return {exit_failure, bad_input(text, text.find("is paused") != std::string::npos
                                                  ? "let it go on: 'ctrctl resume " + name + "'"
                                                  : "start it first: 'ctrctl start " + name + "'")};
    if (kind == "io.ctrd1.Error.NoTerminal")
        return {exit_failure, bad_input(doing + ": it has no terminal",
                                        "'ctrctl logs -f " + name + "' shows what it writes, 'ctrctl exec " + name +
                                            " COMMAND' runs something in it; terminal = true in its file gives it "
                                            "a terminal at its next start")};
    if (kind == "io.ctrd1.Error.StartFailed" && text.ends_with("is masked."))
        return {exit_failure, bad_input(text, "'systemctl unmask ctr@" + name + ".service' lets it be started again")};
    if (kind == "io.ctrd1.Error.StartFailed")
        return {exit_failure, bad_input(text, "'ctrctl logs " + name + "' shows why")};
    if (was_undelivered(kind))
        return {
            exit_internal,
            {std::errc::no_such_device,
             doing + ": ctrd does not answer on the bus: " + (error.message ? error.message : "it is not installed"),
             "is ctrd installed? 'systemctl status ctrd.service' shows its state"}};
    if (is_lost_connection(kind))
        return {exit_internal,
                {std::errc::connection_reset, doing + ": ctrd ended before it answered",
                 "containers are not affected; 'journalctl -u ctrd.service' shows why"}};
    return {exit_failure, bad_input(text)};
}

std::string Client::nearest_container(const std::string& name) {
    const auto rows = list();
    if (!rows)
        return {};
    std::vector<std::string_view> names;
    for (const auto& row : *rows)
        names.push_back(row.name);
    return std::string{nearest(name, names)};
}

Outcome<std::vector<Row>> Client::list() {
    const std::string doing = "cannot list the containers";
    auto reply = call({manager_path, manager_interface, "ListContainers", doing}, [](sd_bus_message*) { return 0; });
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    std::vector<Row> rows;
    if (const int r = read_rows(reply->get(), rows); r < 0)
        return std::unexpected{garbled(r, doing)};
    std::ranges::sort(rows, {}, &Row::name);
    return rows;
}

Outcome<Details> Client::details(const std::string& name) {
    const std::string doing = "cannot look at container '" + name + "'";
    const auto add_name = [&](sd_bus_message* m) { return sd_bus_message_append(m, "s", name.c_str()); };
    auto found = call({manager_path, manager_interface, "GetContainer", doing, name}, add_name);
    if (!found)
        return std::unexpected{std::move(found).error()};
    const char* path = nullptr;
    if (const int r = sd_bus_message_read(found->get(), "o", &path); r < 0)
        return std::unexpected{garbled(r, doing)};
    const auto add_interface = [](sd_bus_message* m) { return sd_bus_message_append(m, "s", container_interface); };
    auto reply = call({path, "org.freedesktop.DBus.Properties", "GetAll", doing, name}, add_interface);
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    Details details;
    if (const int r = read_details(reply->get(), details); r < 0)
        return std::unexpected{garbled(r, doing)};
    return details;
}

Outcome<void> Client::on_container(const char* method, const std::string& name) {
    const std::string verb = std::string_view{method}.starts_with("Start")     ? "start"
                             : std::string_view{method}.starts_with("Stop")    ? "stop"
                             : std::string_view{method}.starts_with("Restart") ? "restart"
                             : std::string_view{method}.starts_with("Pause")   ? "pause"
                             : std::string_view{method}.starts_with("Resume")  ? "resume"
                             : std::string_view{method}.starts_with("Hold")    ? "hold"
                             : std::string_view{method}.starts_with("Release") ? "release"
                                                                               : "find";
    const auto add_name = [&](sd_bus_message* m) { return sd_bus_message_append(m, "s", name.c_str()); };
    auto reply =
        call({manager_path, manager_interface, method, "cannot " + verb + " container '" + name + "'", name}, add_name);
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    return {};
}

Outcome<void> Client::kill(const std::string& name, const std::string& whom, int signal) {
    const auto add = [&](sd_bus_message* m) {
        return sd_bus_message_append(m, "ssi", name.c_str(), whom.c_str(), signal);
    };
    auto reply =
        call({manager_path, manager_interface, "KillContainer",
              "cannot send " + signal_name(signal) + " to container '" + name + "'", name, Again::only_if_undelivered},
             add);
    if (!reply)
        return std::unexpected{std::move(reply).error()};
    return {};
}

} // namespace ctrd::ctl
