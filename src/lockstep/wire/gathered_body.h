// SPDX-License-Identifier: Apache-2.0
// A frame's body on its way out. It consists of bytes of its own, and between them of bytes that
// lie elsewhere (staged pages), so that those are not copied once more only to be sent.
//
// Threads: one at a time. The thread that destroys a body releases what the body refers to; a
// channel does that on its user's thread.
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

    // The bytes of its own, to append to. References keep their places.
    std::vector<std::uint8_t>& own() { return own_; }
    // Appends bytes that lie elsewhere. They stay unchanged as long as the keeper lives.
    void refer(std::span<const std::uint8_t> bytes) {
        references_.push_back({own_.size(), bytes});
        referred_ += bytes.size();
    }
    void keep(std::shared_ptr<const void> keeper) { keeper_ = std::move(keeper); }

    std::size_t size() const { return own_.size() + referred_; }
    bool empty() const { return size() == 0; }
    bool refers() const { return !references_.empty(); }

    // Calls visit(span of bytes) for each piece, in order. No piece is empty.
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

    // The whole body, copied into one vector.
    std::vector<std::uint8_t> flat() const;
    // XXH3-64 of the whole body.
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
