#include "ctrd/bus/image_properties.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/paths.hpp"

namespace ctrd::bus {

std::string image_digest_of(const Container& container) {
    if (is_up(container.unit))
        if (const auto note =
                read_file(std::string{image::default_run_folder} + "/run/" + container.name + ".image", 4096))
            return note->substr(0, note->find('\n'));
    return container.declared ? container.declared->image_digest : "";
}

} // namespace ctrd::bus
