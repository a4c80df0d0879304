// SPDX-License-Identifier: Apache-2.0
#include "support/fake_driver.h"

namespace fmvm::test {

namespace {

constexpr std::uint64_t descriptor_size = 16;
constexpr std::uint64_t used_size = 8;

FakeQueue::Places fresh_places(GuestRam& ram, std::uint16_t size) {
    return {ram.take(size * descriptor_size, 16), ram.take(6 + size * 2ULL, 2),
            ram.take(6 + size * used_size, 4)};
}

}  // namespace

FakeQueue::FakeQueue(GuestRam& ram, std::uint16_t size)
    : FakeQueue(ram, size, fresh_places(ram, size)) {}

FakeQueue::FakeQueue(GuestRam& ram, std::uint16_t size, const Places& places)
    : ram_(ram), size_(size), places_(places) {}

QueueLayout FakeQueue::layout() const {
    return {size_, true, places_.descriptors, places_.available, places_.used};
}

ChainBuilder FakeQueue::chain() {
    return ChainBuilder(*this);
}

void FakeQueue::publish(std::uint16_t head) {
    set_available_entry(next_available_ % size_, head);
    set_available_index(static_cast<std::uint16_t>(next_available_ + 1));
}

void FakeQueue::start_at(std::uint16_t index) {
    set_available_index(index);
    next_used_ = index;
    ram_.poke_release(places_.used + 2, index);
}

std::vector<UsedElement> FakeQueue::take_used() {
    std::vector<UsedElement> elements;
    const std::uint16_t end = used_index();
    for (; next_used_ != end; ++next_used_) {
        const std::uint64_t slot = next_used_ % size_;
        elements.push_back(ram_.peek<UsedElement>(places_.used + 4 + slot * used_size));
    }
    return elements;
}

// 2.7.10.1: without the event index a flag, with it whether avail_event lies among the new ones.
bool FakeQueue::notification_wanted(std::uint16_t old, bool event_index) const {
    if (!event_index) return (used_flags() & 1) == 0;
    const auto published = static_cast<std::uint16_t>(next_available_ - old);
    return static_cast<std::uint16_t>(available_event() - old) < published;
}

void FakeQueue::set_descriptor(std::uint16_t index, const FakeDescriptor& descriptor) {
    ram_.poke(places_.descriptors + index * descriptor_size, descriptor);
}

void FakeQueue::set_available_entry(std::uint16_t slot, std::uint16_t head) {
    ram_.poke(places_.available + 4 + slot * 2ULL, head);
}

void FakeQueue::set_available_index(std::uint16_t index) {
    next_available_ = index;
    ram_.poke_release(places_.available + 2, index);
}

ChainBuilder& ChainBuilder::readable(std::span<const std::uint8_t> bytes) {
    const GuestAddress address = queue_.ram().take(bytes.size());
    queue_.ram().poke_bytes(address, bytes);
    return readable_at(address, static_cast<std::uint32_t>(bytes.size()));
}

ChainBuilder& ChainBuilder::readable_at(GuestAddress address, std::uint32_t length) {
    parts_.push_back({address.value(), length, 0, 0});
    return *this;
}

ChainBuilder& ChainBuilder::writable(std::uint32_t length) {
    return writable_at(queue_.ram().take(length), length);
}

ChainBuilder& ChainBuilder::writable_at(GuestAddress address, std::uint32_t length) {
    parts_.push_back({address.value(), length, desc_write, 0});
    return *this;
}

ChainBuilder& ChainBuilder::indirect_at(GuestAddress table) {
    const std::uint32_t length = table_size();
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        if (i + 1 < parts_.size()) {
            parts_[i].flags |= desc_next;
            parts_[i].next = static_cast<std::uint16_t>(i + 1);
        }
        queue_.ram().poke(table + i * descriptor_size, parts_[i]);
    }
    parts_ = {{table.value(), length, desc_indirect, 0}};
    return *this;
}

std::uint16_t ChainBuilder::build() {
    FMVM_CHECK(!parts_.empty());
    const std::uint16_t head = queue_.take_descriptor();
    std::uint16_t index = head;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        std::uint16_t next = 0;
        if (i + 1 < parts_.size()) {
            next = queue_.take_descriptor();
            parts_[i].flags |= desc_next;
            parts_[i].next = next;
        }
        queue_.set_descriptor(index, parts_[i]);
        index = next;
    }
    return head;
}

std::uint16_t ChainBuilder::submit() {
    const std::uint16_t head = build();
    queue_.publish(head);
    return head;
}

std::uint32_t TransportDriver::get(std::uint64_t offset) const {
    std::uint32_t value = 0;
    registers_.read(offset, {reinterpret_cast<std::uint8_t*>(&value), sizeof value});
    return value;
}

void TransportDriver::set(std::uint64_t offset, std::uint32_t value) {
    registers_.write(offset, {reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
}

std::uint64_t TransportDriver::device_features() {
    set(device_features_select, 0);
    const std::uint64_t low = get(device_features_word);
    set(device_features_select, 1);
    return low | std::uint64_t{get(device_features_word)} << 32;
}

void TransportDriver::set_driver_features(std::uint64_t features) {
    set(driver_features_select, 0);
    set(driver_features_word, static_cast<std::uint32_t>(features));
    set(driver_features_select, 1);
    set(driver_features_word, static_cast<std::uint32_t>(features >> 32));
}

void TransportDriver::set_address(std::uint64_t offset, GuestAddress address) {
    set(offset, static_cast<std::uint32_t>(address.value()));
    set(offset + 4, static_cast<std::uint32_t>(address.value() >> 32));
}

void TransportDriver::set_queue(std::uint32_t index, const QueueLayout& layout) {
    set(queue_select, index);
    set(queue_size, layout.size);
    set_address(queue_descriptors, layout.descriptors);
    set_address(queue_driver, layout.available);
    set_address(queue_device, layout.used);
    set(queue_ready, layout.ready ? 1 : 0);
}

bool TransportDriver::initialise(std::uint64_t features, const std::vector<QueueLayout>& queues) {
    reset();
    return start(features, queues);
}

bool TransportDriver::start(std::uint64_t features, const std::vector<QueueLayout>& queues) {
    add_status(acknowledge);
    add_status(driver);
    set_driver_features(features);
    add_status(features_ok);
    if ((status() & features_ok) == 0) return false;
    for (std::uint32_t i = 0; i < queues.size(); ++i)
        set_queue(i, queues[i]);
    add_status(driver_ok);
    return (status() & driver_ok) != 0;
}

}  // namespace fmvm::test
