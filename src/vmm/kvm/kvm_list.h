// SPDX-License-Identifier: Apache-2.0
// KVM's variable-length arguments (a header followed by entries) with storage that fits them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"

namespace fmvm {

// Header is a kvm struct that starts with a 32-bit count; Entry is what follows it.
template <typename Header, typename Entry>
class KvmList {
  public:
    explicit KvmList(std::size_t entries)
        : storage_((sizeof(Header) + entries * sizeof(Entry) + 7) / 8), capacity_(entries) {
        set_count(entries);
    }

    Header* get() { return reinterpret_cast<Header*>(storage_.data()); }
    std::size_t count() const { return *reinterpret_cast<const std::uint32_t*>(storage_.data()); }
    void set_count(std::size_t count) {
        FMVM_CHECK(count <= capacity_);
        *reinterpret_cast<std::uint32_t*>(storage_.data()) = static_cast<std::uint32_t>(count);
    }
    std::span<Entry> entries() {
        FMVM_CHECK(count() <= capacity_);
        auto* bytes = reinterpret_cast<std::byte*>(storage_.data());
        return {reinterpret_cast<Entry*>(bytes + sizeof(Header)), count()};
    }

  private:
    std::vector<std::uint64_t> storage_;  // 8-byte aligned
    std::size_t capacity_;
};

}  // namespace fmvm
