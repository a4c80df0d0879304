// SPDX-License-Identifier: Apache-2.0
// Block backends for tests: a disk in memory, and a decorator that delays, reorders and fails what
// passes through it. Like every backend they complete operations either inside submit() or inside
// poll_completions().
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "devices/block/forwarding_backend.h"

namespace fmvm::test {

// The image outlives the backend that serves it, so that tests can read it back and a second
// backend can go on with it.
using SharedImage = std::shared_ptr<std::vector<std::uint8_t>>;

class MemoryBackend : public BlockBackend {
  public:
    struct Options {
        std::uint32_t block_size = 512;
        bool read_only = false;
    };
    explicit MemoryBackend(SharedImage image) : MemoryBackend(std::move(image), Options()) {}
    MemoryBackend(SharedImage image, const Options& options)
        : image_(std::move(image)), options_(options) {}

    std::uint64_t capacity() const override { return image_->size(); }
    std::uint32_t block_size() const override { return options_.block_size; }
    bool read_only() const override { return options_.read_only; }
    // Completes before it returns.
    void submit(BlockOperation& operation) override;
    void flush_submissions() override {}
    bool poll_completions() override { return false; }
    void withdraw() override {}

  private:
    const SharedImage image_;
    const Options options_;
};

class FaultyBackend : public ForwardingBackend {
  public:
    explicit FaultyBackend(std::unique_ptr<BlockBackend> inner)
        : ForwardingBackend(std::move(inner)) {}
    ~FaultyBackend() override { destroy_inner(); }

    void submit(BlockOperation& operation) override;
    void flush_submissions() override;
    bool poll_completions() override;
    // What is held here stands for what the kernel has: it cannot be withdrawn.
    void withdraw() override;

    // The script. From hold(true) on operations wait until they are released by position among
    // those held; they go on at the next poll_completions(), in the order of their release.
    void hold(bool value) { hold_ = value; }
    void release(std::size_t position);
    void release_all();
    void release_all_reversed();
    // Decides about each operation as it goes on: a status fails it, none passes it to the disk.
    using Verdict = std::function<std::optional<BlockStatus>(const BlockOperation&)>;
    void judge(Verdict verdict) { verdict_ = std::move(verdict); }

    const std::deque<BlockOperation*>& held() const { return held_; }
    std::size_t submitted() const { return submitted_; }
    std::size_t flushed_submissions() const { return flushed_submissions_; }
    std::size_t withdrawals() const { return withdrawals_; }

  private:
    void proceed(BlockOperation& operation);

    std::deque<BlockOperation*> held_;
    std::deque<BlockOperation*> released_;
    Verdict verdict_;
    bool hold_ = false;
    std::size_t submitted_ = 0;
    std::size_t flushed_submissions_ = 0;
    std::size_t withdrawals_ = 0;
};

}  // namespace fmvm::test
