#include "ctrd/oci/parse.hpp"

#include "ctrd/oci/parse_hooks.hpp"
#include "ctrd/oci/parse_linux.hpp"
#include "ctrd/oci/parse_process.hpp"
#include "ctrd/oci/parse_resources.hpp"

#include <algorithm>

namespace ctrd::oci {
namespace {

constexpr std::size_t max_depth = 64;

/// nlohmann parses recursively per value; a document of a million '[' must not reach its stack.
Result<void> check_depth(std::string_view text) {
    std::size_t depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > max_depth)
                return fail(
                    bad_input("the document is nested more than " + std::to_string(max_depth) + " levels deep"));
        } else if ((c == '}' || c == ']') && depth > 0) {
            --depth;
        }
    }
    return {};
}

std::string line_and_column(std::string_view text, std::size_t byte) {
    const auto before = text.substr(0, byte == 0 ? 0 : byte - 1);
    const auto line = std::ranges::count(before, '\n') + 1;
    const auto start = before.rfind('\n');
    const auto column = before.size() - (start == std::string_view::npos ? 0 : start + 1) + 1;
    return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

Result<void> check_version(const std::string& version) {
    // Minor versions only add: what this runtime does not know of them it either ignores as the spec wants or refuses.
    if (version == "1" || version.starts_with("1."))
        return {};
    return fail(Error{std::errc::not_supported, "ociVersion '" + version + "' is not a version 1 of the runtime spec",
                      "ctr-oci knows versions 1.0 to 1.3"});
}

Result<std::vector<Mount>> read_mounts(const Reader& top) {
    std::vector<Mount> result;
    for (const Reader& in : TRY(top.objects("mounts"))) {
        Mount mount;
        mount.destination = TRY(in.required_string("destination"));
        mount.type = TRY(in.string("type"));
        mount.source = TRY(in.string("source"));
        mount.options = TRY(in.strings("options"));
        mount.uid_mappings = TRY(read_id_mappings(in, "uidMappings"));
        mount.gid_mappings = TRY(read_id_mappings(in, "gidMappings"));
        if (mount.uid_mappings.empty() != mount.gid_mappings.empty())
            return fail(bad_input(in.place() + ": uidMappings and gidMappings go together"));
        result.push_back(std::move(mount));
    }
    return result;
}

Result<void> read_names(const Reader& top, Spec& spec) {
    spec.hostname = TRY(top.string("hostname"));
    spec.domainname = TRY(top.string("domainname"));
    for (const auto& name : {spec.hostname, spec.domainname})
        if (name.size() > 64)
            return fail(bad_input("hostname and domainname are at most 64 bytes long: '" + name + "'"));
    if (const auto annotations = TRY(top.object("annotations")))
        for (const auto& [key, value] : annotations->json().items())
            spec.annotations[key] = TRY(checked_string(value, annotations->at(key)));
    return {};
}

} // namespace

Result<Json> read_document(std::string_view text) {
    if (text.size() > max_config_size)
        return fail(bad_input("the document is larger than " + std::to_string(max_config_size) + " bytes"));
    TRY_VOID(check_depth(text));
    try {
        return Json::parse(text);
    } catch (const Json::parse_error& error) {
        const std::string_view what = error.what();
        const auto colon = what.find("- "); // "[json.exception...] parse error at ...: syntax error while ... - why"
        return fail(bad_input(line_and_column(text, error.byte) + ": not JSON: " +
                              std::string{colon == std::string_view::npos ? what : what.substr(colon + 2)}));
    } catch (const Json::out_of_range& error) { // 1e999: its place is not told, the number is
        const std::string_view what = error.what();
        const auto quote = what.find('\'');
        return fail(bad_input("a number is too large: " +
                              std::string{quote == std::string_view::npos ? what : what.substr(quote)}));
    }
}

Result<Spec> parse(std::string_view text) { return parse_document(TRY(read_document(text))); }

Result<Spec> parse_document(const Json& document) {
    const Reader top = TRY(Reader::root(document));
    Spec spec;
    spec.version = TRY(top.required_string("ociVersion"));
    TRY_VOID(check_version(spec.version));
    TRY_VOID(top.refuse({"solaris", "windows", "vm", "zos", "freebsd"}));
    spec.hooks = TRY(read_hooks(top));
    const auto root = TRY(top.object("root"));
    if (!root)
        return fail(bad_input("root is missing"));
    spec.root_path = TRY(root->required_string("path"));
    spec.root_readonly = TRY(root->boolean("readonly"));
    if (const auto process = TRY(top.object("process")))
        spec.process = TRY(read_process(*process));
    TRY_VOID(read_names(top, spec));
    spec.mounts = TRY(read_mounts(top));
    if (const auto linux_object = TRY(top.object("linux")))
        TRY_VOID(read_linux(*linux_object, spec));
    return spec;
}

Result<Resources> parse_resources(std::string_view text, std::string_view version) {
    const Json document = TRY(read_document(text));
    return read_resources(TRY(Reader::root(document)), version);
}

Result<Process> parse_process(std::string_view text) {
    const Json document = TRY(read_document(text));
    return read_process(TRY(Reader::root(document)));
}

} // namespace ctrd::oci
