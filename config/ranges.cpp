#include "config/ranges.hpp"

#include <fmt/format.h>

namespace ctrd::config {
namespace {

/// "127.0.0.1:9000" -> "127.0.0.1:9001".
std::string with_port(const std::string& listen, unsigned port) {
    const auto colon = listen.rfind(':');
    return (colon == std::string::npos ? std::string{} : listen.substr(0, colon + 1)) + std::to_string(port);
}

/// One socket of the range: number `i` from its first port on.
SocketSpec member_of(const SocketSpec& range, unsigned first, unsigned i) {
    SocketSpec one = range;
    one.last_port = 0;
    one.of_range = true;
    one.listen = with_port(range.listen, first + i);
    one.port = static_cast<std::uint16_t>(range.port + i);
    if (!one.name.empty())
        one.name += fmt::format("-{}", first + i);
    return one;
}

} // namespace

Result<ListenRange> parse_listen_range(std::string_view text) {
    const std::size_t colon = text.rfind(':'); // names have dashes, too
    const std::size_t dash = text.starts_with('/') || text.starts_with('@')
                                 ? std::string_view::npos
                                 : text.find('-', colon == std::string_view::npos ? 0 : colon);
    if (dash == std::string_view::npos)
        return ListenRange{TRY(parse_listen(text)), 0};
    ListenRange range{TRY(parse_listen(text.substr(0, dash))), 0};
    const auto last = parse_decimal(text.substr(dash + 1), 65535);
    if (!last || *last <= range.first.port)
        return fail(bad_input(fmt::format("'{}' is not a range of ports", text),
                              "write the lower one first: \"127.0.0.1:9000-9010\""));
    if (*last - range.first.port >= most_ports)
        return fail(bad_input(fmt::format("'{}' has more than {} ports", text, most_ports), "write a shorter range"));
    range.last = static_cast<std::uint16_t>(*last);
    return range;
}

void expand_ranges(UnitSpec& spec, Diagnostics& problems) {
    std::vector<SocketSpec> sockets;
    std::map<std::string, Location> origins;
    for (std::size_t i = 0; i < spec.sockets.size(); ++i) {
        const SocketSpec& declared = spec.sockets[i];
        const unsigned first = declared.last_port == 0 ? 0U : parse_listen(declared.listen)->port;
        const unsigned count = declared.last_port == 0 ? 1U : declared.last_port - first + 1U;
        const auto key = fmt::format("socket.{}", i);
        if (declared.port + count - 1 > 65535)
            problems.push_back({origin_of(spec, key + ".port"),
                                fmt::format("'port' is the first of {} ports, and the last one is 65535", count),
                                "write a lower one"});
        for (unsigned n = 0; n < count; ++n) {
            const auto number = sockets.size();
            sockets.push_back(declared.last_port == 0 ? declared : member_of(declared, first, n));
            for (const auto& [name, at] : spec.origins)
                if (name == key || name.starts_with(key + "."))
                    origins[fmt::format("socket.{}", number) + name.substr(key.size())] = at;
        }
    }
    std::erase_if(spec.origins, [](const auto& one) { return one.first.starts_with("socket."); });
    spec.origins.merge(origins);
    spec.sockets = std::move(sockets);
}

} // namespace ctrd::config
