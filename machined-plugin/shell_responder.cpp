#include "machined-plugin/shell_responder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>

namespace ctrd::systemd {
namespace {

constexpr const char* any_job = "/org/freedesktop/systemd1/job/1"; // nobody asks what becomes of it
constexpr const char* failed_name = "org.freedesktop.DBus.Error.Failed";
constexpr std::size_t most_strings = 4096;
constexpr std::size_t longest_string = 128U << 10;

/// What the unit's terminal, session and end are like is as machined wants it anyway, or has no meaning where no
/// systemd looks after it. Any other property would be a promise that nobody keeps.
constexpr std::array<std::string_view, 9> as_it_is{"Description", "SendSIGHUP", "IgnoreSIGPIPE",  "KillMode", "TTYPath",
                                                   "TTYReset",    "PAMName",    "UtmpIdentifier", "UtmpMode"};

Error malformed(int r, const char* what) { return os_error(-r, std::string{"malformed "} + what); }

Result<void> read_strings(sd_bus_message* call, std::vector<std::string>& to) {
    int r = sd_bus_message_enter_container(call, 'a', "s");
    const char* text = nullptr;
    while (r >= 0 && (r = sd_bus_message_read_basic(call, 's', &text)) > 0) {
        if (to.size() >= most_strings || std::string_view{text}.size() > longest_string)
            return fail(bad_input("too many or too long strings"));
        to.emplace_back(text);
    }
    if (r < 0 || (r = sd_bus_message_exit_container(call)) < 0)
        return fail(malformed(r, "list of strings"));
    return {};
}

/// One command, a(sasb). The path is what is run; the first argument only what it is called.
Result<void> read_command(sd_bus_message* call, ShellRequest& request) {
    const char* path = nullptr;
    int r = sd_bus_message_enter_container(call, 'a', "(sasb)");
    if (r < 0 || (r = sd_bus_message_enter_container(call, 'r', "sasb")) <= 0 ||
        (r = sd_bus_message_read_basic(call, 's', &path)) < 0)
        return fail(malformed(r, "ExecStart"));
    const std::string program = path;
    TRY_VOID(read_strings(call, request.args));
    if ((r = sd_bus_message_read(call, "b", nullptr)) < 0 || (r = sd_bus_message_exit_container(call)) < 0)
        return fail(malformed(r, "ExecStart"));
    if (sd_bus_message_at_end(call, 0) == 0)
        return fail(bad_input("more than one command"));
    if ((r = sd_bus_message_exit_container(call)) < 0)
        return fail(malformed(r, "ExecStart"));
    if (request.args.empty())
        request.args.emplace_back();
    request.args.front() = program;
    return {};
}

/// All three are the same terminal: one copy is enough.
Result<void> read_terminal(sd_bus_message* call, ShellRequest& request) {
    int fd = -1; // belongs to the message
    if (const int r = sd_bus_message_read_basic(call, 'h', &fd); r < 0)
        return fail(malformed(r, "descriptor"));
    if (request.terminal)
        return {};
    if (::isatty(fd) == 0)
        return fail(bad_input("what was passed is not a terminal"));
    request.terminal = TRY(dup(fd));
    return {};
}

Result<void> read_user(sd_bus_message* call, ShellRequest& request) {
    const char* text = nullptr;
    if (const int r = sd_bus_message_read_basic(call, 's', &text); r < 0)
        return fail(malformed(r, "User"));
    request.user = text;
    if (request.user.size() > 256)
        return fail(bad_input("the user's name is too long"));
    return {};
}

/// "-~", the user's home if it is there, is the only one that is done.
Result<void> read_folder(sd_bus_message* call) {
    const char* text = nullptr;
    if (const int r = sd_bus_message_read_basic(call, 's', &text); r < 0)
        return fail(malformed(r, "WorkingDirectory"));
    if (std::string_view{text} != "-~")
        return fail(bad_input("a session's working directory is the user's home"));
    return {};
}

Result<void> read_value(sd_bus_message* call, std::string_view property, ShellRequest& request) {
    if (property == "ExecStart")
        return read_command(call, request);
    if (property == "User")
        return read_user(call, request);
    if (property == "Environment")
        return read_strings(call, request.environment);
    if (property == "WorkingDirectory")
        return read_folder(call);
    return read_terminal(call, request);
}

/// The signature of what is read here; empty where it is passed over.
const char* signature_of(std::string_view property) {
    if (property == "ExecStart")
        return "a(sasb)";
    if (property == "User" || property == "WorkingDirectory")
        return "s";
    if (property == "Environment")
        return "as";
    if (property == "StandardInputFileDescriptor" || property == "StandardOutputFileDescriptor" ||
        property == "StandardErrorFileDescriptor")
        return "h";
    return nullptr;
}

Result<void> read_property(sd_bus_message* call, ShellRequest& request) {
    const char* name = nullptr;
    int r = sd_bus_message_read_basic(call, 's', &name);
    if (r < 0)
        return fail(malformed(r, "property"));
    const std::string property = name;
    const char* signature = signature_of(property);
    if (signature == nullptr && std::ranges::find(as_it_is, property) == as_it_is.end())
        return fail(bad_input("the property '" + property + "' has no meaning in a container without systemd"));
    if (signature == nullptr) {
        r = sd_bus_message_skip(call, "v");
    } else {
        if ((r = sd_bus_message_enter_container(call, 'v', signature)) <= 0)
            return fail(malformed(r, property.c_str()));
        TRY_VOID(read_value(call, property, request));
        r = sd_bus_message_exit_container(call);
    }
    return r < 0 ? fail(malformed(r, property.c_str())) : Result<void>{};
}

int reply_failure(sd_bus_message* call, const Error& error) {
    return sd_bus_reply_method_errorf(call, failed_name, "%s", error.message.c_str());
}

int reply_job(sd_bus_message* call) { return sd_bus_reply_method_return(call, "o", any_job); }

Result<std::string> read_unit(sd_bus_message* call) {
    const char* unit = nullptr;
    if (const int r = sd_bus_message_read(call, "ss", &unit, nullptr); r < 0)
        return fail(malformed(r, "unit"));
    return std::string{unit};
}

} // namespace

Result<ShellRequest> read_shell_request(sd_bus_message* call) {
    ShellRequest request;
    int r = sd_bus_message_enter_container(call, 'a', "(sv)");
    while (r >= 0 && (r = sd_bus_message_enter_container(call, 'r', "sv")) > 0) {
        TRY_VOID(read_property(call, request));
        r = sd_bus_message_exit_container(call);
    }
    if (r < 0)
        return fail(malformed(r, "list of properties"));
    if (request.args.empty() || !request.args.front().starts_with('/'))
        return fail(bad_input("no program is named by its path"));
    if (!request.terminal)
        return fail(bad_input("no terminal was passed"));
    return request;
}

std::optional<unsigned> terminal_of_getty(std::string_view unit) {
    constexpr std::string_view prefix = "container-getty@";
    constexpr std::string_view suffix = ".service";
    if (!unit.starts_with(prefix) || !unit.ends_with(suffix) || unit.size() <= prefix.size() + suffix.size())
        return std::nullopt;
    const std::string_view digits = unit.substr(prefix.size(), unit.size() - prefix.size() - suffix.size());
    unsigned number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return error == std::errc{} && end == digits.data() + digits.size() ? std::optional{number} : std::nullopt;
}

ShellResponder::~ShellResponder() {
    closed_.reset();
    sd_bus_detach_event(bus_);
    sd_bus_flush_close_unref(bus_);
}

int ShellResponder::on_hello(sd_bus_message* call, void*, sd_bus_error*) noexcept {
    return sd_bus_reply_method_return(call, "s", ":1.1");
}

int ShellResponder::on_shell(sd_bus_message* call, void* userdata, sd_bus_error*) noexcept {
    const auto unit = read_unit(call);
    if (!unit || !unit->starts_with("container-shell@"))
        return reply_failure(call, bad_input("only container-shell@N.service can be started here"));
    auto request = read_shell_request(call);
    if (!request)
        return reply_failure(call, request.error());
    const auto started = static_cast<ShellResponder*>(userdata)->handlers_.shell(*std::move(request));
    return started ? reply_job(call) : reply_failure(call, started.error());
}

int ShellResponder::on_login(sd_bus_message* call, void* userdata, sd_bus_error*) noexcept {
    const auto unit = read_unit(call);
    const auto terminal = unit ? terminal_of_getty(*unit) : std::nullopt;
    if (!terminal)
        return reply_failure(call, bad_input("only container-getty@N.service can be started here"));
    const auto started = static_cast<ShellResponder*>(userdata)->handlers_.login(*terminal);
    return started ? reply_job(call) : reply_failure(call, started.error());
}

int ShellResponder::on_closed(sd_bus_message*, void* userdata, sd_bus_error*) noexcept {
    const auto closed = static_cast<ShellResponder*>(userdata)->handlers_.closed; // outlives us
    closed();
    return 0;
}

const sd_bus_vtable ShellResponder::driver_vtable[] = {
    SD_BUS_VTABLE_START(0), SD_BUS_METHOD("Hello", "", "s", on_hello, SD_BUS_VTABLE_UNPRIVILEGED), SD_BUS_VTABLE_END};

const sd_bus_vtable ShellResponder::manager_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("StartTransientUnit", "ssa(sv)a(sa(sv))", "o", on_shell, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("StartUnit", "ss", "o", on_login, SD_BUS_VTABLE_UNPRIVILEGED), SD_BUS_VTABLE_END};

Result<std::unique_ptr<ShellResponder>> ShellResponder::serve(sd_event* event, UniqueFd connection,
                                                              ShellHandlers handlers) {
    std::unique_ptr<ShellResponder> responder{new ShellResponder{std::move(handlers)}};
    TRY_VOID(responder->start(event, std::move(connection)));
    return responder;
}

Result<void> ShellResponder::start(sd_event* event, UniqueFd connection) {
    sd_id128_t id{};
    sd_bus_slot* slot = nullptr;
    int r = sd_bus_new(&bus_);
    if (r >= 0 && (r = sd_bus_set_fd(bus_, connection.get(), connection.get())) >= 0)
        (void)connection.release(); // it is the bus's now
    if (r >= 0)
        r = sd_id128_randomize(&id);
    if (r >= 0)
        r = sd_bus_set_server(bus_, 1, id);
    if (r >= 0)
        r = sd_bus_negotiate_fds(bus_, 1);
    if (r >= 0)
        r = sd_bus_add_object_vtable(bus_, nullptr, "/org/freedesktop/DBus", "org.freedesktop.DBus", driver_vtable,
                                     this);
    if (r >= 0)
        r = sd_bus_add_object_vtable(bus_, nullptr, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                                     manager_vtable, this);
    if (r >= 0)
        r = sd_bus_match_signal(bus_, &slot, nullptr, "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                "Disconnected", on_closed, this);
    closed_.reset(slot);
    if (r >= 0)
        r = sd_bus_attach_event(bus_, event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = sd_bus_start(bus_);
    return r < 0 ? fail(os_error(-r, "cannot answer as the container's systemd")) : Result<void>{};
}

} // namespace ctrd::systemd
