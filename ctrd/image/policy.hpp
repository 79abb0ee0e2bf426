// Which images may come: policy.json, as containers-policy.json(5) describes it. What it asks for and is not done here
// (signedBy, Fulcio, Rekor) is refused by name and never passed over.
#pragma once

#include "ctrd/image/json.hpp"
#include "ctrd/image/reference.hpp"

#include <map>

namespace ctrd::image {

/// Whose name a signature must have been made for.
struct SignedIdentity {
    enum class Match { exact, repository_digest_or_exact, repository, exact_reference, exact_repository, remapped };
    Match match{Match::repository_digest_or_exact};
    std::string value{};         // of exact_reference, exact_repository: the name; of remapped: the prefix ...
    std::string signed_prefix{}; // ... and what the signatures have in its place
};

struct Requirement {
    enum class Kind { accept, reject, sigstore, not_done };
    struct Key {
        std::string name{}; // where it is, for people
        std::string pem{};
    };
    Kind kind{Kind::reject};
    std::vector<Key> keys{}; // of sigstore: one of them must have signed
    SignedIdentity identity{};
    std::string what{}; // of not_done: what it asks for
};
/// All of them must be satisfied.
using Requirements = std::vector<Requirement>;

class Policy {
public:
    /// `text` of policy.json; keys are not read yet. `file` is only named in errors.
    static Result<Policy> parse(std::string_view text, const std::string& file);
    /// Where nobody has written one: everything is accepted.
    static Policy permissive();

    /// For an image of a registry ("docker"): what its most exact scope says. Names the scope in `scope`.
    [[nodiscard]] const Requirements& for_registry(const Reference& reference, std::string& scope) const;
    /// For what does not come from a registry: "docker-archive", "oci", "oci-archive"; by the path of the source.
    [[nodiscard]] const Requirements& for_file(const std::string& transport, const std::string& path,
                                               std::string& scope) const;

private:
    [[nodiscard]] const Requirements* find(const std::string& transport, const std::string& scope) const;
    Requirements default_{};
    std::map<std::string, std::map<std::string, Requirements>> transports_{};
};

/// Whether a signature for `said` will do for the image `asked`.
bool identity_fits(const SignedIdentity& identity, const Reference& asked, const Reference& said);

/// Keys named by path are read into their `pem`.
Result<void> read_keys(Requirements& requirements);

Json to_json(const Requirements& requirements);
Result<Requirements> requirements_from(const Json& json);

} // namespace ctrd::image
