// SPDX-License-Identifier: Apache-2.0
// Little-endian loads and stores on byte buffers: the only way bytes from outside become numbers.
// The caller has checked that the buffer is long enough (FMVM_CHECK guards it).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/check.h"

namespace fmvm {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fmvm runs on x86-64 only");

template <typename T>
T load_le(std::span<const std::uint8_t> bytes, std::size_t offset = 0) {
    static_assert(std::is_integral_v<T>);
    FMVM_CHECK(sizeof(T) <= bytes.size() && offset <= bytes.size() - sizeof(T));
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

template <typename T>
void store_le(std::span<std::uint8_t> bytes, std::size_t offset, T value) {
    static_assert(std::is_integral_v<T>);
    FMVM_CHECK(sizeof(T) <= bytes.size() && offset <= bytes.size() - sizeof(T));
    std::memcpy(bytes.data() + offset, &value, sizeof value);
}

}  // namespace fmvm
