// SPDX-License-Identifier: Apache-2.0
#include "devices/block/block_device.h"

#include "devices/block/block_in_flight.h"

#include "base/little_endian.h"

namespace fmvm {

namespace {

// 5.2.3
constexpr std::uint64_t feature_size_max = 1ULL << 1;
constexpr std::uint64_t feature_seg_max = 1ULL << 2;
constexpr std::uint64_t feature_read_only = 1ULL << 5;
constexpr std::uint64_t feature_block_size = 1ULL << 6;
constexpr std::uint64_t feature_flush = 1ULL << 9;
constexpr std::uint64_t feature_discard = 1ULL << 13;
constexpr std::uint64_t feature_write_zeroes = 1ULL << 14;

// 5.2.4: offsets in struct virtio_blk_config
constexpr std::size_t config_capacity = 0;
constexpr std::size_t config_size_max = 8;
constexpr std::size_t config_seg_max = 12;
constexpr std::size_t config_block_size = 20;
constexpr std::size_t config_max_discard_sectors = 36;
constexpr std::size_t config_max_discard_seg = 40;
constexpr std::size_t config_discard_alignment = 44;
constexpr std::size_t config_max_write_zeroes_sectors = 48;
constexpr std::size_t config_max_write_zeroes_seg = 52;
constexpr std::size_t config_write_zeroes_may_unmap = 56;

// Also of a zeroing. The guest cuts larger ones into pieces, which are carried out, logged and
// marked one by one, while other requests come between them.
constexpr std::uint64_t discard_bytes_max = 16 * mib;
constexpr std::uint32_t segment_bytes_max = 64 * kib;

VirtioBlkStatus to_virtio(BlockStatus status) {
    switch (status) {
        case BlockStatus::ok:
            return VirtioBlkStatus::ok;
        case BlockStatus::unsupported:
            return VirtioBlkStatus::unsupported;
        case BlockStatus::io_error:
            break;
    }
    return VirtioBlkStatus::io_error;
}

}  // namespace

BlockDevice::BlockDevice(GuestMemory& memory, EventLoop& loop,
                         std::unique_ptr<BlockBackend> backend, std::string serial)
    : memory_(memory), backend_(std::move(backend)), serial_(std::move(serial)) {
    FMVM_CHECK(serial_.size() <= block_id_size);
    limits_.capacity = backend_->capacity();
    limits_.block_size = backend_->block_size();
    limits_.read_only = backend_->read_only();
    limits_.segments_max = segments_max;
    limits_.transfer_bytes_max = std::uint64_t{segments_max} * segment_bytes_max;
    limits_.discard_bytes_max = discard_bytes_max;
    build_config();
    loop.add_poller(*this);
}

BlockDevice::~BlockDevice() {
    // The loop has stopped; what is still in flight is drained by the backend's destructor.
    for (auto& slot : slots_)
        slot->chain.abandon();
}

std::uint64_t BlockDevice::features() const {
    std::uint64_t features = virtio_f_version_1 | virtio_f_indirect_desc | virtio_f_event_idx |
                             feature_size_max | feature_seg_max | feature_block_size |
                             feature_flush;
    features |= limits_.read_only ? feature_read_only : feature_discard | feature_write_zeroes;
    return features;
}

void BlockDevice::build_config() {
    const auto max_sectors = static_cast<std::uint32_t>(discard_bytes_max / sector_size);
    store_le<std::uint64_t>(config_, config_capacity, limits_.capacity / sector_size);
    store_le<std::uint32_t>(config_, config_size_max, segment_bytes_max);
    store_le<std::uint32_t>(config_, config_seg_max, segments_max);
    store_le<std::uint32_t>(config_, config_block_size, limits_.block_size);
    store_le<std::uint32_t>(config_, config_max_discard_sectors, max_sectors);
    store_le<std::uint32_t>(config_, config_max_discard_seg, 1);
    store_le<std::uint32_t>(config_, config_discard_alignment,
                            static_cast<std::uint32_t>(limits_.block_size / sector_size));
    store_le<std::uint32_t>(config_, config_max_write_zeroes_sectors, max_sectors);
    store_le<std::uint32_t>(config_, config_max_write_zeroes_seg, 1);
    store_le<std::uint8_t>(config_, config_write_zeroes_may_unmap, 1);
}

void BlockDevice::activate(VirtioTransport& transport, std::uint64_t,
                           const std::vector<Virtqueue::State>& queues) {
    transport_ = &transport;
    if (!queues[0].layout.ready) return;
    queue_ = std::make_unique<DeviceQueue>(memory_, queues[0], DeviceQueue::Begin::fresh);
    make_slots();
    queue_notified(0);
}

void BlockDevice::make_slots() {
    while (slots_.size() < queue_size_max) {
        slots_.push_back(std::make_unique<InFlight>());
        free_slots_.push_back(slots_.back().get());
    }
}

std::vector<Virtqueue::State> BlockDevice::queue_states() const {
    if (!queue_) return {};
    return {queue_->state()};
}

void BlockDevice::queue_notified(std::size_t) {
    if (!queue_) return;
    process_queue();
    queue_->settle(*transport_);
}

bool BlockDevice::poll() {
    submit_restored();
    const bool completed = backend_->poll_completions();
    const bool started = queue_ && process_queue();
    if (queue_) queue_->settle(*transport_);
    return completed || started;
}

bool BlockDevice::prepare_to_sleep() {
    // With every slot taken there is nothing to be told: a completion will wake the loop.
    if (!queue_ || free_slots_.empty()) return false;
    return queue_->ask_for_notifications(*transport_);
}

// Takes waiting requests that a slot is free for, one ring's worth at most, so that a guest that
// refills its ring all the time leaves the loop to others in between.
bool BlockDevice::process_queue() {
    submit_restored();
    bool any = false;
    for (unsigned i = 0; i < queue_size_max && !free_slots_.empty(); ++i) {
        std::optional<DescriptorChain> chain = queue_->pop();
        if (!chain) break;
        start(std::move(*chain));
        any = true;
    }
    if (any) backend_->flush_submissions();
    return any;
}

void BlockDevice::start(DescriptorChain chain) {
    BlockRequest request;
    if (!parse_block_request(memory_, chain, limits_, request)) {
        chain.abandon();
        queue_->fail("a block request has no room for its status");
        return;
    }
    const GuestAddress status = request.status_address;
    if (auto* disk = std::get_if<DiskRequest>(&request.body)) {
        start_disk_request(std::move(chain), status, *disk);
    } else if (auto* identify = std::get_if<IdentifyRequest>(&request.body)) {
        std::array<std::uint8_t, block_id_size> id{};
        std::copy(serial_.begin(), serial_.end(), id.begin());
        ChainWriter writer(memory_, identify->data);
        const bool written = writer.write(id);
        finish(std::move(chain), status, written ? VirtioBlkStatus::ok : VirtioBlkStatus::io_error,
               written ? id.size() : 0);
    } else {
        finish(std::move(chain), status, std::get<RefusedRequest>(request.body).status, 0);
    }
}

bool BlockDevice::map_buffers(const Segments& segments, Buffers& buffers) const {
    buffers.clear();
    for (const Segment& segment : segments) {
        std::uint8_t* host = memory_.host_range(segment.address, segment.length);
        if (host == nullptr) return false;
        buffers.push_back({host, segment.length});
    }
    return true;
}

void BlockDevice::start_disk_request(DescriptorChain chain, GuestAddress status,
                                     DiskRequest& request) {
    InFlight& slot = *free_slots_.back();
    if (!map_buffers(request.data, slot.buffers)) {
        finish(std::move(chain), status, VirtioBlkStatus::io_error, 0);
        return;
    }
    backend_->submit(occupy_slot(std::move(chain), status, std::move(request)));
}

// The next free slot, whose buffers are mapped already.
BlockDevice::InFlight& BlockDevice::occupy_slot(DescriptorChain chain, GuestAddress status,
                                                DiskRequest request) {
    InFlight& slot = *free_slots_.back();
    free_slots_.pop_back();
    slot.op = request.op;
    slot.offset = request.offset;
    slot.length = request.length;
    slot.may_unmap = request.may_unmap;
    slot.owner = this;
    slot.busy = true;
    slot.sequence = next_sequence_++;
    slot.chain = std::move(chain);
    slot.status_address = status;
    slot.segments = std::move(request.data);
    return slot;
}

void BlockDevice::complete(BlockOperation& operation, BlockStatus status) {
    auto& slot = static_cast<InFlight&>(operation);
    std::uint64_t data_written = 0;
    if (operation.op == BlockOp::read) {
        // Even a failed read may have filled some of it.
        if (!std::exchange(slot.accounted, false)) {
            for (const Segment& segment : slot.segments)
                memory_.mark_dirty(segment.address, segment.length);
        }
        if (status == BlockStatus::ok) data_written = operation.length;
    }
    finish(std::move(slot.chain), slot.status_address, to_virtio(status), data_written);
    slot.busy = false;
    free_slots_.push_back(&slot);
    finish_reset_if_idle();
}

void BlockDevice::finish(DescriptorChain chain, GuestAddress status_address, VirtioBlkStatus status,
                         std::uint64_t data_written) {
    if (reset_done_) {  // the driver has taken its memory back
        chain.abandon();
        return;
    }
    FMVM_CHECK(memory_.write_object(status_address, status));
    queue_->push(std::move(chain), static_cast<std::uint32_t>(data_written + 1));
}

void BlockDevice::reset(std::function<void()> done) {
    submit_restored();
    reset_done_ = std::move(done);
    queue_.reset();
    // What a decorator holds may wait for what waits for this reset: a cut, for which vCPUs stop.
    backend_->withdraw();
    finish_reset_if_idle();
}

void BlockDevice::finish_reset_if_idle() {
    if (!reset_done_ || free_slots_.size() != slots_.size()) return;
    transport_ = nullptr;
    std::exchange(reset_done_, nullptr)();
}

}  // namespace fmvm
