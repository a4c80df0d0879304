// SPDX-License-Identifier: Apache-2.0
// A disk in memory whose requests take effect bit by bit, in any order and side by side, as those
// of a real one may: how far each has come is drawn at random.
#pragma once

#include <random>
#include <vector>

#include "support/faulty_backend.h"

namespace fmvm::test {

class SlowDisk : public BlockBackend {
  public:
    struct Options {
        bool works_when_polled = false;  // else only in work()
        unsigned failing = 0;            // of 1000 changes fail, somewhere in their middle
    };
    SlowDisk(SharedImage image, std::uint64_t seed) : SlowDisk(std::move(image), seed, Options()) {}
    SlowDisk(SharedImage image, std::uint64_t seed, const Options& options)
        : image_(std::move(image)), random_(seed), options_(options) {}

    std::uint64_t capacity() const override { return image_->size(); }
    std::uint32_t block_size() const override { return sector_size; }
    bool read_only() const override { return false; }
    void submit(BlockOperation& operation) override;
    void flush_submissions() override {}
    bool poll_completions() override;
    void withdraw() override {}  // all is the kernel's

    // Some request comes a little further; in the end it is complete.
    void work();
    bool idle() const { return started_.empty(); }

    // Sectors that a change in flight, or one that failed, may have changed.
    std::vector<bool> uncertain() const;
    void forget_failures() { failed_.clear(); }

  private:
    struct Started {
        BlockOperation* operation;
        std::uint64_t done = 0;  // bytes
    };
    struct Range {
        std::uint64_t offset;
        std::uint64_t length;
    };
    void advance(Started& started);
    void complete(std::size_t position, BlockStatus status);

    const SharedImage image_;
    std::mt19937_64 random_;
    const Options options_;
    std::vector<Started> started_;
    std::vector<Range> failed_;
};

}  // namespace fmvm::test
