// SPDX-License-Identifier: Apache-2.0
// An epoch as a log would have it, and the pages of its cut, for the reference rule.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "replay/record/reference_rule.h"
#include "support/guest_ram.h"

namespace fmvm::test {

inline GuestAddress page(std::uint64_t number) {
    return GuestAddress(number * page_size);
}
inline Bytes filled_with(std::uint8_t value) {
    return Bytes(page_size, value);
}

// Pages are filled with one value each, and so are payloads.
class RuleBench : public replay::CutPages {
  public:
    const std::uint8_t* find(PageIndex index) const override {
        const auto found = staged.find(index);
        return found == staged.end() ? nullptr : found->second.data();
    }
    std::shared_ptr<replay::WritePayload> payload(const Segments& segments, std::uint8_t value) {
        auto write = std::make_shared<replay::WritePayload>();
        write->bytes = std::move(*budget->take(total_length(segments)));
        std::ranges::fill(write->bytes.bytes(), value);
        write->segments = segments;
        return write;
    }
    std::shared_ptr<replay::WritePayload> write(const Segments& segments, std::uint8_t value) {
        replay::LoggedRequest& request = add(BlockOp::write, 0, total_length(segments));
        return request.write = payload(segments, value);
    }
    // Of these pages, one after the other, each with its value. 0: not a whole page.
    void read(std::uint64_t offset, const std::vector<std::pair<PageIndex, std::uint8_t>>& pages) {
        replay::LoggedRequest& request = add(BlockOp::read, offset, pages.size() * page_size);
        for (std::size_t i = 0; i < pages.size(); ++i) {
            if (pages[i].second == 0) continue;
            request.filled.push_back(
                {pages[i].first, i * page_size, digest_of(filled_with(pages[i].second))});
        }
    }
    replay::LoggedRequest& add(BlockOp op, std::uint64_t offset, std::uint64_t length) {
        replay::LoggedRequest& request = epoch.completed.emplace_back();
        request.sequence = ++sequence;
        request.disk = 2;
        request.op = op;
        request.offset = offset;
        request.length = length;
        return request;
    }
    replay::OutgoingRecords apply_rule(
        replay::PayloadMode mode = replay::PayloadMode::by_reference) {
        return replay::apply_reference_rule(epoch, ram.memory(), *this, mode);
    }
    // How the only write of the epoch travels.
    bool is_by_reference() {
        const replay::OutgoingRecords outgoing = apply_rule();
        for (const replay::BlockRecord& record : outgoing.records) {
            if (record.op == BlockOp::write) return !record.by_value;
        }
        FAIL("there is no write");
        return false;
    }
    void next_epoch() {
        epoch = {};
        staged.clear();
    }

    GuestRam ram{256 * kib};
    std::shared_ptr<replay::PayloadBudget> budget =
        std::make_shared<replay::PayloadBudget>(64 * mib);
    replay::BlockLog::Epoch epoch;
    std::map<PageIndex, Bytes> staged;
    std::uint64_t sequence = 0;
};

inline std::uint64_t digest_of_pages(const std::vector<std::uint8_t>& values) {
    ByteWriter digests;
    for (const std::uint8_t value : values)
        digests.u64(digest_of(filled_with(value)));
    return digest_of(digests.bytes());
}

}  // namespace fmvm::test
