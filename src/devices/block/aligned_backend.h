// SPDX-License-Identifier: Apache-2.0
// A decorator for backends with direct I/O, which asks for aligned buffers: a request whose guest
// buffers are not goes through an aligned copy. The copies have a budget, beyond which requests
// wait, so that a guest cannot make this process grow.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "devices/block/block_backend.h"

namespace fmvm {

class AlignedBackend : public BlockBackend, private BlockOperationOwner {
  public:
    // memory_alignment: a power of two, bytes.
    AlignedBackend(std::unique_ptr<BlockBackend> inner, std::uint32_t memory_alignment);
    ~AlignedBackend() override;

    std::uint64_t capacity() const override { return inner_->capacity(); }
    std::uint32_t block_size() const override { return inner_->block_size(); }
    bool read_only() const override { return inner_->read_only(); }
    void submit(BlockOperation& operation) override;
    void flush_submissions() override { inner_->flush_submissions(); }
    bool poll_completions() override { return inner_->poll_completions(); }
    void wait_for_completion(std::chrono::milliseconds limit) override {
        inner_->wait_for_completion(limit);
    }
    void withdraw() override;

  private:
    struct Bounced;
    void complete(BlockOperation& operation, BlockStatus status) override;
    bool is_aligned_request(const BlockOperation& operation) const;
    void bounce(BlockOperation& operation);

    static constexpr std::uint64_t copy_budget_bytes = 64 << 20;

    const std::uint32_t memory_alignment_;
    std::unordered_map<BlockOperation*, std::unique_ptr<Bounced>> bounced_;
    std::deque<BlockOperation*> waiting_;
    std::uint64_t copy_bytes_ = 0;
    std::unique_ptr<BlockBackend> inner_;  // destroyed first: it drains what uses the copies
};

}  // namespace fmvm
