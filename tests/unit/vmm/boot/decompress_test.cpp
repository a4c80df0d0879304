// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <catch2/catch.hpp>

#include "base/units.h"
#include "support/boot_images.h"
#include "vmm/boot/decompress.h"

using namespace fmvm;
using boot::Compression;
using Catch::Matchers::Contains;

namespace {

// Compressible, but not to nothing, and larger than one 8 MiB LZ4 block.
test::Bytes plain_text() {
    test::Bytes plain(9 * mib + 123, 0x41);
    const test::Bytes part = test::noise(100'000);
    std::copy(part.begin(), part.end(), plain.begin() + 5'000);
    std::copy(part.begin(), part.end(), plain.end() - 200'000);
    return plain;
}

Compression any_compression() {
    return GENERATE(Compression::gzip, Compression::bzip2, Compression::lzma, Compression::xz,
                    Compression::lz4, Compression::zstd);
}

std::string refusal(Compression compression, std::span<const std::uint8_t> packed,
                    std::size_t room) {
    test::Bytes out(room);
    const auto result = boot::decompress(compression, packed, out);
    return result.ok() ? "accepted" : result.error().message();
}

}  // namespace

TEST_CASE("every compression is recognised and unpacked") {
    const Compression compression = any_compression();
    CAPTURE(boot::to_string(compression));
    const test::Bytes plain = plain_text();
    const test::Bytes packed = test::compress(compression, plain);
    REQUIRE(packed.size() < plain.size() / 2);
    REQUIRE(boot::identify_compression(packed) == compression);

    for (const std::size_t spare : {0u, 1u, 1'000'000u}) {
        test::Bytes out(plain.size() + spare);
        const auto size = boot::decompress(compression, packed, out);
        REQUIRE(size.ok());
        REQUIRE(size.value() == plain.size());
        REQUIRE(std::equal(plain.begin(), plain.end(), out.begin()));
    }
}

TEST_CASE("an output that is one byte too small is an error, not an overrun") {
    const Compression compression = any_compression();
    CAPTURE(boot::to_string(compression));
    const test::Bytes plain = plain_text();
    const test::Bytes packed = test::compress(compression, plain);
    CHECK_THAT(refusal(compression, packed, plain.size() - 1), Contains("unpacks to more than"));
    CHECK_THAT(refusal(compression, packed, 4096), Contains("unpacks to more than"));
}

TEST_CASE("a truncated payload is an error at every length") {
    const Compression compression = any_compression();
    CAPTURE(boot::to_string(compression));
    const test::Bytes plain = test::noise(500);
    const test::Bytes packed = test::compress(compression, plain);
    const std::size_t appended = compression == Compression::gzip ? 0 : 4;
    for (std::size_t size = 6; size < packed.size() - appended; ++size) {
        // Legacy LZ4 has no end mark: nothing behind the magic is an empty, complete stream.
        if (compression == Compression::lz4 && size == 8) continue;
        CAPTURE(size);
        REQUIRE_THAT(refusal(compression, std::span(packed).first(size), 4096),
                     Contains("is damaged"));
    }
}

TEST_CASE("flipped bits never crash; checksummed formats notice") {
    const Compression compression = any_compression();
    CAPTURE(boot::to_string(compression));
    const test::Bytes plain = test::noise(500);
    const test::Bytes packed = test::compress(compression, plain);
    test::Bytes out(4096);
    for (std::size_t i = 6; i < packed.size(); ++i) {
        test::Bytes broken = packed;
        broken[i] ^= 0x55;
        const auto result = boot::decompress(compression, broken, out);
        if (result.ok()) REQUIRE(result.value() <= out.size());
    }
    test::Bytes broken = packed;
    broken[packed.size() / 2] ^= 0xff;
    if (compression == Compression::gzip || compression == Compression::bzip2 ||
        compression == Compression::xz) {
        CHECK_THAT(refusal(compression, broken, 4096), Contains("is damaged"));
    }
}

TEST_CASE("hostile LZ4 block lengths") {
    test::Bytes packed{0x02, 0x21, 0x4c, 0x18};
    const auto with_length = [&](std::uint32_t length) {
        test::Bytes bytes = packed;
        test::patch(bytes, 4, length);
        bytes.resize(bytes.size() + 100);
        return refusal(Compression::lz4, bytes, 8 * mib);
    };
    CHECK_THAT(with_length(0), Contains("is damaged"));
    CHECK_THAT(with_length(101), Contains("is damaged"));
    CHECK_THAT(with_length(0x7fffffff), Contains("is damaged"));
    CHECK_THAT(with_length(0xffffffff), Contains("is damaged"));
}

TEST_CASE("an xz dictionary of gigabytes is refused") {
    // LZMA_alone header: properties, dictionary size, unpacked size unknown.
    test::Bytes packed{0x5d, 0x00, 0x00, 0x00, 0xf0, 0xff, 0xff, 0xff, 0xff,
                       0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00};
    CHECK_THAT(refusal(Compression::lzma, packed, 4096), Contains("is damaged"));
}

TEST_CASE("unknown and short payloads have no compression") {
    CHECK_FALSE(boot::identify_compression({}).has_value());
    CHECK_FALSE(boot::identify_compression(test::Bytes{0x1f}).has_value());
    CHECK_FALSE(boot::identify_compression(test::Bytes{0x89, 'L', 'Z', 'O', 0}).has_value());
    CHECK(boot::identify_compression(test::Bytes{0x1f, 0x8b}) == Compression::gzip);
}
