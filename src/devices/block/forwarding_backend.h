// SPDX-License-Identifier: Apache-2.0
// The base of every decorator of a block backend: it owns the inner backend and hands every call
// but submit() on to it. A decorator overrides what it changes and forgets nothing.
//
// Threads: as BlockBackend.
#pragma once

#include <memory>
#include <utility>

#include "base/check.h"
#include "devices/block/block_backend.h"

namespace fmvm {

class ForwardingBackend : public BlockBackend {
  public:
    ForwardingBackend(const ForwardingBackend&) = delete;
    ForwardingBackend& operator=(const ForwardingBackend&) = delete;
    ~ForwardingBackend() override { FMVM_CHECK(inner_ == nullptr); }

    std::uint64_t capacity() const override { return inner_->capacity(); }
    std::uint32_t block_size() const override { return inner_->block_size(); }
    bool read_only() const override { return inner_->read_only(); }
    void flush_submissions() override { inner_->flush_submissions(); }
    bool poll_completions() override { return inner_->poll_completions(); }
    void wait_for_completion(std::chrono::milliseconds limit) override {
        inner_->wait_for_completion(limit);
    }
    void withdraw() override { inner_->withdraw(); }

  protected:
    explicit ForwardingBackend(std::unique_ptr<BlockBackend> inner) : inner_(std::move(inner)) {
        FMVM_CHECK(inner_ != nullptr);
    }

    BlockBackend& inner() { return *inner_; }
    const BlockBackend& inner() const { return *inner_; }

    // Every decorator's destructor calls this. The inner backend waits for the kernel when it goes,
    // and until then the kernel may use operations and buffers that are members of the decorator.
    void destroy_inner() { inner_.reset(); }

  private:
    std::unique_ptr<BlockBackend> inner_;
};

}  // namespace fmvm
