// SPDX-License-Identifier: Apache-2.0
#include "replay/record/reference_rule.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "base/byte_codec.h"
#include "base/digest.h"
#include "replay/capture/guest_pieces.h"

namespace fmvm::replay {

namespace {

// The read that fills a page, and where in that the page is.
struct Fill {
    std::uint64_t sequence = 0;
    std::uint64_t offset = 0;
};
using Filled = std::unordered_map<PageIndex, Fill>;

BlockRecord record_of(const LoggedRequest& request) {
    BlockRecord record;
    record.sequence = request.sequence;
    record.disk = request.disk;
    record.op = request.op;
    record.failed = request.failed;
    record.may_unmap = request.may_unmap;
    record.offset = request.offset;
    record.length = request.length;
    return record;
}

// The pages that still hold what the last read into them put there.
Filled filled_pages(const std::vector<LoggedRequest>& requests, const GuestMemory& memory,
                    const CutPages& pages) {
    Filled filled;
    PageSet claimed(memory.page_count());
    for (auto request = requests.rbegin(); request != requests.rend(); ++request) {
        for (auto page = request->filled.rbegin(); page != request->filled.rend(); ++page) {
            if (claimed.contains(page->page)) continue;  // by a later read
            claimed.insert(page->page);
            // Nothing else has written to a page that the cut has not copied.
            const std::uint8_t* const bytes = pages.find(page->page);
            if (bytes == nullptr || digest_of({bytes, page_size}) == page->digest)
                filled[page->page] = {request->sequence, page->offset};
        }
    }
    return filled;
}

void add_page(Segments& segments, GuestAddress address) {
    if (!segments.empty() && segments.back().address + segments.back().length == address) {
        segments.back().length += page_size;
    } else {
        segments.push_back({address, page_size});
    }
}

// One record for each run of pages that follow one another in the request.
template <typename Takes>
void add_reads(const LoggedRequest& request, const GuestMemory& memory, Takes takes,
               std::vector<BlockRecord>& records) {
    ByteWriter digests;
    BlockRecord run;
    const auto close_run = [&] {
        if (run.length == 0) return;
        run.digest = digest_of(digests.bytes());
        records.push_back(run);
        digests = ByteWriter();
        run.length = 0;
    };
    for (const FilledPage& page : request.filled) {
        if (!takes(page)) continue;
        const std::uint64_t offset = request.offset + page.offset;
        const bool full = run.segments.size() == record_segments_max;
        if (run.length != 0 && (run.offset + run.length != offset || full)) close_run();
        if (run.length == 0) {
            run = record_of(request);
            run.offset = offset;
            run.length = 0;
        }
        add_page(run.segments, memory.page_address(page.page));
        run.length += page_size;
        digests.u64(page.digest);
    }
    close_run();
}

// One record for each page: what becomes of it later is a matter of single pages.
void add_pages_read(const LoggedRequest& request, std::vector<BlockRecord>& records) {
    for (const FilledPage& page : request.filled) {
        ByteWriter digests;
        digests.u64(page.digest);
        BlockRecord& record = records.emplace_back(record_of(request));
        record.offset = request.offset + page.offset;
        record.length = page_size;
        record.digest = digest_of(digests.bytes());
    }
}

void add_write_by_value(const LoggedRequest& request, OutgoingRecords& outgoing) {
    const std::span<const std::uint8_t> bytes = std::as_const(request.write->bytes).bytes();
    for (std::uint64_t at = 0; at < bytes.size(); at += record_payload_max) {
        BlockRecord record = record_of(request);
        record.by_value = true;
        record.payload = bytes.subspan(at, std::min(record_payload_max, bytes.size() - at));
        record.offset = request.offset + at;
        record.length = record.payload.size();
        record.digest = digest_of(record.payload);
        outgoing.records.push_back(std::move(record));
    }
    outgoing.kept.push_back(request.write);
}

void add_write_by_reference(const LoggedRequest& request, OutgoingRecords& outgoing) {
    BlockRecord record = record_of(request);
    record.segments = request.write->segments;
    record.digest = digest_of(std::as_const(request.write->bytes).bytes());
    outgoing.records.push_back(std::move(record));
}

// For each piece of the payload in guest RAM: whether the backup has the same bytes there when the
// pages of this cut have been applied.
std::vector<bool> compare(const WritePayload& write, const GuestMemory& memory,
                          const CutPages& pages, const Filled& filled) {
    const std::uint8_t* const bytes = write.bytes.bytes().data();
    std::vector<bool> same;
    for_each_piece(write.segments, memory, [&](const GuestPiece& piece) {
        const std::size_t number = same.size();
        const std::uint8_t* const now = pages.find(piece.page);
        if (now != nullptr) {
            same.push_back(std::memcmp(now + piece.offset, bytes + piece.at, piece.length) == 0);
        } else if (const auto read = filled.find(piece.page); read != filled.end()) {
            // As that read left it: what was taken from there since is the same.
            same.push_back(read->second.sequence <= write.taken_after);
        } else {
            // Not written since the cut before: as it was then, or when the payload was taken.
            same.push_back(write.matched.empty() || write.matched[number]);
        }
    });
    return same;
}

// No page of the payload is filled by a read that comes later than the write.
bool is_in_order(const LoggedRequest& request, const GuestMemory& memory, const Filled& filled) {
    bool in_order = true;
    for_each_piece(request.write->segments, memory, [&](const GuestPiece& piece) {
        const auto read = filled.find(piece.page);
        if (read != filled.end() && read->second.sequence > request.sequence) in_order = false;
    });
    return in_order;
}

void add_write(const LoggedRequest& request, const GuestMemory& memory, const CutPages& pages,
               const Filled& filled, OutgoingRecords& outgoing) {
    const std::vector<bool> same = compare(*request.write, memory, pages, filled);
    const bool all_same =
        !same.empty() && std::ranges::all_of(same, [](bool value) { return value; });
    if (all_same && is_in_order(request, memory, filled)) {
        add_write_by_reference(request, outgoing);
    } else {
        add_write_by_value(request, outgoing);
    }
}

}  // namespace

OutgoingRecords apply_reference_rule(const BlockLog::Epoch& epoch, const GuestMemory& memory,
                                     const CutPages& pages, PayloadMode mode) {
    if (mode == PayloadMode::by_value) return by_value(epoch.completed);
    OutgoingRecords outgoing;
    const Filled filled = filled_pages(epoch.completed, memory, pages);
    for (const LoggedRequest& request : epoch.completed) {
        if (request.op == BlockOp::read) {
            const auto takes = [&](const FilledPage& page) {
                const auto read = filled.find(page.page);
                return read != filled.end() && read->second.sequence == request.sequence &&
                       read->second.offset == page.offset;
            };
            add_reads(request, memory, takes, outgoing.records);
        } else if (request.write) {
            add_write(request, memory, pages, filled, outgoing);
        } else {
            outgoing.records.push_back(record_of(request));
        }
    }
    for (const auto& write : epoch.in_flight)
        write->matched = compare(*write, memory, pages, filled);
    for (const auto& [page, fill] : filled)
        outgoing.filled.push_back(page);
    std::ranges::sort(outgoing.filled);
    return outgoing;
}

void forget_pages(WritePayload& write, const GuestMemory& memory) {
    write.matched.clear();
    for_each_piece(write.segments, memory,
                   [&write](const GuestPiece&) { write.matched.push_back(false); });
}

OutgoingRecords by_value(const std::vector<LoggedRequest>& requests) {
    OutgoingRecords outgoing;
    for (const LoggedRequest& request : requests) {
        if (request.op == BlockOp::read) {
            add_pages_read(request, outgoing.records);
        } else if (request.write) {
            add_write_by_value(request, outgoing);
        } else {
            outgoing.records.push_back(record_of(request));
        }
    }
    return outgoing;
}

BlockCounts count(const OutgoingRecords& outgoing) {
    BlockCounts counts;
    counts.records = outgoing.records.size();
    for (const BlockRecord& record : outgoing.records) {
        if (record.failed) continue;
        if (record.op == BlockOp::read) counts.read_bytes += record.length;
        if (record.op == BlockOp::write)
            (record.by_value ? counts.sent_bytes : counts.referred_bytes) += record.length;
    }
    return counts;
}

}  // namespace fmvm::replay
