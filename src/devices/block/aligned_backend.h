// SPDX-License-Identifier: Apache-2.0
// A decorator for backends with direct I/O, which needs aligned buffers. A request whose guest
// buffers are not aligned goes through an aligned copy. Copies have a budget; beyond it requests
// wait, so that a guest cannot make this process grow.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "devices/block/forwarding_backend.h"

namespace fmvm {

class AlignedBackend : public ForwardingBackend, private BlockOperationOwner {
  public:
    // memory_alignment: a power of two, bytes.
    AlignedBackend(std::unique_ptr<BlockBackend> inner, std::uint32_t memory_alignment);
    ~AlignedBackend() override;

    void submit(BlockOperation& operation) override;
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
};

}  // namespace fmvm
