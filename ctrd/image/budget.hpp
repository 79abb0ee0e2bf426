// How much more the store may hold: charged by whoever writes to it, before it is written.
#pragma once

#include "ctrd/base/result.hpp"

#include <atomic>
#include <cstdint>
#include <memory>

namespace ctrd::image {

class Budget {
public:
    explicit Budget(std::uint64_t bytes) : left_{bytes} {}

    /// Bytes that will be there for good: an error where they are too many, and the store is as it was.
    Result<void> charge(std::uint64_t bytes);
    /// Whether so many could come; nothing is taken.
    [[nodiscard]] Result<void> check(std::uint64_t bytes) const;

private:
    std::atomic<std::uint64_t> left_;
};

/// None: as much as the disk holds.
using BudgetRef = std::shared_ptr<Budget>;

inline Result<void> charge(const BudgetRef& budget, std::uint64_t bytes) {
    return budget ? budget->charge(bytes) : Result<void>{};
}

/// Bytes that the files below the store take on the disk, those of containers included. Each inode once.
Result<std::uint64_t> bytes_used(int store);

} // namespace ctrd::image
