// SPDX-License-Identifier: Apache-2.0
// virtio-blk (virtio 1.2, 5.2): one queue, many requests in flight.
//
// A request is parsed into a value and handed to the backend as a BlockOperation. Only finish()
// ends it: it writes the status byte and returns the chain. Everything but the constant description
// belongs to the loop thread.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "devices/block/block_backend.h"
#include "devices/block/block_request.h"
#include "devices/virtio/device_queue.h"
#include "vmm/loop/event_loop.h"

namespace fmvm {

class BlockDevice : public VirtioDevice, public BlockOperationOwner, public Poller {
  public:
    // serial: at most block_id_size bytes. Memory, loop and backend outlive the device; the
    // backend is owned.
    BlockDevice(GuestMemory& memory, EventLoop& loop, std::unique_ptr<BlockBackend> backend,
                std::string serial);
    ~BlockDevice() override;

    std::uint32_t device_id() const override { return 2; }
    std::uint64_t features() const override;
    std::vector<std::uint16_t> queue_sizes() const override { return {queue_size_max}; }
    std::span<const std::uint8_t> config() const override { return config_; }
    std::string_view identity() const override { return serial_; }

    void activate(VirtioTransport& transport, std::uint64_t driver_features,
                  const std::vector<Virtqueue::State>& queues) override;
    void queue_notified(std::size_t index) override;
    void reset(std::function<void()> done) override;
    std::vector<Virtqueue::State> queue_states() const override;
    void save(ByteWriter& out) const override;
    void add_unsettled(PageSet& pages) const override;
    // While the loop stands: a request in flight may yet change these bytes of the disk.
    bool is_changing(std::uint64_t offset, std::uint64_t length) const;
    Result<Snapshottable::Apply> decode(VirtioTransport& transport, std::uint64_t driver_features,
                                        const std::vector<Virtqueue::State>& queues,
                                        ByteReader& in) override;

    void complete(BlockOperation& operation, BlockStatus status) override;

    bool poll() override;
    bool prepare_to_sleep() override;

    static constexpr std::uint16_t queue_size_max = 256;
    static constexpr std::uint32_t segments_max = 254;

  private:
    struct InFlight;
    struct SavedRequest;
    void build_config();
    bool process_queue();
    void start(DescriptorChain chain);
    void start_disk_request(DescriptorChain chain, GuestAddress status, DiskRequest& request);
    void finish(DescriptorChain chain, GuestAddress status_address, VirtioBlkStatus status,
                std::uint64_t data_written);
    bool map_buffers(const Segments& segments, Buffers& buffers) const;
    void finish_reset_if_idle();
    void make_slots();
    SavedRequest read_request(ByteReader& in) const;
    bool read_requests(ByteReader& in, const Virtqueue::State& queue,
                       std::vector<SavedRequest>& requests) const;
    void go_on(VirtioTransport& transport, const Virtqueue::State& queue,
               const std::vector<SavedRequest>& requests);
    InFlight& occupy_slot(DescriptorChain chain, GuestAddress status, DiskRequest request);
    void submit_restored();

    GuestMemory& memory_;
    std::unique_ptr<BlockBackend> backend_;
    const std::string serial_;
    BlockLimits limits_;
    std::array<std::uint8_t, 60> config_{};

    VirtioTransport* transport_ = nullptr;
    std::unique_ptr<DeviceQueue> queue_;
    std::vector<std::unique_ptr<InFlight>> slots_;
    std::vector<InFlight*> free_slots_;
    std::vector<InFlight*> restored_;  // in flight when the state was taken; to be submitted again
    std::uint64_t next_sequence_ = 0;
    std::function<void()> reset_done_;
};

}  // namespace fmvm
