#include "tools/ctr-proxy/options.hpp"

#include <charconv>

namespace ctrd::proxy {
namespace {

template <class T> Result<T> number(std::string_view text) {
    T value{};
    const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (err != std::errc{} || end != text.data() + text.size())
        return fail(bad_input("'" + std::string{text} + "' is not a number here"));
    return value;
}

std::string_view take(std::string_view& rest) {
    const std::string_view part = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    return part;
}

Result<Route> parse_route(std::string_view text) {
    Route route;
    route.number = TRY(number<std::uint16_t>(take(text)));
    route.datagram = take(text) == "datagram";
    route.at_once = take(text) == "now";
    route.listener = TRY(number<int>(take(text)));
    if (text.starts_with('/'))
        route.path = text;
    else
        route.port = TRY(number<std::uint16_t>(text));
    return route;
}

} // namespace

Result<Options> parse_options(int argc, char* const* argv) {
    constexpr int first_route = 8;
    if (argc <= first_route)
        return fail(bad_input("too few arguments", "ctr-proxy is run by ctr-run, for a [[socket]] that is proxied"));
    Options options;
    options.ready = TRY(number<int>(argv[2]));
    options.container = TRY(number<int>(argv[3]));
    options.cgroup = argv[4];
    options.user = TRY(number<uid_t>(argv[5]));
    options.group = TRY(number<gid_t>(argv[6]));
    options.patience = std::chrono::milliseconds{TRY(number<std::int64_t>(argv[7]))};
    for (int i = first_route; i < argc; ++i)
        options.routes.push_back(TRY(parse_route(argv[i])));
    return options;
}

} // namespace ctrd::proxy
