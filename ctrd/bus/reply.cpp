#include "ctrd/bus/reply.hpp"

#include "ctrd/bus/log.hpp"

namespace ctrd::bus {

int reply_error(sd_bus_message* call, const char* name, const Error& error) {
    const int r = sd_bus_reply_method_errorf(call, name, "%s", to_text(error).c_str());
    if (r < 0)
        log_warning(os_error(-r, "cannot answer a bus call"));
    return 1; // answered
}

int reply_done(sd_bus_message* call) {
    if (const int r = sd_bus_reply_method_return(call, ""); r < 0)
        log_warning(os_error(-r, "cannot answer a bus call"));
    return 1;
}

int reply_no_such_container(sd_bus_message* call, const std::string& name) {
    return reply_error(call, error_name::no_such_container,
                       {std::errc::no_such_file_or_directory, "there is no container '" + name + "'",
                        "declare it in /etc/ctrd/containers/" + name + ".toml, then run 'ctrctl apply'"});
}

} // namespace ctrd::bus
