#include "config/config.hpp"

#include "config/oci.hpp"
#include "config/units.hpp"

namespace ctrd::config {

Outcome<Compiled> compile(const UnitSpec& spec, const Facts& facts) {
    if (auto problems = check(spec); !problems.empty())
        return refuse(std::move(problems));
    auto oci = make_oci(spec, facts, {.terminal = false, .declared = true});
    if (!oci)
        return refuse(std::move(oci.error()));
    Compiled compiled{spec.name, std::move(oci->json)};
    add_units(spec, oci->resources, false, compiled);
    return compiled;
}

Outcome<Compiled> compile(const UnitSpec& spec) {
    if (auto problems = check(spec); !problems.empty())
        return refuse(std::move(problems));
    auto facts = gather(spec);
    if (!facts)
        return refuse(std::move(facts.error()));
    return compile(spec, *facts);
}

Outcome<std::string> ad_hoc_config(const UnitSpec& spec, bool terminal) {
    if (auto problems = check(spec); !problems.empty())
        return refuse(std::move(problems));
    auto facts = gather(spec);
    if (!facts)
        return refuse(std::move(facts.error()));
    auto oci = make_oci(spec, *facts, {.terminal = terminal, .declared = false});
    if (!oci)
        return refuse(std::move(oci.error()));
    return std::move(oci->json);
}

} // namespace ctrd::config
