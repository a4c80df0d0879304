// SPDX-License-Identifier: Apache-2.0
// Load generator for virtio-blk: keeps `depth` requests in flight and measures each by the TSC.
#include "blkload.h"

#include "lib/boot_info.h"
#include "lib/checksum.h"
#include "lib/guest.h"
#include "lib/histogram.h"
#include "lib/serial.h"

namespace bare {

constinit const std::string_view guest_name = "blkload";

namespace {

constexpr uint64_t kScribbleWords = 128;  // from one that is written to the next

constinit Histogram latency;  // in nanoseconds

class Load {
  public:
    Load(BlockDevice& device, const LoadShape& shape, const Clock& clock)
        : device_(device),
          shape_(shape),
          clock_(clock),
          random_(shape.seed),
          slots_(allocate<Slot>(shape.depth)),
          data_(allocate_pages(shape.buffers * shape.block)) {
        auto* words = reinterpret_cast<uint64_t*>(data_);
        for (uint64_t i = 0; i < shape.buffers * shape.block / 8; ++i) {
            words[i] = random_.next();
        }
    }

    void run() {
        began_ = rdtsc();
        while (in_flight_ < shape_.depth && begin(static_cast<uint16_t>(in_flight_)))
            ++in_flight_;
        device_.kick();
        while (in_flight_ > 0) {
            await(
                device_, shape_, [this](uint16_t slot, BlockStatus status) { ended(slot, status); },
                [this] { scribble(); });
            device_.kick();
        }
        elapsed_ = rdtsc() - began_;
    }

    void report(Text& line) const {
        const uint64_t us = clock_.us(elapsed_);
        line << "op=" << shape_.operation << " depth=" << shape_.depth << " block=" << shape_.block
             << " requests=" << latency.count() << " notifies=" << device_.notifications()
             << " seconds=" << Decimal{us / 1000, 3}
             << " iops=" << (us == 0 ? 0 : latency.count() * 1000000 / us);
        line << " lat_us p50=" << tenths(5000) << " p90=" << tenths(9000) << " p99=" << tenths(9900)
             << " p999=" << tenths(9990) << " max=" << Decimal{latency.largest() / 100, 1};
    }

  private:
    struct Slot {
        uint64_t began;
        uint64_t number;  // of the block
        uint64_t buffer;
        bool second;  // of a request that is two, the second is under way
    };

    static Decimal tenths(uint64_t per_10000) { return {latency.percentile(per_10000) / 100, 1}; }

    BlockOperation choose() {
        if (shape_.operation == "read" || shape_.copies()) return BlockOperation::kRead;
        if (shape_.operation == "mixed" && random_.below(100) < shape_.read_percent) {
            return BlockOperation::kRead;
        }
        return BlockOperation::kWrite;
    }

    bool begin(uint16_t slot) {
        const uint64_t now = rdtsc();
        if (!shape_.more(started_, now - began_)) return false;
        const uint64_t number =
            shape_.sequential ? started_ % shape_.blocks : random_.below(shape_.blocks);
        const uint64_t buffer = data_ + take_buffer(slot) * shape_.block;
        ++started_;
        slots_[slot] = {now, number, buffer, false};
        const BlockOperation operation = choose();
        if (operation == BlockOperation::kWrite && shape_.fresh) refill(buffer);
        device_.start(slot, operation, shape_.sector(number), buffer, shape_.block);
        return true;
    }

    // Each slot has its own, or a share of the pool that it uses in turns: no two in flight meet.
    uint64_t take_buffer(uint16_t slot) const {
        const uint64_t share = shape_.buffers / shape_.depth;
        return slot + shape_.depth * (started_ / shape_.depth % share);
    }

    void refill(uint64_t buffer) {
        auto* words = reinterpret_cast<uint64_t*>(buffer);
        const uint64_t first = random_.next();
        for (uint64_t i = 0; i < shape_.block / 8; ++i)
            words[i] = first * (2 * i + 1);
    }

    // One word in each KiB of every buffer, in flight or not: no two looks at one find the same.
    void scribble() {
        if (!shape_.scribble) return;
        auto* words = reinterpret_cast<volatile uint64_t*>(data_);
        const uint64_t now = rdtsc();
        for (uint64_t i = 0; i < shape_.buffers * shape_.block / 8; i += kScribbleWords)
            words[i] = now + i;
    }

    // The second half of a request that is two; false when it is none.
    bool go_on(uint16_t slot) {
        const bool flushes = shape_.operation == "writeflush";
        if (slots_[slot].second || !(flushes || shape_.copies())) return false;
        slots_[slot].second = true;
        if (flushes) {
            device_.start(slot, BlockOperation::kFlush, 0, 0, 0);
        } else {
            // To the other half of the disk.
            device_.start(slot, BlockOperation::kWrite,
                          shape_.sector(slots_[slot].number + shape_.blocks), slots_[slot].buffer,
                          shape_.block);
        }
        return true;
    }

    void ended(uint16_t slot, BlockStatus status) {
        if (status != BlockStatus::kOk) {
            fail(Text() << "a request ended with status " << static_cast<uint32_t>(status));
        }
        if (go_on(slot)) return;
        latency.add(clock_.ns(rdtsc() - slots_[slot].began));
        if (!begin(slot)) --in_flight_;
    }

    BlockDevice& device_;
    const LoadShape& shape_;
    const Clock& clock_;
    Random random_;
    Slot* slots_;
    uint64_t data_;
    uint64_t began_ = 0, elapsed_ = 0;
    uint64_t started_ = 0, in_flight_ = 0;
};

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
    for (std::string_view known : words) {
        if (word == known) return true;
    }
    return false;
}

uint64_t bounded(const Options& options, std::string_view key, uint64_t fallback, uint64_t smallest,
                 uint64_t largest) {
    const uint64_t value = options.number(key, fallback);
    if (value >= smallest && value <= largest) return value;
    fail(Text() << key << "= must be " << smallest << " to " << largest);
}

LoadShape read_shape(const Options& options, const Clock& clock) {
    LoadShape shape{};
    shape.operation = options.text("op", "read");
    if (!is_one_of(shape.operation, {"read", "write", "writeflush", "mixed", "copy"})) {
        fail("op= is none of read, write, writeflush, mixed, copy");
    }
    shape.depth = static_cast<uint16_t>(bounded(options, "depth", 1, 1, 128));
    shape.block = static_cast<uint32_t>(bounded(options, "block", 4096, kSectorSize, 1 << 20));
    if (shape.block % kSectorSize != 0) fail("block= is a multiple of 512");
    shape.requests = options.number("requests", 0);
    shape.ticks =
        clock.ticks_from_us(options.number("seconds", shape.requests == 0 ? 5 : 0) * 1000000);
    shape.seed = options.number("seed", 1);
    shape.read_percent = bounded(options, "read_percent", 70, 0, 100);
    shape.sequential = options.flag("seq");
    shape.fresh = options.flag("fresh");
    shape.scribble = options.flag("scribble");
    const uint64_t pool = options.number("pool_mib", 0) << 20;
    shape.buffers = pool / shape.block > shape.depth ? pool / shape.block : shape.depth;
    const std::string_view wait = options.text("wait", "poll");
    if (!is_one_of(wait, {"poll", "irq"})) fail("wait= is neither poll nor irq");
    shape.halt = wait == "irq";
    return shape;
}

void fit_span(LoadShape& shape, const Options& options, const BlockDevice& device) {
    const uint64_t disk = device.sectors() * kSectorSize;
    const uint64_t span = options.number("span_mib", 0) << 20;
    shape.blocks = (span == 0 || span > disk ? disk : span) / shape.block;
    if (shape.copies()) shape.blocks /= 2;
    if (shape.blocks < shape.depth) fail("the span holds fewer blocks than depth=");
}

}  // namespace

void run(const Options& options, Text& summary) {
    const Clock clock(options);
    LoadShape shape = read_shape(options, clock);
    const DeviceList devices(options);
    BlockDeviceLimits limits;
    limits.slots = shape.depth;
    limits.segments = static_cast<uint16_t>(bounded(options, "segments", 1, 1, 16));
    limits.indirect = options.flag("indirect", true);
    limits.event_index = options.flag("event_index", true);
    BlockDevice device(devices.find(DeviceKind::kBlock, options.number("disk", 0)), limits);
    fit_span(shape, options, device);
    if (options.flag("verify")) {
        verify_device(device, shape, summary);
        return;
    }
    Load load(device, shape, clock);
    clock.sleep_until(rdtsc() + clock.ticks_from_us(options.number("settle_ms", 0) * 1000));
    load.run();
    Text line;
    load.report(line);
    serial.write((Text() << "blkload: " << line.view() << '\n').view());
    summary << "requests=" << latency.count();
}

}  // namespace bare
