// SPDX-License-Identifier: Apache-2.0
// Host memory for unpacking a kernel: address space is reserved at once for the largest result,
// pages appear as they are written, and all of them go back to the host at the end. So the size an
// image claims to have is never needed, and nothing stays with the process once the guest runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/result.h"

namespace fmvm::boot {

class ScratchBuffer {
  public:
    static Result<ScratchBuffer> reserve(std::size_t size);

    ScratchBuffer(ScratchBuffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
    ScratchBuffer& operator=(ScratchBuffer&&) = delete;
    ~ScratchBuffer();

    std::span<std::uint8_t> bytes() { return {data_, size_}; }

  private:
    ScratchBuffer(std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

    std::uint8_t* data_;
    std::size_t size_;
};

}  // namespace fmvm::boot
