// SPDX-License-Identifier: Apache-2.0
// Many requests in flight, and every byte checked: blocks carry their number and generation, are
// written and read back at random, and at the end the whole of what was written is read once more.
#include "blkload.h"
#include "lib/boot_info.h"
#include "lib/checksum.h"
#include "lib/guest.h"
#include "lib/memory.h"

namespace bare {
namespace {

constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
constexpr uint64_t kFlushOneIn = 64;
constexpr uint8_t kPoison = 0xa5;

class Verifier {
  public:
    Verifier(BlockDevice& device, const LoadShape& shape)
        : device_(device),
          shape_(shape),
          random_(shape.seed),
          slots_(allocate<Slot>(shape.depth)),
          generations_(allocate<uint32_t>(shape.blocks)),
          busy_(allocate<uint8_t>(shape.blocks)),
          data_(allocate_pages(uint64_t{shape.depth} * shape.block)) {
        fill(generations_, 0, shape.blocks * sizeof *generations_);
        fill(busy_, 0, shape.blocks);
    }

    // `next(slot)` starts one more request in the slot, or returns false.
    template <class Next>
    void run(Next next) {
        uint64_t in_flight = 0;
        while (in_flight < shape_.depth && next(static_cast<uint16_t>(in_flight)))
            ++in_flight;
        device_.kick();
        while (in_flight > 0) {
            const auto done = [&](uint16_t slot, BlockStatus status) {
                ended(slot, status);
                if (!next(slot)) --in_flight;
            };
            await(device_, shape_, done, [] {});
            device_.kick();
        }
    }

    void at_random() {
        const uint64_t began = rdtsc();
        run([&](uint16_t slot) {
            if (!shape_.more(reads_ + writes_ + flushes_, rdtsc() - began)) return false;
            if (device_.can_flush() && random_.one_in(kFlushOneIn)) {
                start(slot, BlockOperation::kFlush, 0);
                return true;
            }
            uint64_t number = random_.below(shape_.blocks);
            while (busy_[number])
                number = (number + 1) % shape_.blocks;
            const bool read = generations_[number] != 0 && random_.below(100) < shape_.read_percent;
            start(slot, read ? BlockOperation::kRead : BlockOperation::kWrite, number);
            return true;
        });
    }

    void everything_once_more() {
        uint64_t number = 0;
        run([&](uint16_t slot) {
            while (number < shape_.blocks && generations_[number] == 0)
                ++number;
            if (number == shape_.blocks) return false;
            start(slot, BlockOperation::kRead, number++);
            return true;
        });
    }

    void report(Text& line) const {
        line << "verified writes=" << writes_ << " reads=" << reads_ << " flushes=" << flushes_
             << " notifies=" << device_.notifications();
    }

  private:
    struct Slot {
        BlockOperation operation;
        uint64_t number;
    };

    uint64_t* buffer(uint16_t slot) const {
        return reinterpret_cast<uint64_t*>(data_ + uint64_t{slot} * shape_.block);
    }

    uint64_t word(uint64_t number, uint64_t index) const {
        if (index == 0) return number;
        if (index == 1) return generations_[number];
        return mix(shape_.seed ^ number << 32 ^ generations_[number]) + index * kOdd;
    }

    void start(uint16_t slot, BlockOperation operation, uint64_t number) {
        slots_[slot] = {operation, number};
        if (operation == BlockOperation::kFlush) {
            ++flushes_;
            device_.start(slot, operation, 0, 0, 0);
            return;
        }
        busy_[number] = 1;
        if (operation == BlockOperation::kWrite) {
            ++writes_;
            ++generations_[number];
            for (uint64_t i = 0; i < shape_.block / 8; ++i)
                buffer(slot)[i] = word(number, i);
        } else {
            ++reads_;
            fill(buffer(slot), kPoison, shape_.block);
        }
        device_.start(slot, operation, shape_.sector(number),
                      reinterpret_cast<uint64_t>(buffer(slot)), shape_.block);
    }

    void ended(uint16_t slot, BlockStatus status) {
        const Slot& request = slots_[slot];
        if (status != BlockStatus::kOk) {
            fail(Text() << "operation " << static_cast<uint32_t>(request.operation) << " at block "
                        << request.number << " ended with status "
                        << static_cast<uint32_t>(status));
        }
        if (request.operation == BlockOperation::kRead) check(slot, request.number);
        if (request.operation != BlockOperation::kFlush) busy_[request.number] = 0;
    }

    void check(uint16_t slot, uint64_t number) const {
        for (uint64_t i = 0; i < shape_.block / 8; ++i) {
            const uint64_t found = buffer(slot)[i];
            if (found == word(number, i)) continue;
            fail(Text() << "block " << number << " generation " << generations_[number] << " word "
                        << i << " is 0x" << Hex{found} << " not 0x" << Hex{word(number, i)});
        }
    }

    BlockDevice& device_;
    const LoadShape& shape_;
    Random random_;
    Slot* slots_;
    uint32_t* generations_;
    uint8_t* busy_;
    uint64_t data_;
    uint64_t reads_ = 0, writes_ = 0, flushes_ = 0;
};

}  // namespace

void verify_device(BlockDevice& device, const LoadShape& shape, Text& summary) {
    if (shape.blocks >= uint64_t{1} << 32) fail("verify=1 takes fewer than 2^32 blocks");
    Verifier verifier(device, shape);
    verifier.at_random();
    verifier.everything_once_more();
    verifier.report(summary);
}

}  // namespace bare
