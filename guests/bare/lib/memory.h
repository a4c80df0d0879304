// SPDX-License-Identifier: Apache-2.0
// Copying and filling; memory.cpp also holds the C functions that the compiler calls by itself.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bare {

inline void copy(void* to, const void* from, size_t size) {
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

inline void fill(void* to, uint8_t value, size_t size) {
    asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
}

}  // namespace bare
