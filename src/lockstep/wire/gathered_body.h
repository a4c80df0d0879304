// SPDX-License-Identifier: Apache-2.0
// A frame's body on its way out, in pieces: bytes of its own, and in between bytes that lie
// elsewhere (staged pages), so that they are not copied once more only to be sent.
//
// Threads: one at a time. What it refers to is released where the body is destroyed: a channel
// does that on its user's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace fmvm::lockstep {

class GatheredBody {
  public:
    GatheredBody() = default;
    GatheredBody(std::vector<std::uint8_t> bytes) : own_(std::move(bytes)) {}

    // To append to; references stay where they are.
    std::vector<std::uint8_t>& own() { return own_; }
    // `bytes` follow what is there now. They do not change or go away before `keeper` does.
    void refer(std::span<const std::uint8_t> bytes) {
        references_.push_back({own_.size(), bytes});
        referred_ += bytes.size();
    }
    void keep(std::shared_ptr<const void> keeper) { keeper_ = std::move(keeper); }

    std::size_t size() const { return own_.size() + referred_; }
    bool empty() const { return size() == 0; }
    bool refers() const { return !references_.empty(); }

    // Calls visit(span of bytes) for each piece, in order; none is empty.
    template <typename Visit>
    void each_piece(Visit visit) const {
        const std::span<const std::uint8_t> own(own_);
        std::size_t at = 0;
        for (const Reference& reference : references_) {
            if (reference.at != at) visit(own.subspan(at, reference.at - at));
            at = reference.at;
            if (!reference.bytes.empty()) visit(reference.bytes);
        }
        if (at != own.size()) visit(own.subspan(at));
    }

    // All of it, copied into one.
    std::vector<std::uint8_t> flat() const;
    // XXH3-64 of all of it.
    std::uint64_t digest() const;

  private:
    struct Reference {
        std::size_t at;  // in own_
        std::span<const std::uint8_t> bytes;
    };
    std::vector<std::uint8_t> own_;
    std::vector<Reference> references_;
    std::size_t referred_ = 0;
    std::shared_ptr<const void> keeper_;
};

}  // namespace fmvm::lockstep
