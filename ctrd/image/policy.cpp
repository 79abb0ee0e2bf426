#include "ctrd/image/policy.hpp"

#include "ctrd/base/base64.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/image/documents.hpp"

#include <algorithm>
#include <array>

namespace ctrd::image {
namespace {

using oci::Reader;
using Match = SignedIdentity::Match;
using Kind = Requirement::Kind;

constexpr std::array<std::string_view, 6> match_words{"matchExact",     "matchRepoDigestOrExact", "matchRepository",
                                                      "exactReference", "exactRepository",        "remapIdentity"};

Result<void> only(const Reader& in, std::initializer_list<std::string_view> known) {
    for (const auto& [key, value] : in.json().items())
        if (std::ranges::find(known, key) == known.end())
            return fail(bad_input(in.at(printable(key)) + " is not known: what is asked for can't be checked"));
    return {};
}

Result<SignedIdentity> read_identity(const Reader& in) {
    const std::string type = TRY(in.required_string("type"));
    const auto* word = std::ranges::find(match_words, type);
    if (word == match_words.end())
        return fail(bad_input(in.at("type") + " '" + printable(type) + "' is not known"));
    SignedIdentity identity{static_cast<Match>(word - match_words.begin())};
    TRY_VOID(only(in, {"type", "dockerReference", "dockerRepository", "prefix", "signedPrefix"}));
    if (identity.match == Match::exact_reference)
        identity.value = TRY(in.required_string("dockerReference"));
    if (identity.match == Match::exact_repository)
        identity.value = TRY(in.required_string("dockerRepository"));
    if (identity.match == Match::remapped) {
        identity.value = TRY(in.required_string("prefix"));
        identity.signed_prefix = TRY(in.required_string("signedPrefix"));
    }
    return identity;
}

Result<Requirement> read_sigstore(const Reader& in) {
    for (const char* key :
         {"fulcio", "pki", "rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas"})
        if (in.find(key) != nullptr)
            return Requirement{Kind::not_done, {}, {}, "sigstoreSigned with '" + std::string{key} + "'"};
    TRY_VOID(only(in, {"type", "keyPath", "keyPaths", "keyData", "keyDatas", "signedIdentity"}));
    Requirement requirement{Kind::sigstore};
    auto paths = TRY(in.strings("keyPaths"));
    if (const std::string path = TRY(in.string("keyPath")); !path.empty())
        paths.push_back(path);
    for (const std::string& path : paths)
        requirement.keys.push_back({path, ""});
    auto datas = TRY(in.strings("keyDatas"));
    if (const std::string data = TRY(in.string("keyData")); !data.empty())
        datas.push_back(data);
    for (const std::string& data : datas)
        requirement.keys.push_back({"keyData", TRY(from_base64(data, in.at("keyData")))});
    if (requirement.keys.empty())
        return fail(bad_input(in.place() + " names no key", "set 'keyPath' to a public key in PEM form"));
    if (const auto identity = TRY(in.object("signedIdentity")))
        requirement.identity = TRY(read_identity(*identity));
    return requirement;
}

Result<Requirements> read_requirements(const Json& list, const std::string& place) {
    if (!list.is_array() || list.empty())
        return fail(bad_input(place + " must be a list of at least one requirement"));
    Requirements requirements;
    for (const Json& one : list) {
        if (!one.is_object())
            return fail(bad_input(place + " must be a list of objects"));
        const Reader in{one, place};
        const std::string type = TRY(in.required_string("type"));
        if (type == "insecureAcceptAnything")
            requirements.push_back({Kind::accept});
        else if (type == "reject")
            requirements.push_back({Kind::reject});
        else if (type == "sigstoreSigned")
            requirements.push_back(TRY(read_sigstore(in)));
        else if (type == "signedBy" || type == "signedBaseLayer")
            requirements.push_back({Kind::not_done, {}, {}, "'" + type + "'"});
        else
            return fail(bad_input(in.at("type") + " '" + printable(type) + "' is not known"));
    }
    return requirements;
}

bool begins_with_name(const std::string& name, const std::string& prefix) {
    return name == prefix || (name.starts_with(prefix) && (name[prefix.size()] == '/' || name[prefix.size()] == ':'));
}

} // namespace

Policy Policy::permissive() {
    Policy policy;
    policy.default_ = {{Kind::accept}};
    return policy;
}

Result<Policy> Policy::parse(std::string_view text, const std::string& file) {
    const auto read = [&]() -> Result<Policy> {
        const Json json = TRY(parse_json(text, max_document_size));
        const Reader in = TRY(Reader::root(json));
        TRY_VOID(only(in, {"default", "transports"}));
        const Json* standard = in.find("default");
        if (standard == nullptr)
            return fail(bad_input("'default' is missing"));
        Policy policy;
        policy.default_ = TRY(read_requirements(*standard, "default"));
        const Json* transports = in.find("transports");
        if (transports == nullptr)
            return policy;
        if (!transports->is_object())
            return fail(bad_input("'transports' is not an object"));
        for (const auto& [transport, scopes] : transports->items()) {
            if (!scopes.is_object())
                return fail(bad_input("transports." + printable(transport) + " is not an object"));
            for (const auto& [scope, list] : scopes.items())
                policy.transports_[transport][scope] =
                    TRY(read_requirements(list, "transports." + printable(transport) + "['" + printable(scope) + "']"));
        }
        return policy;
    };
    return read().context("'" + file + "'");
}

const Requirements* Policy::find(const std::string& transport, const std::string& scope) const {
    const auto scopes = transports_.find(transport);
    if (scopes == transports_.end())
        return nullptr;
    const auto found = scopes->second.find(scope);
    return found == scopes->second.end() ? nullptr : &found->second;
}

const Requirements& Policy::for_registry(const Reference& reference, std::string& scope) const {
    const auto take = [&](const std::string& candidate) {
        const auto* found = find("docker", candidate);
        if (found != nullptr)
            scope = candidate;
        return found;
    };
    const std::string name = reference.name();
    const std::string exact = reference.digest ? name + "@" + reference.digest->text()
                                               : name + ":" + (reference.tag.empty() ? "latest" : reference.tag);
    if (const auto* found = take(exact))
        return *found;
    for (std::string part = name;; part.resize(part.rfind('/'))) {
        if (const auto* found = take(part))
            return *found;
        if (part.find('/') == std::string::npos)
            break;
    }
    // "*.example.org" covers all below it, the longest first.
    std::string host = reference.registry.substr(0, reference.registry.find(':'));
    for (std::size_t dot = host.find('.'); dot != std::string::npos; dot = host.find('.', dot + 1))
        if (const auto* found = take("*" + host.substr(dot)))
            return *found;
    if (const auto* found = take(""))
        return *found;
    scope = "default";
    return default_;
}

const Requirements& Policy::for_file(const std::string& transport, const std::string& path, std::string& scope) const {
    for (std::string part = path; !part.empty();
         part.resize(part.rfind('/') == std::string::npos ? 0 : part.rfind('/')))
        if (const auto* found = find(transport, part)) {
            scope = part;
            return *found;
        }
    scope = "";
    if (const auto* found = find(transport, ""))
        return *found;
    scope = "default";
    return default_;
}

bool identity_fits(const SignedIdentity& identity, const Reference& asked, const Reference& said) {
    const auto same = [&](const Reference& wanted) {
        return wanted.name() == said.name() && !said.tag.empty() && wanted.digest == said.digest &&
               (wanted.tag.empty() ? "latest" : wanted.tag) == said.tag;
    };
    switch (identity.match) {
    case Match::exact:
        return !asked.digest && same(asked);
    case Match::repository_digest_or_exact:
        return asked.digest ? asked.name() == said.name() : same(asked);
    case Match::repository:
        return asked.name() == said.name();
    case Match::exact_reference: {
        const auto wanted = parse_reference(identity.value);
        return wanted && same(*wanted);
    }
    case Match::exact_repository:
        return said.name() == identity.value;
    case Match::remapped: {
        Reference moved = asked;
        if (begins_with_name(asked.name(), identity.value)) {
            auto other = parse_full_name(identity.signed_prefix + asked.name().substr(identity.value.size()));
            if (!other)
                return false;
            moved = *std::move(other);
            moved.tag = asked.tag;
            moved.digest = asked.digest;
        }
        return identity_fits({Match::repository_digest_or_exact}, moved, said);
    }
    }
    return false;
}

Result<void> read_keys(Requirements& requirements) {
    for (Requirement& requirement : requirements)
        for (Requirement::Key& key : requirement.keys)
            if (key.pem.empty())
                key.pem = TRY(read_file(key.name).context("a key of policy.json"));
    return {};
}

Json to_json(const Requirements& requirements) {
    Json list = Json::array();
    for (const Requirement& one : requirements) {
        Json keys = Json::array();
        for (const auto& key : one.keys)
            keys.push_back({{"name", key.name}, {"pem", key.pem}});
        list.push_back({{"kind", static_cast<int>(one.kind)},
                        {"keys", std::move(keys)},
                        {"match", static_cast<int>(one.identity.match)},
                        {"value", one.identity.value},
                        {"signed_prefix", one.identity.signed_prefix},
                        {"what", one.what}});
    }
    return list;
}

Result<Requirements> requirements_from(const Json& json) {
    Requirements requirements;
    for (const Json& item : json) {
        const Reader in = TRY(Reader::root(item));
        Requirement one{static_cast<Kind>(TRY(in.required_integer<int>("kind")))};
        const auto keys = TRY(in.objects("keys"));
        for (const Reader& key : keys)
            one.keys.push_back({TRY(key.string("name")), TRY(key.string("pem"))});
        one.identity = {static_cast<Match>(TRY(in.required_integer<int>("match"))), TRY(in.string("value")),
                        TRY(in.string("signed_prefix"))};
        one.what = TRY(in.string("what"));
        requirements.push_back(std::move(one));
    }
    return requirements;
}

} // namespace ctrd::image
