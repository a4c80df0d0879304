// SPDX-License-Identifier: Apache-2.0
// The state of a BlockDevice: its requests in flight, in the order in which they were taken. The
// device that goes on submits them again. Nobody knows how far the first device's disk came, and to
// read or write the same once more changes nothing.
#include <algorithm>

#include "devices/block/block_in_flight.h"

namespace fmvm {

namespace {

constexpr std::size_t segment_bytes = 8 + 4;
constexpr std::size_t request_bytes_min = 1 + 8 + 8 + 1 + 2 + 8 + 4;

}  // namespace

struct BlockDevice::SavedRequest {
    std::uint16_t head = 0;
    GuestAddress status;
    DiskRequest request;
};

void BlockDevice::save(ByteWriter& out) const {
    std::vector<const InFlight*> requests;
    for (const auto& slot : slots_) {
        if (slot->busy) requests.push_back(slot.get());
    }
    std::ranges::sort(requests, {}, &InFlight::sequence);
    out.u32(static_cast<std::uint32_t>(requests.size()));
    for (const InFlight* request : requests) {
        out.u8(static_cast<std::uint8_t>(request->op));
        out.u64(request->offset);
        out.u64(request->length);
        out.flag(request->may_unmap);
        out.u16(request->chain.head());
        out.u64(request->status_address.value());
        out.u32(static_cast<std::uint32_t>(request->segments.size()));
        for (const Segment& segment : request->segments) {
            out.u64(segment.address.value());
            out.u32(segment.length);
        }
    }
}

void BlockDevice::add_unsettled(PageSet& pages) const {
    for (const auto& slot : slots_) {
        if (!slot->busy || slot->op != BlockOp::read) continue;
        for (const Segment& segment : slot->segments)
            memory_.add_pages(segment.address, segment.length, pages);
    }
}

bool BlockDevice::is_changing(std::uint64_t offset, std::uint64_t length) const {
    return std::ranges::any_of(slots_, [&](const auto& slot) {
        return slot->busy && changes_disk(slot->op) && slot->offset < offset + length &&
               offset < slot->offset + slot->length;
    });
}

BlockDevice::SavedRequest BlockDevice::read_request(ByteReader& in) const {
    SavedRequest saved;
    const std::uint8_t op = in.u8();
    if (op > static_cast<std::uint8_t>(BlockOp::write_zeroes)) in.fail();
    saved.request.op = static_cast<BlockOp>(op);
    saved.request.offset = in.u64();
    saved.request.length = in.u64();
    saved.request.may_unmap = in.flag();
    saved.head = in.u16();
    saved.status = GuestAddress(in.u64());
    saved.request.data.resize(in.count(segment_bytes));
    for (Segment& segment : saved.request.data) {
        segment.address = GuestAddress(in.u64());
        segment.length = in.u32();
    }
    return saved;
}

bool BlockDevice::read_requests(ByteReader& in, const Virtqueue::State& queue,
                                std::vector<SavedRequest>& requests) const {
    BitSet<std::uint16_t> heads(queue.layout.size);
    requests.resize(in.count(request_bytes_min));
    for (SavedRequest& saved : requests) {
        saved = read_request(in);
        if (!in.ok() || saved.head >= queue.layout.size || heads.contains(saved.head)) return false;
        heads.insert(saved.head);
        if (!memory_.contains(saved.status, 1) || !is_possible(saved.request, memory_, limits_))
            return false;
    }
    // What was taken and not returned is in flight; a broken queue may have dropped one.
    const auto taken = static_cast<std::uint16_t>(queue.next_available - queue.next_used);
    return in.done() && (queue.broken || requests.size() == taken);
}

Result<Snapshottable::Apply> BlockDevice::decode(VirtioTransport& transport, std::uint64_t,
                                                 const std::vector<Virtqueue::State>& queues,
                                                 ByteReader& in) {
    const Virtqueue::State& queue = queues[0];
    std::vector<SavedRequest> requests;
    if (!queue.layout.ready || !read_requests(in, queue, requests))
        return Error("its requests in flight are malformed");
    return Snapshottable::Apply([this, &transport, queue, requests = std::move(requests)] {
        go_on(transport, queue, requests);
    });
}

// Where another device stopped.
void BlockDevice::go_on(VirtioTransport& transport, const Virtqueue::State& queue,
                        const std::vector<SavedRequest>& requests) {
    transport_ = &transport;
    // The driver may still have to hear of requests returned just before the state was taken.
    queue_ = std::make_unique<DeviceQueue>(memory_, queue, DeviceQueue::Begin::restored);
    make_slots();
    for (const SavedRequest& saved : requests) {
        FMVM_CHECK(map_buffers(saved.request.data, free_slots_.back()->buffers));
        restored_.push_back(
            &occupy_slot(queue_->take_back(saved.head), saved.status, saved.request));
    }
    transport.notify_again(0);
}

// They came first: this runs before any new request is taken.
void BlockDevice::submit_restored() {
    if (restored_.empty()) return;
    for (InFlight* request : std::exchange(restored_, {}))
        backend_->submit(*request);
    backend_->flush_submissions();
}

}  // namespace fmvm
