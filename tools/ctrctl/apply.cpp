// apply: what the files declare becomes what systemd runs. Everything is checked first; after an error nothing has been
// touched.
#include "tools/ctrctl/apply_images.hpp"
#include "tools/ctrctl/apply_plan.hpp"
#include "tools/ctrctl/image_ensure.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/ports.hpp"
#include "tools/ctrctl/verbs.hpp"

#include "machined-plugin/manager_client.hpp"

#include "ctrd/activation/compiled.hpp"
#include "ctrd/base/names.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <set>

namespace ctrd::ctl {
namespace {

using systemd::ManagerClient;

struct Declared {
    config::UnitSpec spec{};
    config::Compiled compiled{};
};

/// The one of a container that answers all its connections, and the one that has systemd accept them.
std::array<std::string, 2> socket_units(const std::string& name) {
    return {"ctr@" + name + ".socket", "ctr-" + name + ".socket"};
}

std::string socket_unit(const config::UnitSpec& spec) { return socket_units(spec.name)[accepts(spec) ? 1 : 0]; }

/// What waits for something else than a connection.
std::array<std::string, 2> trigger_units(const std::string& name) {
    return {"ctr@" + name + ".path", "ctr@" + name + ".timer"};
}

/// What sees to it that some wait, where each connection has a container.
std::string pool_unit(const std::string& name) { return "ctr-" + name + ".service"; }

std::string service_unit(const std::string& name) { return "ctr@" + name + ".service"; }

bool contains(const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
}

// --- what is declared -------------------------------------------------------------------------------------------

Failure no_such_container(const std::string& name, const std::vector<std::string>& known) {
    const std::vector<std::string_view> views{known.begin(), known.end()};
    const std::string near{nearest(name, views)};
    return {exit_no_container,
            {std::errc::no_such_file_or_directory, "no file declares a container '" + name + "'",
             near.empty() ? "write /etc/ctrd/containers/" + name + ".toml first" : "did you mean '" + near + "'?"}};
}

struct Loaded {
    config::UnitSpec spec{};
    std::optional<image::Digest> image{}; // what its image's name means now
};

/// Reads, and pulls what is missing; what is wrong, or can't be had, goes to `problems`.
std::vector<Loaded> load_all(const std::vector<std::string>& names, Missing missing, config::Diagnostics& problems) {
    std::vector<Loaded> all;
    for (const auto& name : names) {
        auto loaded = config::load(name, config::SearchDirs::system());
        if (!loaded) {
            std::ranges::move(loaded.error(), std::back_inserter(problems));
            continue;
        }
        Loaded one{.spec = std::move(loaded->spec)};
        if (one.spec.image) {
            const auto digest = ensure_image(*one.spec.image, missing);
            if (!digest) {
                problems.push_back({config::origin_of(one.spec, "image"), digest.error().message, digest.error().hint});
                continue;
            }
            one.image = *digest;
        }
        all.push_back(std::move(one));
    }
    return all;
}

std::vector<Declared> compile_all(std::vector<Loaded> loaded, config::Diagnostics& problems) {
    std::vector<Declared> all;
    for (auto& one : loaded) {
        auto compiled = config::compile(one.spec, {.image = one.image});
        if (compiled)
            all.push_back({std::move(one.spec), std::move(*compiled)});
        else
            std::ranges::move(compiled.error(), std::back_inserter(problems));
    }
    return all;
}

/// Of a TCP socket. Whether a port of UDP is free, systemd will see.
std::optional<TcpAddress> tcp_address(const config::SocketSpec& socket) {
    return socket.datagram ? std::nullopt : parse_listen(socket.listen);
}

/// Two containers that want the same port: the second one says so.
void check_shared_ports(const std::vector<Declared>& all, config::Diagnostics& problems) {
    struct Taken {
        TcpAddress at;
        std::string by;
    };
    std::vector<Taken> taken;
    for (const auto& one : all)
        for (std::size_t i = 0; i < one.spec.sockets.size(); ++i) {
            const auto address = tcp_address(one.spec.sockets[i]);
            if (!address)
                continue;
            // Within one container the library has checked it, and knows of IPv4 and IPv6 side by side.
            const auto other = std::ranges::find_if(
                taken, [&](const Taken& t) { return t.by != one.spec.name && overlap(t.at, *address); });
            if (other != taken.end())
                problems.push_back(
                    {config::origin_of(one.spec, fmt::format("socket.{}.listen", i)),
                     fmt::format("port {} is listened on by container '{}' too", address->port, other->by),
                     "give one of the two another port or address"});
            taken.push_back({*address, one.spec.name});
        }
}

// --- what there is ----------------------------------------------------------------------------------------------

std::string listen_words(const config::SocketSpec& socket) {
    if (!socket.datagram)
        return socket.listen;
    return socket.listen + (parse_listen(socket.listen) ? " (UDP)" : " (datagrams)");
}

/// Whether somebody listens on every declared port of TCP.
bool listens_everywhere(const config::UnitSpec& spec, const std::vector<Listener>& listeners) {
    return std::ranges::all_of(spec.sockets, [&](const config::SocketSpec& socket) {
        const auto address = tcp_address(socket);
        return !address || std::ranges::any_of(listeners, [&](const Listener& l) { return overlap(l.at, *address); });
    });
}

Result<void> look_at_units(ManagerClient& manager, Situation& situation) {
    const auto service = TRY(manager.state(service_unit(situation.name)));
    situation.service_up = service.up();
    situation.service_failed = service.failed();
    situation.service_outdated =
        service.up() && service.since != 0 && service.since < activation::compiled_time(situation.name);
    for (const auto& socket : socket_units(situation.name)) // one that was of the other kind is to give way
        situation.socket_up = situation.socket_up || TRY(manager.state(socket)).up();
    return {};
}

/// The link that starts it at boot is wanted, and not there.
bool is_new_at_boot(const config::Compiled& compiled) {
    const std::string link = "multi-user.target.wants/" + service_unit(compiled.name);
    return std::ranges::find(compiled.links, link, &config::UnitLink::path) != compiled.links.end() &&
           ::access((config::OutputDirs{}.units + "/" + link).c_str(), F_OK) < 0;
}

Result<std::vector<Situation>> look_at_all(ManagerClient& manager, const std::vector<Declared>& all,
                                           const std::vector<std::string>& removed, const ApplyOptions& options) {
    const auto listeners = all_listeners();
    std::vector<Situation> situations;
    for (const auto& name : removed) {
        situations.push_back({.name = name, .declared = false});
        TRY_VOID(look_at_units(manager, situations.back()));
    }
    for (const auto& one : all) {
        Situation situation{
            .name = one.spec.name, .changes = config::compare(one.compiled), .start = start_of(one.spec)};
        for (const auto& socket : one.spec.sockets)
            situation.listens.push_back(listen_words(socket));
        for (const auto& trigger : one.spec.triggers)
            situation.triggers.push_back(describe(trigger));
        situation.accepts = accepts(one.spec);
        situation.has_pool = one.spec.warm_pool.has_value();
        situation.new_at_boot = is_new_at_boot(one.compiled);
        situation.named = contains(options.names, situation.name);
        situation.image = describe_image(one.compiled.image_note);
        TRY_VOID(look_at_units(manager, situation));
        situation.socket_broken = situation.socket_up && !listens_everywhere(one.spec, listeners);
        situations.push_back(std::move(situation));
    }
    return situations;
}

// --- ports ------------------------------------------------------------------------------------------------------

/// The socket unit, if it is one, and otherwise the process that listens where `address` wants to.
struct PortUser {
    std::string unit{};
    std::string text{"another process"};
};

PortUser find_port_user(ManagerClient& manager, const TcpAddress& address) {
    if (const auto units = manager.listening_units())
        for (const auto& unit : *units)
            for (const auto& listen : unit.addresses)
                if (const auto at = parse_listen(listen); at && overlap(*at, address))
                    return {unit.unit, "unit '" + unit.unit + "'"};
    for (const auto& listener : all_listeners()) {
        if (!overlap(listener.at, address))
            continue;
        if (const auto holder = find_holder(listener.inode))
            return {"", fmt::format("process {} ('{}'{})", holder->pid, printable(holder->command),
                                    holder->unit.empty() ? "" : ", unit '" + holder->unit + "'")};
    }
    return {};
}

constexpr const char* port_hint = "stop what has it, or write another port or address in 'listen'";

/// What a socket that is going to be started will find: one line for each port that is taken.
config::Diagnostics check_ports(ManagerClient& manager, const std::vector<Declared>& all,
                                const std::vector<Decision>& decisions) {
    std::set<std::string> given_up; // socket units that stop before the new ones start
    for (const auto& decision : decisions)
        if (decision.stop_socket_before)
            for (const auto& socket : socket_units(decision.name))
                given_up.insert(socket);
    config::Diagnostics problems;
    for (const auto& one : all) {
        const auto decision = std::ranges::find(decisions, one.spec.name, &Decision::name);
        for (std::size_t i = 0; decision->start_socket && i < one.spec.sockets.size(); ++i) {
            const auto address = tcp_address(one.spec.sockets[i]);
            if (!address || try_bind(*address) != EADDRINUSE)
                continue;
            const PortUser user = find_port_user(manager, *address);
            if (!given_up.contains(user.unit))
                problems.push_back({config::origin_of(one.spec, fmt::format("socket.{}.listen", i)),
                                    fmt::format("container '{}': port {} is already in use by {}", one.spec.name,
                                                address->port, user.text),
                                    port_hint});
        }
    }
    return problems;
}

// --- doing it ---------------------------------------------------------------------------------------------------

struct Done {
    std::string name{}, summary{}, error{}, hint{};
};

/// A socket that did not come up: its ports are looked at again, the answer is usually there.
Error explain_socket(ManagerClient& manager, const config::UnitSpec& spec, Error error) {
    for (const auto& socket : spec.sockets)
        if (const auto address = tcp_address(socket); address && try_bind(*address) == EADDRINUSE)
            return {
                std::errc::address_in_use,
                fmt::format("port {} is already in use by {}", address->port, find_port_user(manager, *address).text),
                port_hint};
    error.hint = "'journalctl -u " + socket_unit(spec) + "' shows why";
    return error;
}

/// Stopped before the reload, if they were up: a unit that waits goes on with what it was told at first.
Result<void> start_triggers(ManagerClient& manager, const Decision& decision, const config::UnitSpec& spec) {
    const auto units = trigger_units(spec.name);
    for (const bool timers : {false, true}) {
        if (decision.does_nothing() || start_of(spec) == config::Start::manual || !has_triggers(spec, timers))
            continue;
        const std::string& unit = units[timers ? 1 : 0];
        if (auto started = manager.start(unit); !started) {
            started.error().hint = "'journalctl -u " + unit + "' shows why";
            return started;
        }
    }
    return {};
}

Result<void> before_reload(ManagerClient& manager, const Decision& decision) {
    for (const auto& socket : socket_units(decision.name))
        if (decision.stop_socket_before && TRY(manager.state(socket)).up())
            TRY_VOID(manager.stop(socket));
    for (const auto& trigger : trigger_units(decision.name))
        if (!decision.does_nothing() && TRY(manager.state(trigger)).up())
            TRY_VOID(manager.stop(trigger));
    if (decision.stop_service_before)
        TRY_VOID(manager.stop(service_unit(decision.name)));
    return {};
}

Result<void> after_reload(ManagerClient& manager, const Decision& decision, const config::UnitSpec& spec) {
    if (decision.start_socket)
        if (auto started = manager.start(socket_unit(spec)); !started)
            return fail(explain_socket(manager, spec, std::move(started).error()));
    TRY_VOID(start_triggers(manager, decision, spec));
    if (decision.renew_pool)
        TRY_VOID(manager.start(pool_unit(decision.name)));
    if (!decision.start_service && !decision.restart_service)
        return {};
    const std::string unit = service_unit(decision.name);
    auto started = decision.restart_service ? manager.restart(unit) : manager.start(unit);
    if (!started)
        started.error().hint = "'ctrctl logs " + decision.name + "' shows why";
    return started;
}

/// Does what was decided, container by container; one that fails does not keep the others from it.
Result<std::vector<Done>> carry_out(ManagerClient& manager, const std::vector<Decision>& decisions,
                                    const std::vector<Declared>& all) {
    std::vector<Done> done;
    for (const auto& decision : decisions) {
        const auto stopped = before_reload(manager, decision);
        done.push_back({decision.name, decision.summary, stopped ? "" : stopped.error().message,
                        stopped ? "" : stopped.error().hint});
    }
    if (std::ranges::any_of(decisions, &Decision::reload))
        TRY_VOID(manager.reload());
    for (std::size_t i = 0; i < decisions.size(); ++i) {
        const auto one = std::ranges::find(all, decisions[i].name, [](const Declared& d) { return d.spec.name; });
        if (one == all.end() || !done[i].error.empty())
            continue;
        if (const auto started = after_reload(manager, decisions[i], one->spec); !started) {
            done[i].error = started.error().message;
            done[i].hint = started.error().hint;
        }
    }
    return done;
}

// --- reporting --------------------------------------------------------------------------------------------------

int report_done(const std::vector<Done>& all, const ApplyOptions& options) {
    int code = exit_ok;
    std::string text;
    auto array = nlohmann::json::array();
    for (const auto& one : all) {
        if (!one.error.empty())
            code = report(exit_failure, {std::errc::io_error, one.name + ": " + one.error, one.hint});
        if (one.summary.empty() && !contains(options.names, one.name))
            continue;
        const std::string summary = one.summary.empty() ? "unchanged" : one.summary;
        if (one.error.empty())
            text += one.name + ": " + summary + "\n";
        array.push_back({{"name", one.name}, {"summary", summary}, {"error", one.error}});
    }
    if (text.empty() && code == exit_ok)
        text = "nothing to do: everything is as declared\n";
    const Json json = json_of(options.json);
    const int printed = print(json == Json::off ? text : json_text(array, json));
    return code != exit_ok ? code : printed;
}

int report_problems(const config::Diagnostics& problems, int code) {
    std::fputs((config::to_text(problems) + "\nctrctl: nothing was changed\n").c_str(), stderr);
    return code;
}

/// From the manager: not being allowed to is the user's matter, all else systemd's.
int report_manager(const Error& error) {
    const bool denied = error.code == std::errc::permission_denied || error.code == std::errc::operation_not_permitted;
    return report(denied ? exit_denied : exit_internal, error);
}

/// For pin_images().
std::vector<AppliedImage> images_of(const std::vector<Declared>& all) {
    std::vector<AppliedImage> images;
    for (const auto& one : all)
        images.push_back({one.spec.name, one.spec.image, one.compiled.image_note});
    return images;
}

// --- the whole --------------------------------------------------------------------------------------------------

struct Selection {
    std::vector<std::string> declared{}, removed{};
};

Outcome<Selection> select(const ApplyOptions& options, const config::Listing& listing) {
    const auto compiled = config::list_compiled();
    Selection selection;
    if (options.names.empty()) {
        selection.declared = listing.names;
        std::ranges::copy_if(compiled, std::back_inserter(selection.removed),
                             [&](const std::string& name) { return !contains(listing.names, name); });
        return selection;
    }
    for (const auto& name : options.names) {
        if (contains(listing.names, name))
            selection.declared.push_back(name);
        else if (contains(compiled, name))
            selection.removed.push_back(name);
        else
            return std::unexpected{no_such_container(name, listing.names)};
    }
    return selection;
}

int carry_out_all(const ApplyOptions& options, const std::vector<Declared>& all,
                  const std::vector<std::string>& removed, UniqueFd images) {
    auto manager = ManagerClient::open();
    if (!manager)
        return report_manager(manager.error());
    const auto situations = look_at_all(*manager, all, removed, options);
    if (!situations)
        return report_manager(situations.error());
    std::vector<Decision> decisions;
    std::ranges::transform(*situations, std::back_inserter(decisions), decide);
    if (const auto taken = check_ports(*manager, all, decisions); !taken.empty())
        return report_problems(taken, exit_failure);
    if (options.dry_run) {
        std::vector<Done> planned;
        for (const auto& decision : decisions)
            planned.push_back({.name = decision.name, .summary = decision.summary});
        return report_done(planned, options);
    }
    if (auto pinned = pin_images(images_of(all)); !pinned)
        return report(exit_failure, pinned.error());
    images = UniqueFd{};
    const auto done = carry_out(*manager, decisions, all);
    if (auto forgotten = forget_images(removed); !forgotten)
        report(exit_failure, forgotten.error());
    return done ? report_done(*done, options) : report_manager(done.error());
}

} // namespace

int apply(const ApplyOptions& options) {
    if (auto good = check_names(options.names); !good)
        return report(good.error());
    if (::geteuid() != 0)
        return report(exit_denied, {std::errc::operation_not_permitted, "cannot apply declarations: permission denied",
                                    "run it as root; 'ctrctl check FILE' needs no rights"});
    const auto listing = config::list_names(config::SearchDirs::system());
    const auto selection = select(options, listing);
    if (!selection)
        return report(selection.error());
    config::Diagnostics problems = options.names.empty() ? listing.problems : config::Diagnostics{};
    auto loaded = load_all(selection->declared, options.dry_run ? Missing::refuse : Missing::pull, problems);
    const bool with_images = std::ranges::any_of(loaded, [](const Loaded& one) { return one.image.has_value(); });
    auto lock = with_images ? lock_images() : Result<UniqueFd>{UniqueFd{}};
    if (!lock)
        return report(exit_failure, lock.error());
    const auto all = compile_all(std::move(loaded), problems);
    check_shared_ports(all, problems);
    if (!problems.empty())
        return report_problems(problems, exit_bad_input);
    return carry_out_all(options, all, selection->removed, std::move(*lock));
}

} // namespace ctrd::ctl
