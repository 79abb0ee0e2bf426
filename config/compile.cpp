#include "config/config.hpp"

#include "config/files.hpp"
#include "config/image.hpp"
#include "config/oci.hpp"
#include "config/units.hpp"

namespace ctrd::config {
namespace {

/// The spec with its image's defaults, checked again: what a stranger has written is no better than what a user has.
Outcome<UnitSpec> complete(const UnitSpec& spec, const Facts& facts) {
    if (auto problems = check(spec); !problems.empty())
        return refuse(std::move(problems));
    if (!facts.image)
        return spec;
    auto whole = with_image(spec, facts.image->config);
    if (!whole)
        return whole;
    if (auto problems = check(*whole); !problems.empty())
        return refuse(std::move(problems));
    return whole;
}

/// `unit_signal`: what the unit has been told already, before the image was there to say another.
Outcome<Compiled> compile_for(const UnitSpec& spec, const Facts& facts, const std::string& unit_signal) {
    const auto whole = complete(spec, facts);
    if (!whole)
        return refuse(whole.error());
    auto oci = make_oci(*whole, facts, {.terminal = false, .declared = true, .unit_signal = unit_signal});
    if (!oci)
        return refuse(std::move(oci.error()));
    Compiled compiled{spec.name, std::move(oci->json)};
    if (facts.image)
        compiled.image_note = image::use_text(facts.image->digest.text(), *spec.image);
    compiled.hosts = name_files(*whole).hosts;
    UnitSpec for_unit = *whole;
    if (!unit_signal.empty())
        for_unit.stop_signal = unit_signal;
    UnitOptions options{.mounts_files = facts.image && facts.image->mounts_files};
    if (unit_signal.empty())
        options.image = image_text(*whole, facts);
    add_units(for_unit, oci->resources, options, compiled);
    return compiled;
}

} // namespace

Outcome<Compiled> compile(const UnitSpec& spec, const Facts& facts) { return compile_for(spec, facts, {}); }

Outcome<Compiled> compile_late(const UnitSpec& spec, const Sources& sources) {
    auto facts = gather(spec, sources);
    return facts ? compile_for(spec, *facts, spec.stop_signal) : refuse(std::move(facts.error()));
}

Outcome<Compiled> compile(const UnitSpec& spec, const Sources& sources) {
    if (auto problems = check(spec); !problems.empty())
        return refuse(std::move(problems));
    auto facts = gather(spec, sources);
    if (!facts)
        return refuse(std::move(facts.error()));
    return compile(spec, *facts);
}

Outcome<AdHoc> ad_hoc(const UnitSpec& spec, bool terminal, const Sources& sources) {
    if (auto problems = check(spec); !problems.empty())
        return refuse(std::move(problems));
    auto facts = gather(spec, sources);
    if (!facts)
        return refuse(std::move(facts.error()));
    const auto whole = complete(spec, *facts);
    if (!whole)
        return refuse(whole.error());
    auto oci = make_oci(*whole, *facts, {.terminal = terminal, .declared = false});
    if (!oci)
        return refuse(std::move(oci.error()));
    return AdHoc{std::move(oci->json), std::move(facts->image), name_files(*whole)};
}

} // namespace ctrd::config
