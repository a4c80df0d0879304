// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/virtqueue.h"

#include <atomic>

namespace fmvm {

// virtio 1.2, 2.7.5.
struct Virtqueue::Descriptor {
    std::uint64_t address;
    std::uint32_t length;
    std::uint16_t flags;
    std::uint16_t next;
};

namespace {

constexpr std::uint16_t flag_next = 1;
constexpr std::uint16_t flag_write = 2;
constexpr std::uint16_t flag_indirect = 4;
constexpr std::uint64_t descriptor_size = 16;

constexpr std::uint16_t available_no_interrupt = 1;  // 2.7.6
constexpr std::uint16_t used_no_notify = 1;          // 2.7.8

// Offsets inside the rings: flags, idx, then the entries, then the event field of the other side.
constexpr std::uint64_t ring_index = 2;
constexpr std::uint64_t ring_entries = 4;
constexpr std::uint64_t available_entry = 2;
constexpr std::uint64_t used_entry = 8;

// 2.7.7.2: has `index` moved past `event` since it was `old`? All modulo 2^16.
bool passed_event(std::uint16_t event, std::uint16_t index, std::uint16_t old) {
    return static_cast<std::uint16_t>(index - event - 1) < static_cast<std::uint16_t>(index - old);
}

}  // namespace

Virtqueue::Virtqueue(GuestMemory& memory, const State& state)
    : memory_(memory), state_(state), taken_(state.layout.size) {
    if (state.broken) broken_reason_ = "a queue was broken already when its state was taken";
}

bool Virtqueue::fail(const char* reason) {
    state_.broken = true;
    broken_reason_ = reason;
    return false;
}

bool Virtqueue::has_available() {
    if (state_.broken) return false;
    std::uint16_t index = 0;
    if (!memory_.load_acquire(state_.layout.available + ring_index, index)) {
        return fail("the available ring is not in guest memory");
    }
    const auto waiting = static_cast<std::uint16_t>(index - state_.next_available);
    if (waiting > state_.layout.size) return fail("the available index jumped");
    return waiting != 0;
}

std::optional<DescriptorChain> Virtqueue::pop() {
    if (!has_available()) return std::nullopt;
    const std::uint64_t slot = state_.next_available % state_.layout.size;
    std::uint16_t head = 0;
    if (!memory_.read_object(state_.layout.available + ring_entries + slot * available_entry,
                             head)) {
        fail("the available ring is not in guest memory");
        return std::nullopt;
    }
    DescriptorChain chain(head);
    if (!collect(head, chain) || !take(head)) {
        chain.abandon();
        return std::nullopt;
    }
    ++state_.next_available;
    return chain;
}

// A driver reuses a head only after the device has returned its chain.
bool Virtqueue::take(std::uint16_t head) {
    if (taken_.contains(head)) return fail("a chain was offered again before it was returned");
    taken_.insert(head);
    return true;
}

DescriptorChain Virtqueue::take_back(std::uint16_t head) {
    FMVM_CHECK(head < state_.layout.size && !taken_.contains(head));
    taken_.insert(head);
    return DescriptorChain(head);
}

bool Virtqueue::read_descriptor(const Table& table, std::uint32_t index, Descriptor& out) {
    if (index >= table.count) return fail("a descriptor index is outside its table");
    if (!memory_.read_object(table.address + index * descriptor_size, out)) {
        return fail("a descriptor table is not in guest memory");
    }
    return true;
}

bool Virtqueue::collect(std::uint16_t head, DescriptorChain& chain) {
    Table table{state_.layout.descriptors, state_.layout.size};
    bool in_indirect = false;
    std::uint32_t index = head;
    for (std::uint32_t seen = 0; seen < chain_length_max; ++seen) {
        Descriptor descriptor{};
        if (!read_descriptor(table, index, descriptor)) return false;
        if ((descriptor.flags & flag_indirect) != 0) {
            if (in_indirect) return fail("an indirect table holds an indirect descriptor");
            if ((descriptor.flags & flag_next) != 0) {
                return fail("an indirect descriptor has a successor");
            }
            if (!open_indirect(descriptor, table)) return false;
            in_indirect = true;
            index = 0;
            continue;
        }
        if (!append(descriptor, chain)) return false;
        if ((descriptor.flags & flag_next) == 0) return true;
        index = descriptor.next;
    }
    return fail("a descriptor chain is too long or loops");
}

bool Virtqueue::open_indirect(const Descriptor& descriptor, Table& table) {
    if (!state_.indirect) return fail("an indirect descriptor was not negotiated");
    if (descriptor.length == 0 || descriptor.length % descriptor_size != 0) {
        return fail("an indirect table has an odd length");
    }
    table.address = GuestAddress(descriptor.address);
    table.count = static_cast<std::uint32_t>(descriptor.length / descriptor_size);
    if (!memory_.contains(table.address, descriptor.length)) {
        return fail("an indirect table is not in guest memory");
    }
    return true;
}

bool Virtqueue::append(const Descriptor& descriptor, DescriptorChain& chain) {
    const bool writable = (descriptor.flags & flag_write) != 0;
    if (!writable && !chain.writable.empty()) {
        return fail("a readable buffer follows a writable one");
    }
    if (descriptor.length == 0) return fail("a buffer is empty");
    const GuestAddress address(descriptor.address);
    if (!memory_.contains(address, descriptor.length)) {
        return fail("a buffer is not in guest memory");
    }
    (writable ? chain.writable : chain.readable).push_back({address, descriptor.length});
    return true;
}

void Virtqueue::push(DescriptorChain chain, std::uint32_t written) {
    chain.owned_ = false;
    taken_.erase(chain.head_);
    if (state_.broken) return;
    const std::uint64_t slot = state_.next_used % state_.layout.size;
    const std::uint32_t element[2] = {chain.head_, written};
    ++state_.next_used;
    if (!memory_.write_object(state_.layout.used + ring_entries + slot * used_entry, element) ||
        !memory_.store_release(state_.layout.used + ring_index, state_.next_used)) {
        fail("the used ring is not in guest memory");
    }
}

bool Virtqueue::needs_interrupt() {
    if (state_.broken) return false;
    // The driver's wish must be read after it can see the index (2.7.7.2: memory barrier).
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!state_.event_index) {
        std::uint16_t flags = 0;
        if (!memory_.load_acquire(state_.layout.available, flags)) {
            return fail("the available ring is not in guest memory");
        }
        return (flags & available_no_interrupt) == 0;
    }
    std::uint16_t used_event = 0;
    const GuestAddress field =
        state_.layout.available + ring_entries + state_.layout.size * available_entry;
    if (!memory_.load_acquire(field, used_event)) {
        return fail("the available ring is not in guest memory");
    }
    const bool wanted = !state_.signalled_valid ||
                        passed_event(used_event, state_.next_used, state_.signalled_used);
    state_.signalled_used = state_.next_used;
    state_.signalled_valid = true;
    return wanted;
}

bool Virtqueue::enable_notifications() {
    if (state_.broken) return false;
    const QueueLayout& layout = state_.layout;
    const bool written =
        state_.event_index
            ? memory_.store_release(layout.used + ring_entries + layout.size * used_entry,
                                    state_.next_available)
            : memory_.store_release(layout.used, 0);
    if (!written) return fail("the used ring is not in guest memory");
    // The wish must be visible before the index is looked at again, else a request could be missed.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return has_available();
}

void Virtqueue::disable_notifications() {
    // With the event index, an old avail_event stays behind the index and asks for nothing.
    if (state_.broken || state_.event_index) return;
    if (!memory_.store_release(state_.layout.used, used_no_notify)) {
        fail("the used ring is not in guest memory");
    }
}

}  // namespace fmvm
