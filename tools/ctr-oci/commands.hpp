// The commands of ctr-oci. Each returns the program's exit status.
#pragma once

#include "ctrd/base/result.hpp"
#include "tools/ctr-oci/options.hpp"

namespace ctrd::ctr_oci {

Result<int> run(const Options& options);
Result<int> create(const Options& options);
Result<int> start(const Options& options);
Result<int> exec(const Options& options);
Result<int> state(const Options& options);
Result<int> kill(const Options& options);
Result<int> remove(const Options& options);
Result<int> list(const Options& options);
Result<int> ps(const Options& options);
Result<int> events(const Options& options);
Result<int> pause(const Options& options);
Result<int> resume(const Options& options);
Result<int> update(const Options& options);
Result<int> checkpoint(const Options& options);
Result<int> restore(const Options& options);
Result<int> features(const Options& options);
Result<int> write_spec(const Options& options);

} // namespace ctrd::ctr_oci
