// SPDX-License-Identifier: Apache-2.0
// A guest that does anything at all to a virtio-blk device: queue contents, registers,
// notifications, resets, with a disk that answers when and how it likes. Mostly valid with rare
// breaks, because plain random bytes end at the first broken chain.
//
// What must hold all the time:
//  - every byte of guest RAM that changes while the guest stands still is in a page marked dirty;
//  - a read-only disk never changes;
//  - as long as the guest leaves its rings alone, a chain is returned only once it was made
//    available, once, and in the end all are, and a device that sleeps has asked to be woken;
// and whatever happened, after a reset the device works again: it can stop only itself.
#include <fuzzer/FuzzedDataProvider.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <map>
#include <thread>

#include "base/log.h"
#include "devices/block/block_device.h"
#include "devices/virtio/mmio_transport.h"
#include "support/block_driver.h"
#include "support/fake_lines.h"
#include "support/faulty_backend.h"
#include "watched_ram.h"

namespace {

using namespace fmvm;
using namespace fmvm::test;
using Driver = TransportDriver;

constexpr std::uint64_t ram_size = 64 * kib;
constexpr std::uint64_t disk_size = 64 * kib;
constexpr GuestAddress rings_end{5 * page_size};  // rings below, request buffers from here on
constexpr std::uint64_t request_bytes_max = 8 * kib;
constexpr unsigned resets_max = 3;  // each costs a thread
constexpr unsigned steps_max = 200;

class Session {
  public:
    explicit Session(FuzzedDataProvider& input)
        : input_(input),
          read_only_(rarely()),
          image_(std::make_shared<Bytes>(disk_size, std::uint8_t{0x11})),
          device_(ram_.memory(), loop_, make_backend(), "fuzz"),
          transport_(MmioTransport::create("fuzz", loop_, device_, irq_).value()),
          driver_(*transport_) {}

    void run() {
        initialise();
        for (unsigned i = 0; i < steps_max && input_.remaining_bytes() != 0; ++i)
            step();
        finish_all();
        FMVM_CHECK(tampered_ || !live_ || outstanding_.empty());
        FMVM_CHECK(tampered_ || (driver_.status() & Driver::needs_reset) == 0);
        check_recovery();
        FMVM_CHECK(!read_only_ || *image_ == Bytes(disk_size, 0x11));
    }

  private:
    bool rarely() { return input_.ConsumeIntegral<std::uint8_t>() < 8; }
    std::uint16_t below(std::uint16_t limit) {
        return input_.ConsumeIntegralInRange<std::uint16_t>(0,
                                                            static_cast<std::uint16_t>(limit - 1));
    }
    // Mostly somewhere in RAM.
    GuestAddress address() {
        if (rarely()) return GuestAddress(input_.ConsumeIntegral<std::uint64_t>());
        return GuestAddress(input_.ConsumeIntegralInRange<std::uint64_t>(0, ram_size));
    }

    std::unique_ptr<BlockBackend> make_backend() {
        MemoryBackend::Options options;
        options.block_size = rarely() ? 4096 : 512;
        options.read_only = read_only_;
        auto backend =
            std::make_unique<FaultyBackend>(std::make_unique<MemoryBackend>(image_, options));
        backend_ = backend.get();
        return backend;
    }

    // The loop's work, on this thread, until there is none. The guest stands still meanwhile.
    void pump() {
        watched_.begin();
        do {
            do {
                loop_.context().restart();
            } while (loop_.context().poll() != 0 || device_.poll());
        } while (device_.prepare_to_sleep());
        watched_.check();
        collect_used();
        FMVM_CHECK(tampered_ || !live_ || wants_to_be_woken());
    }
    bool wants_to_be_woken() const {
        if ((features_ & virtio_f_event_idx) == 0) return (queue_->used_flags() & 1) == 0;
        return queue_->available_event() == queue_->available_index();
    }
    void collect_used() {
        if (!queue_) return;
        const std::vector<UsedElement> used = queue_->take_used();
        if (tampered_) return;
        for (const UsedElement& element : used) {
            const auto request = outstanding_.find(static_cast<std::uint16_t>(element.head));
            FMVM_CHECK(request != outstanding_.end());
            FMVM_CHECK(ram_.peek<std::uint8_t>(request->second) <= blk_unsupported);
            FMVM_CHECK(element.written >= 1);
            outstanding_.erase(request);
        }
    }

    void initialise() {
        const auto size = static_cast<std::uint16_t>(1U << input_.ConsumeIntegralInRange(2, 6));
        FakeQueue::Places places{GuestAddress(page_size), GuestAddress(2 * page_size),
                                 GuestAddress(3 * page_size)};
        if (rarely()) {
            (input_.ConsumeBool()   ? places.descriptors
             : input_.ConsumeBool() ? places.available
                                    : places.used) = address();
            tampered_ = true;
        }
        // The rings begin empty, as a driver leaves them.
        ram_.poke_bytes(GuestAddress(0), Bytes(rings_end.value()));
        queue_.emplace(ram_, size, places);
        features_ = virtio_f_version_1 | (input_.ConsumeBool() ? virtio_f_indirect_desc : 0) |
                    (input_.ConsumeBool() ? virtio_f_event_idx : 0);
        if (rarely()) features_ ^= 1ULL << input_.ConsumeIntegralInRange(0, 63);
        outstanding_.clear();
        next_buffer_ = rings_end;
        live_ = driver_.start(features_, {queue_->layout()});
    }

    void step() {
        switch (input_.ConsumeIntegralInRange(0, 9)) {
            case 0:
            case 1:
            case 2:
                submit_request();
                break;
            case 3:
                driver_.notify(rarely() ? input_.ConsumeIntegral<std::uint32_t>() : 0);
                pump();
                break;
            case 4:
                backend_->hold(input_.ConsumeBool());
                break;
            case 5:
                release_some();
                break;
            case 6:
                pump();
                break;
            case 7:
                touch_registers();
                break;
            case 8:
                if (rarely()) reset_and_initialise();
                break;
            case 9:
                if (rarely()) tamper();
                break;
        }
    }

    GuestAddress take_buffer(std::uint32_t length) {
        const GuestAddress buffer = next_buffer_;
        next_buffer_ = next_buffer_ + length;
        return buffer;
    }
    // Room for one more request, in buffers and descriptors; none while a device that is not live
    // or broken keeps all it was given.
    bool make_room() {
        if (ram_size - next_buffer_.value() < request_bytes_max) {
            finish_all();
            next_buffer_ = rings_end;
            if (!outstanding_.empty()) return false;
        }
        if (outstanding_.contains(queue_->next_descriptor())) {
            queue_->take_descriptor();
            return false;
        }
        return outstanding_.size() * 8 < queue_->layout().size;
    }

    // A request as a driver makes it, but for a rare field.
    void submit_request() {
        if (!make_room()) return;
        constexpr std::uint32_t types[] = {blk_in,     blk_out,     blk_flush,
                                           blk_get_id, blk_discard, blk_write_zeroes};
        struct {
            std::uint32_t type;
            std::uint32_t reserved;
            std::uint64_t sector;
        } header{
            rarely() ? input_.ConsumeIntegral<std::uint32_t>() : input_.PickValueInArray(types), 0,
            rarely() ? input_.ConsumeIntegral<std::uint64_t>() : below(disk_size / 512 + 1)};
        const GuestAddress header_at = take_buffer(sizeof header);
        ram_.poke(header_at, header);
        ChainBuilder chain = queue_->chain();
        chain.readable_at(header_at, sizeof header);
        const bool range = header.type == blk_discard || header.type == blk_write_zeroes;
        const bool to_device = header.type == blk_out || range;
        for (unsigned parts = range ? 1 : below(3); parts != 0; --parts) {
            const std::uint32_t length = range ? 16 : 512U * (1U + below(4)) - (rarely() ? 1 : 0);
            GuestAddress data = take_buffer(length);
            if (rarely()) {
                data = address();
                tampered_ = true;
            }
            if (range) poke_range(data);
            to_device ? chain.readable_at(data, length) : chain.writable_at(data, length);
        }
        const GuestAddress status = take_buffer(1);
        ram_.poke(status, blk_untouched);
        chain.writable_at(status, 1);
        if ((features_ & virtio_f_indirect_desc) != 0 && input_.ConsumeBool()) make_indirect(chain);
        const std::uint16_t head = chain.submit();
        if (rarely()) break_descriptor(head);
        outstanding_[head] = status;
    }
    void poke_range(GuestAddress at) {
        ram_.poke(at, std::uint64_t{below(disk_size / 512)});
        ram_.poke(at + 8, std::uint32_t{below(20)});
        ram_.poke(at + 12, std::uint32_t{rarely() ? 0xffU : below(2)});
    }
    void make_indirect(ChainBuilder& chain) { chain.indirect_at(take_buffer(chain.table_size())); }
    void break_descriptor(std::uint16_t head) {
        FakeDescriptor descriptor;
        descriptor.address = address().value();
        descriptor.length = rarely() ? input_.ConsumeIntegral<std::uint32_t>() : below(2048);
        descriptor.flags = below(8);
        descriptor.next = below(80);
        queue_->set_descriptor(input_.ConsumeBool() ? head : below(queue_->layout().size),
                               descriptor);
        tampered_ = true;
    }

    void release_some() {
        if (input_.ConsumeBool()) {
            const bool fail = input_.ConsumeBool();
            backend_->judge([fail](const BlockOperation& operation) -> std::optional<BlockStatus> {
                if (!fail) return std::nullopt;
                return operation.op == BlockOp::discard ? BlockStatus::unsupported
                                                        : BlockStatus::io_error;
            });
        }
        const std::size_t held = backend_->held().size();
        if (held == 0) return;
        backend_->release(input_.ConsumeIntegralInRange<std::size_t>(0, held - 1));
    }

    void touch_registers() {
        std::uint64_t offset = input_.ConsumeIntegralInRange<std::uint64_t>(0, 0x180);
        if (!rarely()) offset &= ~std::uint64_t{3};
        std::array<std::uint8_t, 8> data{};
        constexpr std::size_t sizes[] = {1, 2, 4, 4, 4, 4, 8};
        const std::span<std::uint8_t> bytes(data.data(), input_.PickValueInArray(sizes));
        transport_->read(offset, bytes);
        if (input_.ConsumeBool()) return;
        const auto value = input_.ConsumeIntegral<std::uint64_t>();
        std::memcpy(data.data(), &value, sizeof value);
        const bool is_reset = offset == Driver::status_register && bytes.size() == 4 &&
                              static_cast<std::uint32_t>(value) == 0;
        if (!is_reset) transport_->write(offset, bytes);
    }

    void tamper() {
        tampered_ = true;
        switch (input_.ConsumeIntegralInRange(0, 3)) {
            case 0:
                queue_->set_available_index(input_.ConsumeIntegral<std::uint16_t>());
                break;
            case 1:
                queue_->publish(below(80));
                break;
            case 2: {  // anywhere in the rings
                const Bytes bytes = input_.ConsumeBytes<std::uint8_t>(1 + below(16));
                ram_.poke_bytes(GuestAddress(page_size + below(4 * page_size)), bytes);
                break;
            }
            case 3: {
                const Bytes bytes = input_.ConsumeBytes<std::uint8_t>(1 + below(64));
                ram_.poke_bytes(address(), bytes);
                break;
            }
        }
    }

    // The vCPU that resets waits for the loop, which is this thread.
    void reset() {
        live_ = false;
        std::atomic<bool> done{false};
        std::thread vcpu([&] {
            driver_.reset();
            done = true;
        });
        backend_->hold(false);
        for (unsigned round = 0; !done; ++round) {
            if (round >= 2) backend_->release_all();  // not at once: the device must wait for it
            pump();
            loop_.context().restart();
            loop_.context().run_one_for(std::chrono::milliseconds(1));
        }
        vcpu.join();
        FMVM_CHECK(driver_.status() == 0);
        FMVM_CHECK(backend_->held().empty());
        tampered_ = false;
    }
    void reset_and_initialise() {
        if (resets_++ >= resets_max) return;
        reset();
        initialise();
    }

    void finish_all() {
        backend_->hold(false);
        backend_->judge(nullptr);
        backend_->release_all();
        driver_.notify(0);
        pump();
    }
    void check_recovery() {
        reset();
        ram_.poke_bytes(GuestAddress(0), Bytes(ram_size));
        queue_.emplace(ram_, std::uint16_t{8},
                       FakeQueue::Places{GuestAddress(page_size), GuestAddress(2 * page_size),
                                         GuestAddress(3 * page_size)});
        outstanding_.clear();
        FMVM_CHECK(driver_.start(virtio_f_version_1, {queue_->layout()}));
        const GuestAddress header = rings_end;
        const GuestAddress status = rings_end + 16;
        ram_.poke(header, std::uint32_t{blk_flush});
        ram_.poke(status, blk_untouched);
        outstanding_[queue_->chain().readable_at(header, 16).writable_at(status, 1).submit()] =
            status;
        driver_.notify(0);
        pump();
        FMVM_CHECK(outstanding_.empty());
        FMVM_CHECK(ram_.peek<std::uint8_t>(status) == blk_ok);
    }

    FuzzedDataProvider& input_;
    const bool read_only_;
    const SharedImage image_;
    FaultyBackend* backend_ = nullptr;
    GuestRam ram_{ram_size};
    WatchedRam watched_{ram_};
    FakeIrq irq_;
    EventLoop loop_;  // never started
    BlockDevice device_;
    std::unique_ptr<MmioTransport> transport_;
    Driver driver_;

    std::optional<FakeQueue> queue_;
    std::uint64_t features_ = 0;
    GuestAddress next_buffer_ = rings_end;
    std::map<std::uint16_t, GuestAddress> outstanding_;  // head -> status byte
    bool live_ = false;
    bool tampered_ = false;  // the guest did what makes its own rings unreliable
    unsigned resets_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fmvm::log::set_level(fmvm::log::Level::error);
    FuzzedDataProvider input(data, size);
    Session(input).run();
    return 0;
}
