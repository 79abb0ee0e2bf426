// registries.conf: what its settings mean for an image.
#include "ctrd/registry/registries_conf.hpp"

#include <algorithm>

namespace ctrd::registry {
namespace {

/// How much of `name` ("host/path") the prefix takes; npos where it does not match. A prefix ends where a component
/// does.
std::size_t matched(std::string_view name, std::string_view prefix) {
    std::size_t end = prefix.size();
    if (prefix.starts_with("*.")) {
        const auto rest = prefix.substr(1); // ".example.org/path"
        const auto host = name.substr(0, name.find('/'));
        const auto domain = rest.substr(0, rest.find('/'));
        if (host.size() <= domain.size() || !host.ends_with(domain) ||
            !name.substr(host.size() - domain.size()).starts_with(rest))
            return std::string_view::npos;
        end = host.size() - domain.size() + rest.size();
    } else if (!name.starts_with(prefix)) {
        return std::string_view::npos;
    }
    return end == name.size() || name[end] == '/' ? end : std::string_view::npos;
}

Result<Reference> moved(const Reference& reference, std::string_view prefix, const std::string& location) {
    if (location.empty())
        return reference; // of "*.domain": every host is its own place
    const std::string name = reference.name();
    Reference result = TRY(image::parse_full_name(location + name.substr(matched(name, prefix)))
                               .context("registries.conf moves '" + name + "' to '" + location + "'"));
    result.tag = reference.tag;
    result.digest = reference.digest;
    return result;
}

bool is_usable(const Mirror& mirror, const Reference& reference) {
    switch (mirror.usable_for) {
    case Mirror::For::digests:
        return reference.digest.has_value();
    case Mirror::For::tags:
        return !reference.digest;
    case Mirror::For::everything:
        return true;
    }
    return false;
}

Error blocked(const Reference& reference, const RegistryEntry& entry) {
    return Error{std::errc::permission_denied,
                 "'" + reference.name() + "' is blocked by registries.conf (prefix '" + entry.prefix + "')", ""};
}

} // namespace

const RegistryEntry* RegistriesConf::find(const Reference& reference) const {
    const std::string name = reference.name();
    const RegistryEntry* best = nullptr;
    for (const auto& entry : registries)
        if (matched(name, entry.prefix) != std::string::npos &&
            (best == nullptr || entry.prefix.size() > best->prefix.size()))
            best = &entry;
    return best;
}

Result<std::vector<Reference>> RegistriesConf::candidates(const Reference& reference) const {
    if (!reference.is_short())
        return std::vector<Reference>{reference};
    const auto complete = [&](const std::string& name) -> Result<Reference> {
        Reference full = TRY(image::parse_full_name(name));
        full.tag = reference.tag;
        full.digest = reference.digest;
        return full;
    };
    std::vector<Reference> result;
    if (const auto alias = aliases.find(reference.repository);
        alias != aliases.end() && mode != ShortNameMode::disabled) {
        result.push_back(TRY(complete(alias->second)));
        return result;
    }
    if (search.empty())
        return fail(
            bad_input("'" + reference.text() + "' is a short name, and registries.conf names no registry for it",
                      "write it as REGISTRY/" + reference.text() +
                          ", or set 'unqualified-search-registries' in /etc/containers/registries.conf"));
    // Whoever owns the name in the first of many registries would own this machine's image: nobody is there to ask.
    if (mode == ShortNameMode::enforcing && search.size() > 1)
        return fail(bad_input("'" + reference.text() + "' is a short name that " + std::to_string(search.size()) +
                                  " registries could have, and 'short-name-mode' is 'enforcing'",
                              "write it with its registry, such as " + search.front() + "/" + reference.text() +
                                  ", or add it to [aliases] in registries.conf"));
    for (const auto& registry : search)
        result.push_back(TRY(complete(registry + "/" + reference.repository)));
    return result;
}

Result<std::vector<Endpoint>> RegistriesConf::pull_endpoints(const Reference& reference) const {
    const RegistryEntry* entry = find(reference);
    if (entry == nullptr)
        return std::vector<Endpoint>{Endpoint{reference, insecure.value_or(false)}};
    if (entry->blocked)
        return fail(blocked(reference, *entry));
    std::vector<Endpoint> result;
    for (const auto& mirror : entry->mirrors)
        if (is_usable(mirror, reference))
            result.push_back(
                {TRY(moved(reference, entry->prefix, mirror.location)), insecure.value_or(mirror.insecure), true});
    result.push_back(
        {TRY(moved(reference, entry->prefix, entry->location)), insecure.value_or(entry->insecure), false});
    return result;
}

Result<Endpoint> RegistriesConf::push_endpoint(const Reference& reference) const {
    const RegistryEntry* entry = find(reference);
    if (entry == nullptr)
        return Endpoint{reference, insecure.value_or(false)};
    if (entry->blocked)
        return fail(blocked(reference, *entry));
    return Endpoint{TRY(moved(reference, entry->prefix, entry->location)), insecure.value_or(entry->insecure), false};
}

} // namespace ctrd::registry
