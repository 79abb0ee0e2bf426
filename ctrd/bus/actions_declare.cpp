// Containers that the API makes, renames and removes: declarations until the next boot. A helper writes them, looks
// whether they are right, and has systemd read its units again.
#include "ctrd/bus/actions.hpp"
#include "ctrd/bus/container_object.hpp"
#include "ctrd/bus/options.hpp"
#include "ctrd/bus/reply.hpp"

#include "ctrd/base/names.hpp"

#include <nlohmann/json.hpp>

#include <cerrno>

namespace ctrd::bus {
namespace {

constexpr std::size_t longest_declaration = 256 << 10;

Job declare_job(const char* verb, const nlohmann::json& request) {
    Job job{ctr_declare_program, verb};
    job.request = [text = request.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)](std::uint64_t) {
        return text;
    };
    return job;
}

} // namespace

/// The object exists before the caller is told of it, however late the news of its files comes.
void Actions::reply_declared(sd_bus_message* call, const std::string& name) {
    registry_.read_declared(name);
    sd_bus_reply_method_return(call, "o", container_path(name).c_str());
}

int Actions::create(sd_bus_message* call, const std::string& name) {
    const char* declaration = nullptr;
    if (const int r = sd_bus_message_read(call, "s", &declaration); r < 0)
        return r;
    if (std::string_view{declaration}.size() > longest_declaration)
        return reply_error(call, error_name::bad_input, bad_input("the declaration is larger than 256 KiB"));
    return authority_.check(
        call, action::create, name,
        [this, name, text = std::string{declaration}](sd_bus_message* message, const CallerRef& caller) {
            Job job = declare_job("create", {{"declaration", text}});
            job.done = [this, name](sd_bus_message* answered) { reply_declared(answered, name); };
            executions_.run_apart(message, caller, name, job);
        });
}

int Actions::rename(sd_bus_message* call, const std::string& name) {
    const char* raw = nullptr;
    if (const int r = sd_bus_message_read(call, "s", &raw); r < 0)
        return r;
    const std::string to = raw;
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    if (auto good = check_container_name(to); !good)
        return reply_error(call, error_name::bad_input, good.error());
    return authority_.check(call, action::create, name,
                            [this, name, to](sd_bus_message* message, const CallerRef& caller) {
                                Job job = declare_job("rename", {{"to", to}});
                                job.done = [this, name, to](sd_bus_message* answered) {
                                    registry_.read_declared(name);
                                    reply_declared(answered, to);
                                };
                                executions_.run_apart(message, caller, name, job);
                            });
}

int Actions::remove(sd_bus_message* call, const std::string& name) {
    if (registry_.find(name) == nullptr)
        return reply_no_such_container(call, name);
    bool force = false;
    const auto read = read_options(call, "there is Force", [&](std::string_view option) {
        return option == "Force" ? read_bool(call, force) : -ENOENT;
    });
    if (!read)
        return reply_error(call, error_name::bad_input, read.error());
    return authority_.check(call, action::create, name,
                            [this, name, force](sd_bus_message* message, const CallerRef& caller) {
                                Job job = declare_job("remove", {{"force", force}});
                                job.done = [this, name](sd_bus_message* answered) {
                                    registry_.read_declared(name);
                                    reply_done(answered);
                                };
                                executions_.run_apart(message, caller, name, job);
                            });
}

} // namespace ctrd::bus
