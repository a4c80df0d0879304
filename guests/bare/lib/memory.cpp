// SPDX-License-Identifier: Apache-2.0
#include "memory.h"

namespace {

// In a loop that the compiler would otherwise replace by a call of the very function around it.
inline void keep_the_loop() {
    asm volatile("");
}

}  // namespace

extern "C" {

void* memcpy(void* to, const void* from, size_t size) {
    bare::copy(to, from, size);
    return to;
}

void* memset(void* to, int value, size_t size) {
    bare::fill(to, static_cast<uint8_t>(value), size);
    return to;
}

void* memmove(void* to, const void* from, size_t size) {
    auto* target = static_cast<uint8_t*>(to);
    const auto* source = static_cast<const uint8_t*>(from);
    if (target < source) {
        bare::copy(to, from, size);
    } else {
        while (size-- > 0)
            target[size] = source[size];
    }
    return to;
}

int memcmp(const void* left, const void* right, size_t size) {
    const auto* a = static_cast<const uint8_t*>(left);
    const auto* b = static_cast<const uint8_t*>(right);
    for (size_t i = 0; i < size; ++i) {
        if (a[i] != b[i]) return a[i] - b[i];
    }
    return 0;
}

size_t strlen(const char* text) {
    size_t length = 0;
    while (text[length] != 0) {
        keep_the_loop();
        ++length;
    }
    return length;
}

void* memchr(const void* where, int value, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(where);
    for (size_t i = 0; i < size; ++i) {
        if (bytes[i] == static_cast<uint8_t>(value)) return const_cast<uint8_t*>(bytes + i);
    }
    return nullptr;
}

}  // extern "C"
