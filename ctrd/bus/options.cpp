#include "ctrd/bus/options.hpp"

#include <cerrno>

namespace ctrd::bus {

Result<void> read_options(sd_bus_message* call, const char* known,
                          const std::function<int(std::string_view name)>& read) {
    int r = sd_bus_message_enter_container(call, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
        const char* name = nullptr;
        if (sd_bus_message_read(call, "s", &name) < 0)
            return fail(bad_input("malformed options"));
        r = read(name);
        if (r == -ENOENT)
            return fail(bad_input("unknown option '" + printable(name) + "'", known));
        if (r < 0)
            return fail(bad_input("option '" + printable(name) + "' has the wrong type"));
        r = sd_bus_message_exit_container(call);
    }
    if (r < 0 || sd_bus_message_exit_container(call) < 0)
        return fail(bad_input("malformed options"));
    return {};
}

int read_bool(sd_bus_message* call, bool& value) {
    int number = 0;
    const int r = sd_bus_message_read(call, "v", "b", &number);
    value = number != 0;
    return r;
}

int read_number(sd_bus_message* call, std::uint64_t& value) { return sd_bus_message_read(call, "v", "t", &value); }

int read_text(sd_bus_message* call, std::string& value) {
    const char* text = nullptr;
    const int r = sd_bus_message_read(call, "v", "s", &text);
    if (r >= 0)
        value = text;
    return r;
}

} // namespace ctrd::bus
