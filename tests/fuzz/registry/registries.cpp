// Fuzz target: registries.conf, and where it leads for a few names.
#include "ctrd/registry/registries_conf.hpp"
#include "tests/fuzz/promise.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ctrd;
    registry::RegistriesConf conf;
    if (!conf.add({reinterpret_cast<const char*>(data), size}, "fuzz.conf"))
        return 0;
    for (const char* name : {"web:1", "r.example/team/web:1", "a.example.org:5000/x/y/z"}) {
        const auto candidates = conf.candidates(image::parse_reference(name).value());
        for (const auto& candidate : candidates ? *candidates : std::vector<registry::Reference>{}) {
            fuzz::promise(!candidate.is_short(), "a candidate has a registry");
            const auto endpoints = conf.pull_endpoints(candidate);
            for (const auto& endpoint : endpoints ? *endpoints : std::vector<registry::Endpoint>{}) {
                fuzz::promise(image::is_registry(endpoint.reference.registry), "an image is at a host");
                fuzz::promise(image::is_repository(endpoint.reference.repository), "an image has a good name there");
                fuzz::promise(endpoint.reference.tag == candidate.tag, "a mirror does not change a tag");
            }
        }
    }
    return 0;
}
