#include "config/syntax.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <sys/un.h>

namespace ctrd::config {
namespace {

constexpr std::uint64_t infinity = UINT64_MAX;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string_view strip(std::string_view text) {
    while (!text.empty() && text.front() == ' ')
        text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ')
        text.remove_suffix(1);
    return text;
}

/// "12" or "12.5" at the front of `text`, which moves past it.
std::optional<double> take_number(std::string_view& text) {
    std::size_t end = 0;
    while (end < text.size() && (is_digit(text[end]) || text[end] == '.'))
        ++end;
    const std::string_view number = text.substr(0, end);
    if (number.empty() || !is_digit(number.front()) || !is_digit(number.back()) || std::ranges::count(number, '.') > 1)
        return std::nullopt;
    double value = 0;
    if (std::from_chars(number.data(), number.data() + number.size(), value).ec != std::errc{})
        return std::nullopt;
    text.remove_prefix(end);
    return value;
}

struct Unit {
    std::string_view name;
    double factor;
};
constexpr double second = 1e6;
constexpr std::array time_units{
    Unit{"", second},
    Unit{"s", second},
    Unit{"sec", second},
    Unit{"second", second},
    Unit{"seconds", second},
    Unit{"ms", 1e3},
    Unit{"msec", 1e3},
    Unit{"us", 1},
    Unit{"usec", 1},
    Unit{"\xc2\xb5s", 1},
    Unit{"m", 60 * second},
    Unit{"min", 60 * second},
    Unit{"minute", 60 * second},
    Unit{"minutes", 60 * second},
    Unit{"h", 3600 * second},
    Unit{"hr", 3600 * second},
    Unit{"hour", 3600 * second},
    Unit{"hours", 3600 * second},
    Unit{"d", 86400 * second},
    Unit{"day", 86400 * second},
    Unit{"days", 86400 * second},
    Unit{"w", 604800 * second},
    Unit{"week", 604800 * second},
    Unit{"weeks", 604800 * second},
};

std::unexpected<Error> no_duration(std::string_view text) {
    return fail(bad_input(fmt::format("'{}' is not a duration", text), "write it as systemd does, for example \"90s\", "
                                                                       "\"1min 30s\" or \"infinity\""));
}

/// Percentages as systemd takes them: up to two decimals.
std::optional<double> parse_percent(std::string_view text) {
    if (const auto point = text.find('.'); point != std::string_view::npos && text.size() - point > 4)
        return std::nullopt;
    const auto value = take_number(text);
    return value && text == "%" ? value : std::nullopt;
}

Result<ListenAddress> bad_address(std::string_view text, std::string_view why) {
    return fail(bad_input(fmt::format("'{}' is not an address to listen on: {}", text, why),
                          "write \"8080\", \"127.0.0.1:8080\", \"[::1]:8080\" or \"/run/name.sock\""));
}

Result<ListenAddress> listen_path(std::string_view text) {
    if (text.size() >= sizeof(sockaddr_un::sun_path))
        return bad_address(text,
                           fmt::format("a socket's path has at most {} bytes", sizeof(sockaddr_un::sun_path) - 1));
    if (auto ok = check_absolute_path(text); !ok)
        return bad_address(text, ok.error().message);
    if (text.find('\\') != std::string_view::npos || text.ends_with(' '))
        return bad_address(text, "a backslash, or a blank at the end, means something else in a unit");
    return ListenAddress{ListenAddress::Kind::path, clean_path(text), {}, 0};
}

/// The canonical text of an address, or nothing.
std::optional<std::string> canonical(int family, const std::string& host) {
    unsigned char raw[sizeof(in6_addr)];
    char text[INET6_ADDRSTRLEN];
    if (::inet_pton(family, host.c_str(), raw) != 1 || ::inet_ntop(family, raw, text, sizeof text) == nullptr)
        return std::nullopt;
    return text;
}

bool is_principal_name(std::string_view name) {
    return !name.empty() && name.size() <= 64 && (is_letter(name.front()) || name.front() == '_') &&
           std::ranges::all_of(name, [](char c) {
               return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '$';
           });
}

Result<Principal> parse_principal(std::string_view text, std::string_view whole) {
    constexpr std::uint64_t max_id = 4294967294; // 2^32-2; (uid_t)-1 means "leave it as it is"
    if (!text.empty() && std::ranges::all_of(text, is_digit)) {
        if (const auto id = parse_decimal(text, max_id))
            return Principal{static_cast<std::uint32_t>(*id), {}};
        return fail(bad_input(fmt::format("'{}' in user '{}' is not an id", text, whole),
                              fmt::format("ids go from 0 to {}, without leading zeros", max_id)));
    }
    if (is_principal_name(text))
        return Principal{std::nullopt, std::string{text}};
    return fail(
        bad_input(fmt::format("'{}' is not a user", whole), "write \"name\", \"uid\", \"uid:gid\" or \"name:group\""));
}

} // namespace

Result<std::uint64_t> parse_duration(std::string_view text) {
    std::string_view rest = strip(text);
    if (rest == "infinity")
        return infinity;
    if (rest.empty())
        return no_duration(text);
    double total = 0;
    while (!rest.empty()) {
        const auto number = take_number(rest);
        if (!number)
            return no_duration(text);
        rest = strip(rest);
        std::size_t end = 0;
        while (end < rest.size() && !is_digit(rest[end]) && rest[end] != ' ')
            ++end;
        const auto unit = std::ranges::find(time_units, rest.substr(0, end), &Unit::name);
        if (unit == time_units.end())
            return no_duration(text);
        total += *number * unit->factor;
        rest = strip(rest.substr(end));
    }
    if (total > 1e17) // three thousand years: surely a slip
        return no_duration(text);
    return static_cast<std::uint64_t>(std::llround(total));
}

std::string duration_text(std::uint64_t microseconds) {
    if (microseconds == infinity)
        return "infinity";
    if (microseconds % 1'000'000 == 0)
        return fmt::format("{}s", microseconds / 1'000'000);
    return microseconds % 1000 == 0 ? fmt::format("{}ms", microseconds / 1000) : fmt::format("{}us", microseconds);
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
    constexpr std::string_view units = "KMGT";
    std::uint64_t factor = 1;
    auto digits = text;
    if (const auto unit = text.empty() ? std::string_view::npos : units.find(text.back());
        unit != std::string_view::npos) {
        factor = std::uint64_t{1} << (10 * (unit + 1));
        digits.remove_suffix(1);
    }
    const auto number = parse_decimal(digits, UINT64_MAX / factor);
    if (!number || *number == 0)
        return fail(bad_input(fmt::format("'{}' is no size", text), "write for example \"20G\""));
    return *number * factor;
}

Result<std::string> check_memory(std::string_view text, bool zero_allowed) {
    const auto wrong = [&] {
        return fail(bad_input(fmt::format("'{}' is not a size", text),
                              "write it as systemd does, for example \"512M\", \"1.5G\", \"80%\" or \"infinity\""));
    };
    if (text == "infinity")
        return std::string{text};
    if (const auto percent = parse_percent(text))
        return *percent <= 100 && (*percent > 0 || zero_allowed) ? Result<std::string>{std::string{text}} : wrong();
    std::string_view rest = text;
    const auto number = take_number(rest);
    constexpr std::array<std::string_view, 8> suffixes{"", "B", "K", "M", "G", "T", "P", "E"};
    const auto suffix = std::ranges::find(suffixes, rest);
    if (!number || suffix == suffixes.end())
        return wrong();
    const auto power = std::max<std::ptrdiff_t>(0, suffix - suffixes.begin() - 1);
    const double bytes = *number * std::pow(1024.0, static_cast<double>(power));
    if (bytes >= 1.8e19 || (bytes < 1 && !(zero_allowed && *number == 0)))
        return wrong();
    return std::string{text};
}

Result<std::uint32_t> parse_permille(std::string_view text) {
    if (const auto percent = parse_percent(text); percent && *percent >= 0.1 && *percent <= 1e5)
        return static_cast<std::uint32_t>(*percent * 10 + 0.5);
    return fail(bad_input(fmt::format("'{}' is not a share of a processor", text),
                          "write a percentage of one CPU from 0.1% on, such as \"2%\""));
}

Result<std::string> check_cpu_quota(std::string_view text) {
    if (const auto percent = parse_percent(text); percent && *percent > 0 && *percent <= 1e6)
        return std::string{text};
    return fail(
        bad_input(fmt::format("'{}' is not a CPU quota", text), "write a percentage of one CPU, such as \"150%\""));
}

Result<std::string> check_weight(std::string_view text, bool idle_allowed) {
    const auto number = parse_decimal(text, 10000);
    if ((number && *number > 0) || (idle_allowed && text == "idle"))
        return std::string{text};
    return fail(
        bad_input(fmt::format("'{}' is not a weight", text),
                  idle_allowed ? "a weight goes from 1 to 10000, or is \"idle\"" : "a weight goes from 1 to 10000"));
}

Result<std::string> check_tasks_max(std::string_view text) {
    const auto percent = parse_percent(text);
    const auto number = parse_decimal(text, infinity - 1);
    if (text == "infinity" || (percent && *percent > 0 && *percent <= 100) || (number && *number > 0))
        return std::string{text};
    return fail(
        bad_input(fmt::format("'{}' is not a number of tasks", text), "write a number, \"10%\" or \"infinity\""));
}

Result<std::string> parse_slice(std::string_view text) {
    constexpr std::string_view suffix = ".slice";
    constexpr std::string_view top = "machine";
    constexpr std::size_t longest = 255;
    const std::string_view name = text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text;
    const bool good = !name.empty() && name.size() + suffix.size() <= longest && !name.starts_with('-') &&
                      !name.ends_with('-') && !name.contains("--") &&
                      name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.-") ==
                          std::string_view::npos;
    if (good && (name == top || name.starts_with("machine-")))
        return fmt::format("{}{}", name, suffix);
    return fail(bad_input(fmt::format("'{}' is not a slice below machine.slice", is_printable(text) ? text : "?"),
                          good ? fmt::format("write \"machine-{}.slice\": each '-' is one slice below another", name)
                               : "letters, digits, '_', '.' and ':', and a '-' between two names, such as "
                                 "\"machine-web.slice\""));
}

/// "localhost" and "web.localhost" are this machine's loopback without a question to anybody, RFC 6761 says.
bool is_localhost(std::string_view host) {
    return host == "localhost" || (host.ends_with(".localhost") && is_hostname(host));
}

Result<ListenAddress> parse_listen(std::string_view text) {
    if (text.starts_with('/'))
        return listen_path(text);
    if (text.starts_with('@'))
        return bad_address(text, "an abstract socket can be reached from every container of the host's network");
    if (text.starts_with("vsock:") || text.starts_with("udp:") || text.starts_with("tcp:"))
        return bad_address(text, "it has no scheme");
    const std::size_t colon = text.rfind(':');
    const std::string_view port_text = colon == std::string_view::npos ? text : text.substr(colon + 1);
    const auto port = parse_decimal(port_text, 65535);
    if (!port || *port == 0)
        return bad_address(text, fmt::format("'{}' is not a port (1 to 65535)", port_text));
    ListenAddress address{ListenAddress::Kind::port, std::to_string(*port), {}, static_cast<std::uint16_t>(*port)};
    if (colon == std::string_view::npos)
        return address;
    std::string host{text.substr(0, colon)};
    const bool brackets = host.starts_with('[') && host.ends_with(']');
    address.kind = brackets ? ListenAddress::Kind::ipv6 : ListenAddress::Kind::ipv4;
    if (brackets)
        host = host.substr(1, host.size() - 2);
    else if (is_localhost(host))
        host = "127.0.0.1";
    const auto shortest = canonical(brackets ? AF_INET6 : AF_INET, host);
    if (!shortest)
        return bad_address(text, fmt::format("'{}' is not an {} address", host, brackets ? "IPv6" : "IPv4"));
    address.host = *shortest;
    address.text = brackets ? fmt::format("[{}]:{}", *shortest, *port) : fmt::format("{}:{}", *shortest, *port);
    return address;
}

std::optional<std::uint64_t> parse_decimal(std::string_view text, std::uint64_t max) {
    if (text.empty() || (text.size() > 1 && text.front() == '0') || !std::ranges::all_of(text, is_digit))
        return std::nullopt;
    std::uint64_t value = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc{} || value > max)
        return std::nullopt;
    return value;
}

Result<UserText> parse_user(std::string_view text) {
    const std::size_t colon = text.find(':');
    UserText user;
    user.user = TRY(parse_principal(text.substr(0, colon), text));
    if (colon != std::string_view::npos)
        user.group = TRY(parse_principal(text.substr(colon + 1), text));
    return user;
}

Result<void> check_absolute_path(std::string_view path) {
    if (!path.starts_with('/'))
        return fail(bad_input(fmt::format("'{}' is not an absolute path", path), "begin it with '/'"));
    if (!is_printable(path))
        return fail(bad_input("the path has a control character in it"));
    if (path.size() >= 4096)
        return fail(bad_input("the path is longer than 4095 bytes"));
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view component = path.substr(begin, end - begin);
        if (component == "." || component == "..")
            return fail(bad_input(fmt::format("'{}' has a component '{}'", path, component), "write the path out"));
        begin = end + 1;
    }
    return {};
}

std::string clean_path(std::string_view path) {
    std::string clean;
    for (const char c : path)
        if (c != '/' || clean.empty() || clean.back() != '/')
            clean += c;
    if (clean.size() > 1 && clean.back() == '/')
        clean.pop_back();
    return clean;
}

bool is_printable(std::string_view text) noexcept {
    return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool is_environment_name(std::string_view name) noexcept {
    return !name.empty() && !is_digit(name.front()) &&
           std::ranges::all_of(name, [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

bool is_hostname(std::string_view name) noexcept {
    const auto alnum = [](char c) { return is_letter(c) || is_digit(c); };
    return !name.empty() && name.size() <= 64 && alnum(name.front()) && alnum(name.back()) &&
           name.find("..") == std::string_view::npos &&
           std::ranges::all_of(name, [&](char c) { return alnum(c) || c == '-' || c == '.'; });
}

Result<std::string> check_mode(std::string_view text) {
    const bool octal = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '7'; });
    if (!octal || text.size() < 3 || text.size() > 4 || (text.size() == 4 && text.front() != '0'))
        return fail(bad_input(fmt::format("'{}' is not a file's mode", text), "for example \"0660\""));
    return std::string{text};
}

} // namespace ctrd::config
