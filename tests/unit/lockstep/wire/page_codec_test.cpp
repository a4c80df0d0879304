// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/page_codec.h"

#include <lz4.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "lockstep/wire/delta.h"

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

using Bytes = std::vector<std::uint8_t>;
using Page = std::array<std::uint8_t, page_size>;
using Random = std::mt19937_64;

constexpr PageCompression all_compression{true, true};

void fill_random(Random& random, std::span<std::uint8_t> bytes) {
    for (std::uint8_t& byte : bytes)
        byte = static_cast<std::uint8_t>(random());
}

// Few or many changes, single bytes or stretches.
void scribble(Random& random, std::span<std::uint8_t> bytes) {
    for (auto times = random() % 40; times != 0 && !bytes.empty(); --times) {
        const std::size_t at = random() % bytes.size();
        const std::size_t length = random() % 4 != 0 ? 1 : random() % (bytes.size() - at);
        fill_random(random, bytes.subspan(at, length));
    }
}

Bytes put_delta(std::initializer_list<std::uint16_t> headers) {
    Bytes delta(headers.size() * 2);
    std::memcpy(delta.data(), headers.begin(), delta.size());
    return delta;
}

// A page between two strips that nobody may touch.
struct GuardedPage {
    static constexpr std::size_t guard = 4096;
    Bytes bytes = Bytes(guard + page_size + guard, 0xa5);
    std::span<std::uint8_t, page_size> page() {
        return std::span(bytes).subspan<guard, page_size>();
    }
    bool guards_hold() const {
        const auto is_guard = [](std::uint8_t byte) { return byte == 0xa5; };
        return std::all_of(bytes.begin(), bytes.begin() + guard, is_guard) &&
               std::all_of(bytes.end() - guard, bytes.end(), is_guard);
    }
};

Bytes make_body(PageIndex page, std::uint8_t encoding, const Bytes& payload) {
    Bytes body = begin_pages_body(1);
    ByteWriter record;
    record.u32(page);
    record.u8(encoding);
    record.u16(static_cast<std::uint16_t>(payload.size()));
    record.raw(payload);
    body.insert(body.end(), record.bytes().begin(), record.bytes().end());
    return body;
}

// Of a body that must be in order.
std::vector<PageRecord> records_of(const Bytes& body, std::uint64_t page_count) {
    const PagesBody checked = check_pages_body(body, page_count).value();
    std::vector<PageRecord> records;
    for_each_page(body, [&records](const PageRecord& record) {
        records.push_back(record);
        return true;
    });
    CHECK(records.size() == checked.records);
    return records;
}

// Sends one page and says how it went.
PageEncoding check_transfer(const Page& before, const Page& now, const PageCompression& how,
                            bool receiver_known = true) {
    Bytes body = begin_pages_body(5);
    const PageEncoding encoding =
        append_page(body, 9, now, receiver_known ? before.data() : nullptr, how);
    REQUIRE(body.size() <= 8 + page_record_max);
    CHECK(check_pages_body(body, 10).value().epoch == 5);
    const std::vector<PageRecord> records = records_of(body, 10);
    REQUIRE(records.size() == 1);
    CHECK(records[0].page == 9);
    CHECK(records[0].encoding == encoding);
    Page target = before;
    REQUIRE(apply_page(records[0], target));
    REQUIRE((target == now));
    return encoding;
}

}  // namespace

TEST_CASE("delta: turns one version into the other", "[delta]") {
    Random random(1);
    for (const std::size_t length : {0, 1, 7, 8, 9, 64, 4096, 4099, 65536}) {
        for (int i = 0; i < 100; ++i) {
            Bytes before(length);
            fill_random(random, before);
            Bytes after = before;
            scribble(random, after);
            Bytes delta{1, 2, 3};
            REQUIRE(encode_delta(before, after, SIZE_MAX, delta));
            REQUIRE(delta[2] == 3);
            delta.erase(delta.begin(), delta.begin() + 3);
            REQUIRE(check_delta(delta, length));
            apply_delta(delta, before);
            REQUIRE((before == after));
        }
    }
}

TEST_CASE("delta: gaps and runs longer than a header can tell", "[delta]") {
    constexpr std::size_t words = 300'000;
    for (const bool change_all : {false, true}) {
        Bytes before(words * 8 + 5);
        Bytes after = before;
        if (change_all) std::fill(after.begin(), after.end(), std::uint8_t{7});
        after[words * 8 - 1] = after[words * 8 + 4] = 9;
        Bytes delta;
        REQUIRE(encode_delta(before, after, SIZE_MAX, delta));
        REQUIRE(check_delta(delta, before.size()));
        apply_delta(delta, before);
        CHECK((before == after));
    }
}

TEST_CASE("delta: says what changed and no more", "[delta]") {
    Bytes before(4096);
    Bytes after = before;
    Bytes delta;
    REQUIRE(encode_delta(before, after, SIZE_MAX, delta));
    CHECK(delta.empty());
    after[80] = 1;  // word 10, and 12: one run with the word between
    after[96] = 2;
    after[4095] = 3;
    REQUIRE(encode_delta(before, after, SIZE_MAX, delta));
    CHECK(delta.size() == 4 + 3 * 8 + 4 + 8);
}

TEST_CASE("delta: keeps to its limit and leaves nothing behind", "[delta]") {
    const Bytes before(4101);
    const Bytes after(4101, 1);
    Bytes full;
    REQUIRE(encode_delta(before, after, SIZE_MAX, full));
    Bytes out{42};
    CHECK(encode_delta(before, after, full.size(), out));
    CHECK(out.size() == 1 + full.size());
    out = {42};
    CHECK_FALSE(encode_delta(before, after, full.size() - 1, out));
    CHECK(out == Bytes{42});
    CHECK_FALSE(encode_delta(before, before, 4, out));  // the tail alone is too much
    CHECK(out == Bytes{42});
}

TEST_CASE("delta: malformed ones are refused", "[delta]") {
    CHECK(check_delta({}, 4096));
    CHECK(check_delta(put_delta({512, 0}), 4096));
    CHECK_FALSE(check_delta(put_delta({513, 0}), 4096));
    CHECK_FALSE(check_delta(put_delta({65535, 0, 65535, 0}), 4096));
    CHECK_FALSE(check_delta(put_delta({0, 1}), 4096));                // no words follow
    CHECK_FALSE(check_delta(put_delta({512, 1, 0, 0, 0, 0}), 4096));  // one word too far
    CHECK(check_delta(put_delta({511, 1, 0, 0, 0, 0}), 4096));
    CHECK_FALSE(check_delta(Bytes(3), 4096));
    CHECK_FALSE(check_delta({}, 4097));  // the tail is missing
    CHECK(check_delta(Bytes(1), 4097));
}

TEST_CASE("delta: random ones never write outside", "[delta]") {
    Random random(2);
    int well_formed = 0;
    for (int i = 0; i < 200'000; ++i) {
        Bytes delta(random() % 64);
        fill_random(random, delta);
        // Mostly small numbers, else nothing would ever fit.
        for (std::size_t at = 1; at < delta.size(); at += 2)
            delta[at] = static_cast<std::uint8_t>(delta[at] % 3);
        for (std::size_t at = 2; at < delta.size(); at += 4)
            delta[at] = static_cast<std::uint8_t>(delta[at] % 4);
        if (!check_delta(delta, page_size)) continue;
        ++well_formed;
        GuardedPage target;
        apply_delta(delta, target.page());
        REQUIRE(target.guards_hold());
    }
    CHECK(well_formed > 1000);
}

TEST_CASE("pages: come back the same, whatever they hold", "[pages]") {
    Random random(3);
    for (int i = 0; i < 2000; ++i) {
        Page before{};
        if (i % 3 != 0) fill_random(random, before);
        Page now = before;
        if (i % 5 == 0) {
            fill_random(random, now);
        } else {
            scribble(random, now);
        }
        const PageCompression how{random() % 2 == 0, random() % 2 == 0};
        check_transfer(before, now, how, random() % 3 != 0);
    }
}

TEST_CASE("pages: the encoding that suits", "[pages]") {
    Random random(4);
    Page noise;
    fill_random(random, noise);
    Page noise_changed = noise;
    noise_changed[100] = static_cast<std::uint8_t>(noise[100] + 1);
    Page text;
    for (std::size_t i = 0; i < text.size(); ++i)
        text[i] = static_cast<std::uint8_t>("all work and no play "[i % 21]);
    const Page zeroes{};

    CHECK(check_transfer(noise, noise_changed, all_compression) == PageEncoding::delta);
    CHECK(check_transfer(noise, noise_changed, all_compression, false) == PageEncoding::raw);
    CHECK(check_transfer(noise, noise_changed, {false, false}) == PageEncoding::raw);
    CHECK(check_transfer(noise, text, all_compression) == PageEncoding::lz4);
    CHECK(check_transfer(noise, text, {true, false}) == PageEncoding::raw);
    CHECK(check_transfer(noise, zeroes, all_compression) == PageEncoding::zero);
    CHECK(check_transfer(zeroes, zeroes, {false, false}) == PageEncoding::zero);
    CHECK(check_transfer(text, noise, all_compression) == PageEncoding::raw);
}

TEST_CASE("pages: many records in one body, later ones over earlier ones", "[pages]") {
    Random random(5);
    std::vector<Page> pages(40);
    Bytes body = begin_pages_body(77);
    for (std::size_t i = 0; i < pages.size(); ++i) {
        if (i % 4 != 0) fill_random(random, pages[i]);
        append_page(body, static_cast<PageIndex>(i % 32), pages[i], nullptr, all_compression);
    }
    const std::vector<PageRecord> records = records_of(body, 32);
    REQUIRE(records.size() == 40);
    std::vector<Page> received(32);
    for (const PageRecord& record : records)
        REQUIRE(apply_page(record, received[record.page]));
    for (std::size_t i = 0; i < received.size(); ++i)
        REQUIRE((received[i] == pages[i < 8 ? i + 32 : i]));
    CHECK_FALSE(check_pages_body(body, 31).ok());
}

TEST_CASE("pages: a body cut short anywhere is refused, unless between records", "[pages]") {
    Bytes body = begin_pages_body(1);
    std::vector<std::size_t> ends{body.size()};
    Page page{};
    for (PageIndex index = 0; index < 3; ++index) {
        page[index * 8] = 1;
        append_page(body, index, page, Page{}.data(), all_compression);
        ends.push_back(body.size());
    }
    for (std::size_t length = 0; length <= body.size(); ++length) {
        const bool expected = std::find(ends.begin(), ends.end(), length) != ends.end();
        REQUIRE(check_pages_body(std::span(body).first(length), 3).ok() == expected);
    }
}

TEST_CASE("pages: malformed records are refused", "[pages]") {
    const auto accepted = [](const Bytes& body) { return check_pages_body(body, 16).ok(); };
    const auto raw = static_cast<std::uint8_t>(PageEncoding::raw);
    CHECK(accepted(make_body(15, raw, Bytes(page_size))));
    CHECK_FALSE(accepted(make_body(16, raw, Bytes(page_size))));
    CHECK_FALSE(accepted(make_body(0xffffffff, raw, Bytes(page_size))));
    CHECK_FALSE(accepted(make_body(0, raw, Bytes(page_size - 1))));
    CHECK_FALSE(accepted(make_body(0, raw, Bytes(page_size + 1))));
    CHECK(accepted(make_body(0, 0, {})));
    CHECK_FALSE(accepted(make_body(0, 0, Bytes(1))));
    CHECK(accepted(make_body(0, 2, put_delta({512, 0}))));
    CHECK_FALSE(accepted(make_body(0, 2, put_delta({513, 0}))));
    CHECK_FALSE(accepted(make_body(0, 3, {})));
    // No more than a page takes, so that an epoch cannot be larger than RAM.
    CHECK(accepted(make_body(0, 3, Bytes(page_size * 3 / 4))));
    CHECK_FALSE(accepted(make_body(0, 3, Bytes(page_size * 3 / 4 + 1))));
    CHECK_FALSE(accepted(make_body(0, 2, Bytes(page_size, 0))));
    CHECK_FALSE(accepted(make_body(0, 4, Bytes(page_size))));
    CHECK_FALSE(accepted(make_body(0, 255, {})));
    CHECK_FALSE(accepted({}));
}

TEST_CASE("pages: hostile LZ4 blocks never write outside", "[pages]") {
    Random random(6);
    Page text{};
    for (std::size_t i = 0; i < text.size(); i += 5)
        text[i] = static_cast<std::uint8_t>(i / 100);
    Bytes good(8192);
    const int length =
        ::LZ4_compress_default(reinterpret_cast<const char*>(text.data()),
                               reinterpret_cast<char*>(good.data()), page_size, 8192);
    REQUIRE(length > 0);
    good.resize(static_cast<std::size_t>(length));
    int survived = 0;
    for (int i = 0; i < 50'000; ++i) {
        Bytes block = good;
        if (i % 4 == 0) {
            block.resize(1 + random() % 200);
            fill_random(random, block);
        } else {
            for (auto times = random() % 3 + 1; times != 0; --times)
                block[random() % block.size()] = static_cast<std::uint8_t>(random());
            if (i % 4 == 1) block.resize(1 + random() % block.size());
        }
        const Bytes body = make_body(0, 3, block);
        GuardedPage target;
        survived += apply_page(records_of(body, 1)[0], target.page()) ? 1 : 0;
        REQUIRE(target.guards_hold());
    }
    CHECK(survived < 50'000);
    // One that unpacks to less than a page is damaged, too.
    Bytes less(8192);
    less.resize(static_cast<std::size_t>(
        ::LZ4_compress_default(reinterpret_cast<const char*>(text.data()),
                               reinterpret_cast<char*>(less.data()), page_size - 1, 8192)));
    GuardedPage target;
    const Bytes body = make_body(0, 3, less);
    CHECK_FALSE(apply_page(records_of(body, 1)[0], target.page()));
}
