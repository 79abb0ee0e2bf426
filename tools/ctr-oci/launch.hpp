// What run and create share: from a bundle to a blocked child with its record, and back out again on failure.
#pragma once

#include "ctrd/oci/cgroup2.hpp"
#include "ctrd/runtime/container.hpp"
#include "ctrd/store/records.hpp"
#include "tools/ctr-oci/options.hpp"
#include "tools/ctr-oci/scope.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace ctrd::ctr_oci {

constexpr std::chrono::seconds start_timeout{60};

store::Records open_records(const Options& options);

/// A configuration: checked, with its plan.
struct Bundle {
    std::string folder{}; // absolute
    std::string text{};
    oci::Spec spec{};
    plan::Plan plan{};
};
Result<std::unique_ptr<Bundle>> load_bundle(const std::string& path, const plan::HostFacts& host);

/// Undoes an unfinished start: record and cgroup. Whoever succeeds calls keep().
class Launch {
public:
    Launch(const Options& options, store::Records records) : options_{options}, records_{std::move(records)} {}
    Launch(const Launch&) = delete;
    Launch& operator=(const Launch&) = delete;
    ~Launch();

    /// We are in front of its terminal, if it has one: the payload finds it as large as ours from its first moment on.
    void show_on_our_terminal();
    /// Reserves the id, makes the cgroup and the blocked process. `start_socket`: for create.
    Result<void> prepare(int console_socket, bool wait_for_start);
    /// For a process that somebody else makes: the id and the cgroup, and then, when it is there, its record.
    Result<void> prepare_place();
    Result<void> adopt(pid_t pid);
    /// Lets it go; on return the payload runs, or waits for `start`.
    Result<void> go();
    void keep() { keep_ = true; }

    [[nodiscard]] runtime::Container& container() { return *container_; }
    [[nodiscard]] const Bundle& bundle() const { return *bundle_; }
    [[nodiscard]] const store::Record& record() const { return record_; }
    [[nodiscard]] const store::Records& records() const { return records_; }

private:
    Result<void> make_record();
    void make_environment();
    Result<void> request_scope();
    Result<void> make_cgroup();
    Result<void> limit_devices();
    Result<void> take_place();

    const Options& options_;
    store::Records records_;
    std::unique_ptr<Bundle> bundle_{};
    store::Record record_{};
    std::vector<oci::Control> controls_{};
    std::optional<Scope> scope_{};
    std::optional<oci::ConsoleSize> console_size_{};
    std::optional<runtime::Container> container_{};
    bool reserved_{false};
    bool keep_{false};
};

runtime::StateFacts facts_of(const store::Record& record);

/// The poststart hooks. After one that fails the container must be stopped and deleted.
Result<void> run_poststart(const oci::Hooks& hooks, const store::Record& record);

/// Kills what is left, removes cgroup and record, and runs the poststop hooks; one that fails is a warning.
Result<void> dispose(const store::Records& records, store::Record record);

} // namespace ctrd::ctr_oci
