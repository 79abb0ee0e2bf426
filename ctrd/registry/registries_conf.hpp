// registries.conf and its drop-ins, as containers-registries.conf(5) describes them: which registry a short name means,
// and where the images of a registry really are (mirrors, other locations, none at all).
#pragma once

#include "ctrd/image/reference.hpp"

#include <map>
#include <vector>

namespace ctrd::registry {

using image::Reference;

/// Where to ask for an image.
struct Endpoint {
    Reference reference{}; // the image's name there
    bool insecure{false};  // certificates are not checked, and plain HTTP will do
    bool is_mirror{false};
};

struct Mirror {
    enum class For { everything, digests, tags };
    std::string location{};
    bool insecure{false};
    For usable_for{For::everything};
};

/// One [[registry]].
struct RegistryEntry {
    std::string prefix{}; // "host", "host/path" or "*.domain"
    std::string location{};
    bool insecure{false};
    bool blocked{false};
    bool mirror_by_digest_only{false};
    std::vector<Mirror> mirrors{};
};

enum class ShortNameMode { enforcing, permissive, disabled };

struct RegistriesConf {
    std::vector<std::string> search{}; // unqualified-search-registries
    ShortNameMode mode{ShortNameMode::permissive};
    std::vector<RegistryEntry> registries{};
    std::map<std::string, std::string> aliases{}; // short name -> full name
    std::optional<bool> insecure{};               // what a command line says, over all entries

    /// Puts the settings of a file (TOML) over what is there; `file` is only named in errors.
    Result<void> add(std::string_view text, const std::string& file);

    /// What a reference may mean, in the order in which to try: itself, or a short name completed.
    [[nodiscard]] Result<std::vector<Reference>> candidates(const Reference& reference) const;

    /// Where the image of a full reference is: mirrors first, then its own place. Refused where that is blocked.
    [[nodiscard]] Result<std::vector<Endpoint>> pull_endpoints(const Reference& reference) const;
    /// Where it is pushed to: mirrors are only for reading.
    [[nodiscard]] Result<Endpoint> push_endpoint(const Reference& reference) const;

private:
    [[nodiscard]] const RegistryEntry* find(const Reference& reference) const;
};

/// Where the files are looked for.
struct RegistriesPaths {
    std::string file{};                 // registries.conf
    std::vector<std::string> folders{}; // of drop-ins
    std::string aliases{};              // what Podman has remembered of short names

    /// The system's, or for a user with files of his own those. CONTAINERS_REGISTRIES_CONF names another file.
    static RegistriesPaths from_environment();
};

/// A file that is missing counts as empty.
Result<RegistriesConf> load_registries(const RegistriesPaths& paths);

} // namespace ctrd::registry
