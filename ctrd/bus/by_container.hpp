// What ctrd attends to for each container that runs, such as its terminal. One that has ended stays until it has
// nothing left to do.
#pragma once

#include "ctrd/bus/log.hpp"

#include <list>
#include <map>
#include <memory>
#include <string>

namespace ctrd::bus {

template <class T> class ByContainer {
public:
    ByContainer() = default;
    ByContainer(const ByContainer&) = delete;
    ByContainer& operator=(const ByContainer&) = delete;

    /// What `make` makes, given what the new one has to call when it may be destroyed. It takes the place of an earlier
    /// run's.
    template <class Make> void add(const std::string& container, Make make) {
        end(container);
        auto slot = std::make_shared<T*>(nullptr);
        Result<std::unique_ptr<T>> made =
            make([this, slot] { ending_.remove_if([&](const auto& one) { return one.get() == *slot; }); });
        if (!made)
            return log_warning(std::move(made).context("container '" + container + "'").error());
        *slot = made->get();
        by_name_.insert_or_assign(container, *std::move(made));
    }

    /// The container has ended.
    void end(const std::string& container) {
        auto known = by_name_.extract(container);
        if (!known)
            return;
        T& one = *known.mapped();
        ending_.push_back(std::move(known.mapped()));
        one.end();
    }

    [[nodiscard]] bool has(const std::string& container) const { return by_name_.contains(container); }
    T& at(const std::string& container) { return *by_name_.at(container); }

private:
    std::map<std::string, std::unique_ptr<T>> by_name_{};
    std::list<std::unique_ptr<T>> ending_{};
};

} // namespace ctrd::bus
