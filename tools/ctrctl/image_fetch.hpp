// ctr-fetch as who answers for one image's registry (ctrd/image/fetcher.hpp): for a pull, and for who only asks.
#pragma once

#include "ctrd/registry/wire.hpp"
#include "tools/ctrctl/helper.hpp"

namespace ctrd::ctl {

struct FetchProcess {
    Helper process;
    UniqueFd channel; // of a Fetcher
};
Result<FetchProcess> start_fetching(const registry::FetchSettings& settings);

/// Why nothing came. Of a process that could not even begin, its own words are better than those of who waited for it.
Error why_not_fetched(const FetchProcess& fetching, Error error);

} // namespace ctrd::ctl
