// SPDX-License-Identifier: Apache-2.0
// Something that happens at most once, such as a guest's end, and is remembered until somebody
// asks: whoever listens from a later phase on misses nothing.
//
// Threads: one.
#pragma once

#include <functional>
#include <optional>
#include <utility>

namespace fmvm::node {

template <typename T>
class Occurrence {
  public:
    // Only the first time counts.
    void happen(T value) {
        if (value_) return;
        value_ = std::move(value);
        if (listener_) listener_(*value_);
    }
    // `listener` takes the place of the one before. It is called when this happens, or at once if
    // it has happened.
    void listen(std::function<void(const T&)> listener) {
        listener_ = std::move(listener);
        if (value_ && listener_) listener_(*value_);
    }
    void stop_listening() { listener_ = nullptr; }
    // Nothing before it happens.
    const std::optional<T>& value() const { return value_; }

  private:
    std::optional<T> value_;
    std::function<void(const T&)> listener_;
};

}  // namespace fmvm::node
