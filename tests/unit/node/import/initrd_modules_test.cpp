// SPDX-License-Identifier: Apache-2.0
#include "node/import/initrd_modules.h"

#include <fmt/format.h>
#include <zlib.h>

#include <catch2/catch.hpp>

#include "base/units.h"

using namespace fmvm;
using namespace fmvm::node;

namespace {

using Names = std::vector<std::string>;

void pad(std::string& text) {
    text.resize((text.size() + 3) / 4 * 4);
}

std::string entry(const std::string& name, const std::string& data = "") {
    std::string text =
        "070701" + std::string(48, '0') +
        fmt::format("{:08x}{:032x}{:08x}{:08x}", data.size(), 0, name.size() + 1, 0) + name + '\0';
    pad(text);
    text += data;
    pad(text);
    return text;
}

std::string archive(const Names& names) {
    std::string text;
    for (const std::string& name : names)
        text += entry(name, "content");
    return text + entry("TRAILER!!!");
}

std::string gzipped(const std::string& text) {
    std::string packed(text.size() + 1000, '\0');
    z_stream stream{};
    REQUIRE(::deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<unsigned>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<unsigned>(packed.size());
    REQUIRE(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
    packed.resize(stream.total_out);
    ::deflateEnd(&stream);
    return packed;
}

std::optional<Names> missing(const std::string& initrd,
                             std::size_t unpacked_max = initrd_unpacked_max) {
    return modules_not_in({reinterpret_cast<const std::uint8_t*>(initrd.data()), initrd.size()},
                          {"virtio_mmio", "virtio_blk"}, unpacked_max);
}

const Names both{"usr", "usr/lib/modules/6/kernel/drivers/virtio/virtio_mmio.ko",
                 "usr/lib/modules/6/kernel/drivers/block/virtio-blk.ko.xz"};

}  // namespace

TEST_CASE("initrd: its modules are found", "[cli]") {
    CHECK(missing(archive(both)) == Names{});
    CHECK(missing(archive({both[1]})) == Names{"virtio_blk"});
    CHECK(missing(archive({"bin/sh"})) == Names{"virtio_mmio", "virtio_blk"});
}

TEST_CASE("initrd: microcode before a compressed archive", "[cli]") {
    const std::string microcode = archive({"kernel/x86/microcode/AuthenticAMD.bin"});
    CHECK(missing(microcode + std::string(512, '\0') + gzipped(archive(both))) == Names{});
    CHECK(missing(gzipped(archive({both[2]}))) == Names{"virtio_mmio"});
}

TEST_CASE("initrd: a list that names modules has none", "[cli]") {
    const std::string list = "kernel/drivers/virtio/virtio_mmio.ko\n";
    CHECK(missing(entry("lib/modules/6/modules.order", list) + archive({both[2]})) ==
          Names{"virtio_mmio"});
    CHECK(missing(archive({"notvirtio_mmio.ko", "virtio_mmio.ko/x", "virtio_mmio"})) ==
          Names{"virtio_mmio", "virtio_blk"});
}

TEST_CASE("initrd: what is not understood is not guessed", "[cli]") {
    CHECK(missing("something else") == std::nullopt);
    CHECK(missing(archive(both).substr(0, 150)) == std::nullopt);
    CHECK(missing(gzipped(gzipped(archive(both)))) == std::nullopt);  // nobody makes this
    const std::string packed = gzipped(archive(both));
    CHECK(missing(packed.substr(0, packed.size() / 2)) == std::nullopt);
}

TEST_CASE("initrd: hostile headers", "[cli]") {
    std::string hostile = archive(both);
    hostile.replace(54, 8, "ffffffff");  // size of the data
    CHECK(missing(hostile) == std::nullopt);
    hostile = archive(both);
    for (const char* const name_size : {"ffffffff", "00000000", "zzzzzzzz", "-0000001"}) {
        CAPTURE(name_size);
        hostile.replace(94, 8, name_size);
        CHECK(missing(hostile) == std::nullopt);
    }
    CHECK(missing("") == Names{"virtio_mmio", "virtio_blk"});
}

TEST_CASE("initrd: one that unpacks to more than it may is not looked into", "[cli]") {
    const std::string large = archive(both) + std::string(mib, '\0');
    CHECK(missing(gzipped(large), 2 * mib) == Names{});
    CHECK(missing(gzipped(large), mib) == std::nullopt);
}
