// SPDX-License-Identifier: Apache-2.0
// Bytes that are about to be overwritten as a whole: a vector that does not zero what it grows by.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace fmvm {

template <typename T>
struct UninitialisedAllocator : std::allocator<T> {
    template <typename U>
    struct rebind {
        using other = UninitialisedAllocator<U>;
    };
    template <typename U>
    void construct(U* place) {
        ::new (static_cast<void*>(place)) U;
    }
    template <typename U, typename... Arguments>
    void construct(U* place, Arguments&&... arguments) {
        ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
    }
};

using Buffer = std::vector<std::uint8_t, UninitialisedAllocator<std::uint8_t>>;

}  // namespace fmvm
