// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/page_codec.h"

#include <lz4.h>

#include <cstring>

#include "base/bytes.h"
#include "lockstep/wire/delta.h"

namespace fmvm::lockstep {

namespace {

// Beyond this a packed page is not worth the receiver's work; and an epoch that is staged takes no
// more memory than its pages.
constexpr std::size_t packed_bytes_max = page_size * 3 / 4;

void put_header(std::vector<std::uint8_t>& body, PageIndex page, PageEncoding encoding,
                std::size_t length) {
    std::uint8_t header[page_record_header];
    const auto length16 = static_cast<std::uint16_t>(length);
    std::memcpy(header, &page, sizeof page);
    header[4] = static_cast<std::uint8_t>(encoding);
    std::memcpy(header + 5, &length16, sizeof length16);
    body.insert(body.end(), header, header + sizeof header);
}

// Looks at a few words only: true when so many of them differ that a difference would hardly be
// smaller than the page.
bool differs_all_over(PageBytes now, const std::uint8_t* before) {
    constexpr std::size_t step = 504;  // bytes; not a power of two, so that fields do not line up
    unsigned differing = 0;
    unsigned looked = 0;
    for (std::size_t at = 0; at + 8 <= page_size; at += step, ++looked)
        differing += std::memcmp(now.data() + at, before + at, 8) != 0 ? 1 : 0;
    return differing * 8 > looked * 7;
}

bool append_delta(std::vector<std::uint8_t>& body, PageIndex page, PageBytes now,
                  const std::uint8_t* before) {
    const std::size_t start = body.size();
    put_header(body, page, PageEncoding::delta, 0);
    if (!encode_delta({before, page_size}, now, packed_bytes_max, body)) {
        body.resize(start);
        return false;
    }
    const auto length = static_cast<std::uint16_t>(body.size() - start - page_record_header);
    std::memcpy(body.data() + start + 5, &length, sizeof length);
    return true;
}

bool append_lz4(std::vector<std::uint8_t>& body, PageIndex page, PageBytes now) {
    char packed[packed_bytes_max];
    const int length = ::LZ4_compress_default(reinterpret_cast<const char*>(now.data()), packed,
                                              page_size, sizeof packed);
    if (length <= 0) return false;
    put_header(body, page, PageEncoding::lz4, static_cast<std::size_t>(length));
    body.insert(body.end(), packed, packed + length);
    return true;
}

// The whole record, or of a raw one all but the payload.
PageEncoding append_record_start(std::vector<std::uint8_t>& body, PageIndex page, PageBytes now,
                                 const std::uint8_t* before, const PageCompression& compression) {
    if (is_zero(now)) {
        put_header(body, page, PageEncoding::zero, 0);
        return PageEncoding::zero;
    }
    if (compression.delta && before != nullptr && !differs_all_over(now, before) &&
        append_delta(body, page, now, before))
        return PageEncoding::delta;
    if (compression.lz4 && append_lz4(body, page, now)) return PageEncoding::lz4;
    put_header(body, page, PageEncoding::raw, page_size);
    return PageEncoding::raw;
}

bool payload_fits(const PageRecord& record) {
    switch (record.encoding) {
        case PageEncoding::zero:
            return record.payload.empty();
        case PageEncoding::raw:
            return record.payload.size() == page_size;
        case PageEncoding::delta:
            return record.payload.size() <= packed_bytes_max &&
                   check_delta(record.payload, page_size);
        case PageEncoding::lz4:
            return !record.payload.empty() && record.payload.size() <= packed_bytes_max;
    }
    return false;
}

}  // namespace

PageEncoding append_page(std::vector<std::uint8_t>& body, PageIndex page, PageBytes now,
                         const std::uint8_t* before, const PageCompression& compression) {
    const PageEncoding encoding = append_record_start(body, page, now, before, compression);
    if (encoding == PageEncoding::raw) body.insert(body.end(), now.begin(), now.end());
    return encoding;
}

PageEncoding append_page_in_place(GatheredBody& body, PageIndex page, PageBytes now,
                                  const std::uint8_t* before, const PageCompression& compression) {
    const PageEncoding encoding = append_record_start(body.own(), page, now, before, compression);
    if (encoding == PageEncoding::raw) body.refer(now);
    return encoding;
}

std::vector<std::uint8_t> begin_pages_body(EpochId epoch) {
    ByteWriter out;
    out.u64(epoch);
    return out.take();
}

PageRecord read_page_record(ByteReader& in) {
    PageRecord record;
    record.page = in.u32();
    record.encoding = static_cast<PageEncoding>(in.u8());
    record.payload = in.raw(in.u16());
    return record;
}

Result<PagesBody> check_pages_body(std::span<const std::uint8_t> body, std::uint64_t page_count) {
    ByteReader in(body);
    PagesBody pages;
    pages.epoch = in.u64();
    while (in.ok() && in.remaining() != 0) {
        const PageRecord record = read_page_record(in);
        if (record.page >= page_count || !payload_fits(record)) in.fail();
        ++pages.records;
    }
    if (!in.done()) return Error("a malformed pages message");
    return pages;
}

bool apply_page(const PageRecord& record, std::span<std::uint8_t, page_size> target,
                CopyBytes copy) {
    switch (record.encoding) {
        case PageEncoding::zero:
            // Reading first keeps a page that the host has not yet provided unprovided.
            if (!is_zero(target)) std::memset(target.data(), 0, target.size());
            return true;
        case PageEncoding::raw:
            copy(record.payload, target.data());
            return true;
        case PageEncoding::delta:
            apply_delta(record.payload, target);
            return true;
        case PageEncoding::lz4:
            return ::LZ4_decompress_safe(reinterpret_cast<const char*>(record.payload.data()),
                                         reinterpret_cast<char*>(target.data()),
                                         static_cast<int>(record.payload.size()),
                                         page_size) == static_cast<int>(page_size);
    }
    return false;
}

}  // namespace fmvm::lockstep
