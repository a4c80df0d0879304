// SPDX-License-Identifier: Apache-2.0
// Pages on the wire. A `pages` body is the epoch (u64), followed by records up to its end:
//
//     u32 page index, u8 encoding, u16 payload length, payload
//
//     zero   no payload: the page holds zeroes
//     raw    the page, 4096 bytes
//     delta  against what this page held at the receiver before (delta.h)
//     lz4    an LZ4 block that unpacks to 4096 bytes
//
// A page has at most one record among those that follow the cut of an epoch. Records that the
// initial copy sent before the cut are applied in order, so that later ones overwrite them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/byte_codec.h"
#include "base/bytes.h"
#include "base/result.h"
#include "lockstep/wire/gathered_body.h"
#include "lockstep/wire/messages.h"
#include "vmm/memory/page_set.h"

namespace fmvm::lockstep {

enum class PageEncoding : std::uint8_t { zero = 0, raw = 1, delta = 2, lz4 = 3 };

using PageBytes = std::span<const std::uint8_t, page_size>;

inline constexpr std::size_t page_record_header = 7;
inline constexpr std::size_t page_record_max = page_record_header + page_size;

// How pages are made smaller. Each way can be switched off, to measure what it brings.
struct PageCompression {
    bool delta = true;
    bool lz4 = false;
    bool operator==(const PageCompression&) const = default;
};

// Appends one record to `body`. `before` is what the receiver has for this page, or nullptr if that
// is not known here.
PageEncoding append_page(std::vector<std::uint8_t>& body, PageIndex page, PageBytes now,
                         const std::uint8_t* before, const PageCompression& compression);
// The same, but a raw page is not copied: `body` refers to `now`.
PageEncoding append_page_in_place(GatheredBody& body, PageIndex page, PageBytes now,
                                  const std::uint8_t* before, const PageCompression& compression);

// One record of a body that was checked.
struct PageRecord {
    PageIndex page = 0;
    PageEncoding encoding = PageEncoding::zero;
    std::span<const std::uint8_t> payload;
};

// The next record, whatever it says.
PageRecord read_page_record(ByteReader& in);

struct PagesBody {
    EpochId epoch = 0;
    std::size_t records = 0;
};

std::vector<std::uint8_t> begin_pages_body(EpochId epoch);
// Checks all of a body: indices below page_count, payloads that fit their encoding.
Result<PagesBody> check_pages_body(std::span<const std::uint8_t> body, std::uint64_t page_count);

// Calls visit(PageRecord), whose payload points into `body`, for each record of a body that was
// checked, until it answers false: then the answer is false.
template <typename Visit>
bool for_each_page(std::span<const std::uint8_t> body, Visit visit) {
    ByteReader in(body);
    in.u64();  // the epoch
    while (in.remaining() != 0) {
        if (!visit(read_page_record(in))) return false;
    }
    return true;
}

// Writes the record's content over what the page held. The payload has been checked, except that
// an LZ4 block can still turn out to be damaged: then the page is undefined and the answer is
// false. `copy` writes a whole page; stream_bytes() needs it aligned.
[[nodiscard]] bool apply_page(const PageRecord& record, std::span<std::uint8_t, page_size> target,
                              CopyBytes copy = copy_bytes);

}  // namespace fmvm::lockstep
