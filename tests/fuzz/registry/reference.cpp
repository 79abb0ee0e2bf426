// Fuzz target: the name of an image. What is accepted becomes part of URLs and of files' names.
#include "ctrd/image/reference.hpp"
#include "tests/fuzz/promise.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ctrd;
    const auto reference = image::parse_reference({reinterpret_cast<const char*>(data), size});
    if (!reference) {
        fuzz::promise(!reference.error().message.empty(), "a refusal says why");
        return 0;
    }
    const auto again = image::parse_reference(reference->text());
    fuzz::promise(again && *again == *reference, "a name as it is written means itself");
    fuzz::promise(image::is_repository(reference->repository), "a repository keeps its grammar");
    fuzz::promise(("/" + reference->repository + "/").find("/../") == std::string::npos, "a repository does not climb");
    fuzz::promise(reference->is_short() || image::is_registry(reference->registry), "a registry is a host");
    fuzz::promise(reference->identifier().find('/') == std::string::npos, "an identifier is one component");
    return 0;
}
