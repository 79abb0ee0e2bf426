#include "tools/ctr-oci/option_tables.hpp"

#include "ctrd/base/file.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;

namespace {

/// As it stands in a table or in a sentence: followed by its value, or by the end of the quotation.
bool has_option(const std::string& text, const ctr_oci::Option& option) {
    const std::string name = "`--" + std::string{option.name};
    if (option.value_name.empty())
        return text.find(name + "`") != std::string::npos;
    const auto at = text.find(name + " ");
    return at != std::string::npos && text.find('`', at + 1) != std::string::npos;
}

} // namespace

TEST_CASE("every command and option is in the reference", "[docs]") {
    const std::string text = read_file(CTRD_SOURCE_ROOT "/docs/ctr-oci.md").value();
    for (const auto& option : ctr_oci::global_options()) {
        INFO(option.name);
        CHECK(has_option(text, option));
    }
    for (const auto& command : ctr_oci::commands()) {
        INFO(command.name);
        CHECK((text.find("### " + std::string{command.name}) != std::string::npos ||
               text.find(", " + std::string{command.name}) != std::string::npos));
        for (const auto& option : command.options) {
            INFO(option.name);
            CHECK(has_option(text, option));
        }
    }
}
