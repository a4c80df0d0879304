// SPDX-License-Identifier: Apache-2.0
#include "virtqueue.h"

#include "boot_info.h"
#include "memory.h"

namespace bare {
namespace {

constexpr uint16_t kNoInterrupt = 1;  // avail flags
constexpr uint16_t kNoNotify = 1;     // used flags

// x86 keeps loads and stores in order but for a store followed by a load (SDM vol. 3, 8.2.3.4).
inline void order_by_compiler() {
    asm volatile("" : : : "memory");
}
inline void order_store_before_load() {
    asm volatile("mfence" : : : "memory");
}

}  // namespace

Virtqueue::Virtqueue(uint16_t size, bool event_index) : size_(size), event_index_(event_index) {
    descriptors_ = allocate<Descriptor>(size);
    avail_ = allocate<volatile uint16_t>(3 + size_t{size});
    used_ = allocate<volatile uint16_t>(3 + 4 * size_t{size});
    fill(descriptors_, 0, size * sizeof(Descriptor));
    fill(const_cast<uint16_t*>(avail_), 0, (3 + size_t{size}) * 2);
    fill(const_cast<uint16_t*>(used_), 0, (3 + 4 * size_t{size}) * 2);
    disarm_interrupt();
}

void Virtqueue::push(uint16_t head) {
    avail_[2 + pushed_ % size_] = head;
    ++pushed_;
}

bool Virtqueue::publish() {
    if (pushed_ == published_) return false;
    order_by_compiler();
    avail_index() = pushed_;
    const uint16_t before = published_;
    published_ = pushed_;
    order_store_before_load();
    if (!event_index_) return !(used_flags() & kNoNotify);
    // 2.7.10: the device wants to hear of the entry at avail_event.
    return static_cast<uint16_t>(pushed_ - avail_event() - 1) <
           static_cast<uint16_t>(pushed_ - before);
}

bool Virtqueue::has_used() const {
    return used_index() != popped_;
}

std::optional<UsedElement> Virtqueue::pop() {
    if (!has_used()) return std::nullopt;
    order_by_compiler();
    const volatile uint16_t* element = used_ + 2 + 4 * (popped_ % size_);
    ++popped_;
    return UsedElement{element[0] | uint32_t{element[1]} << 16,
                       element[2] | uint32_t{element[3]} << 16};
}

bool Virtqueue::arm_interrupt() {
    if (event_index_) {
        used_event() = popped_;
    } else {
        avail_flags() = 0;
    }
    order_store_before_load();
    return !has_used();
}

// With event index: an event 32K entries away from now never comes before the next arm_interrupt().
void Virtqueue::disarm_interrupt() {
    if (event_index_) {
        used_event() = static_cast<uint16_t>(popped_ + 0x8000);
    } else {
        avail_flags() = kNoInterrupt;
    }
}

}  // namespace bare
