// What of a configuration says when and where its process runs: scheduler, ioPriority, execCPUAffinity, memoryPolicy.
#pragma once

#include "ctrd/oci/reader.hpp"
#include "ctrd/oci/spec.hpp"

namespace ctrd::oci {

Result<std::optional<Scheduler>> read_scheduler(const Reader& process);
Result<std::optional<IoPriority>> read_io_priority(const Reader& process);
Result<ExecCpuAffinity> read_exec_cpu_affinity(const Reader& process);
Result<std::optional<MemoryPolicy>> read_memory_policy(const Reader& linux_object);

/// "0-3,7" -> 0 1 2 3 7. Numbers up to 8191.
Result<std::vector<unsigned>> parse_number_list(const std::string& text, const std::string& place);

} // namespace ctrd::oci
