// SPDX-License-Identifier: Apache-2.0
// A long array that begins as zeroes and takes memory only for what of it is written: for something
// about each page of a guest, of which most are never met.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <memory>
#include <type_traits>

#include "base/check.h"

namespace fmvm {

// All bytes zero must be a value of T.
template <typename T>
class ZeroArray {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  public:
    explicit ZeroArray(std::size_t size) : size_(size), items_(map(size), Unmap{size}) {}

    std::size_t size() const { return size_; }
    T& operator[](std::size_t index) { return items_.get()[index]; }
    const T& operator[](std::size_t index) const { return items_.get()[index]; }

  private:
    struct Unmap {
        std::size_t size;
        void operator()(T* items) const { ::munmap(items, size * sizeof(T)); }
    };
    static T* map(std::size_t size) {
        if (size == 0) return nullptr;
        void* const items = ::mmap(nullptr, size * sizeof(T), PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        FMVM_CHECK(items != MAP_FAILED);  // as for a vector: there is no address space left
        return static_cast<T*>(items);
    }

    std::size_t size_;
    std::unique_ptr<T, Unmap> items_;
};

}  // namespace fmvm
