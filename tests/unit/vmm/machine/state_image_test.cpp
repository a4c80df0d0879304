// SPDX-License-Identifier: Apache-2.0
// State images and RAM files: what was written comes back, and nothing else is taken.
#include "vmm/machine/state_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <catch2/catch.hpp>

#include "support/guest_ram.h"
#include "support/temp_file.h"
#include "vmm/machine/machine.h"
#include "vmm/memory/ram_file.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

StateImage sample() {
    StateImage image;
    image.add("machine", 1, {1, 2, 3});
    image.add("empty", 7, {});
    image.add("disk0", 2, Bytes(300, 0xab));
    return image;
}

// An image with a right checksum, whatever is in it.
Bytes sealed(ByteWriter& out) {
    out.u64(XXH3_64bits(out.bytes().data(), out.size()));
    return out.take();
}

ByteWriter header(std::uint32_t version, std::uint32_t count) {
    ByteWriter out;
    for (const char c : std::string_view("FMVMSTAT"))
        out.u8(static_cast<std::uint8_t>(c));
    out.u32(version);
    out.u32(count);
    return out;
}

void add_section(ByteWriter& out, std::string_view name, const Bytes& payload) {
    out.text(name);
    out.u32(1);
    out.blob(payload);
}

std::string refusal(const Bytes& bytes) {
    const Result<StateImage> image = StateImage::decode(bytes);
    return image.ok() ? "accepted" : image.error().message();
}

}  // namespace

TEST_CASE("state image: comes back as it was", "[state]") {
    const StateImage image = sample();
    StateImage decoded = StateImage::decode(image.encode()).value();
    REQUIRE(decoded.sections().size() == 3);
    for (const StateSection& section : image.sections()) {
        const StateSection* const found = decoded.find(section.name);
        REQUIRE(found != nullptr);
        CHECK(found->version == section.version);
        CHECK((found->payload == section.payload));
    }
    CHECK(decoded.encode() == image.encode());
    CHECK(decoded.take("empty").version == 7);
    CHECK(decoded.find("empty") == nullptr);
    CHECK(decoded.take("empty").name.empty());
    CHECK(StateImage::decode(StateImage().encode()).value().sections().empty());
}

TEST_CASE("state image: every damage is seen", "[state]") {
    const Bytes good = sample().encode();
    for (std::size_t size = 0; size < good.size(); ++size)
        CHECK(refusal({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}) !=
              "accepted");
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        Bytes flipped = good;
        flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1U << bit % 8);
        CHECK(refusal(flipped) != "accepted");
    }
    Bytes longer = good;
    longer.push_back(0);
    CHECK(refusal(longer) != "accepted");
}

TEST_CASE("state image: made up by somebody", "[state]") {
    using Catch::Contains;
    ByteWriter other_format = header(9, 0);
    CHECK_THAT(refusal(sealed(other_format)), Contains("format 9"));
    ByteWriter too_many = header(1, StateImage::sections_max + 1);
    for (std::size_t i = 0; i <= StateImage::sections_max; ++i)
        add_section(too_many, std::to_string(i), {});
    CHECK_THAT(refusal(sealed(too_many)), Contains("malformed"));
    ByteWriter count_lies = header(1, 0xffffffff);
    CHECK_THAT(refusal(sealed(count_lies)), Contains("malformed"));
    ByteWriter twice = header(1, 2);
    add_section(twice, "a", {1});
    add_section(twice, "a", {2});
    CHECK_THAT(refusal(sealed(twice)), Contains("malformed"));
    ByteWriter long_name = header(1, 1);
    add_section(long_name, std::string(StateImage::name_bytes_max + 1, 'n'), {});
    CHECK_THAT(refusal(sealed(long_name)), Contains("malformed"));
    ByteWriter length_lies = header(1, 1);
    length_lies.text("a");
    length_lies.u32(1);
    length_lies.u32(0xfffffff0);
    CHECK_THAT(refusal(sealed(length_lies)), Contains("malformed"));
}

TEST_CASE("state image: the size of its machine is one that a machine can have", "[state]") {
    const auto size_of = [](std::uint64_t bytes, std::uint32_t vcpus) {
        ByteWriter out;
        out.u64(bytes);
        out.u32(vcpus);
        StateImage image;
        image.add("machine", 1, out.take());
        return machine_size(image);
    };
    CHECK(size_of(64 * mib, 2).value().vcpus == 2);
    CHECK_FALSE(size_of(64 * mib, 0).ok());
    CHECK_FALSE(size_of(64 * mib, 65).ok());
    CHECK_FALSE(size_of(0, 1).ok());
    CHECK_FALSE(size_of(64 * mib + 1, 1).ok());
    CHECK_FALSE(size_of(UINT64_MAX - 4095, 1).ok());
    CHECK_FALSE(machine_size(StateImage()).ok());
}

TEST_CASE("RAM file: comes back, and empty pages cost nothing", "[state]") {
    GuestRam ram(4 * mib);
    ram.poke<std::uint8_t>(GuestAddress(0), 1);
    ram.poke<std::uint8_t>(GuestAddress(3 * mib + page_size - 1), 2);
    ram.poke<std::uint8_t>(GuestAddress(4 * mib - 1), 3);
    TempFile file;
    const UniqueFd fd(::open(file.path().c_str(), O_RDWR));
    const std::uint64_t digest = write_ram_file(ram.memory(), fd.get()).value();
    struct stat status {};
    REQUIRE(::fstat(fd.get(), &status) == 0);
    CHECK(status.st_size == 4 * mib);
    CHECK(status.st_blocks * 512 <= 64 * 1024);
    const auto same = [&](int from) {
        GuestRam target(4 * mib);
        const Result<void> read = read_ram_file(target.memory(), from, digest);
        if (!read.ok()) return read.error().message();
        const bool equal =
            target.peek_bytes(GuestAddress(0), 4 * mib) == ram.peek_bytes(GuestAddress(0), 4 * mib);
        return std::string(equal ? "same" : "different");
    };
    CHECK(same(fd.get()) == "same");
    SECTION("a copy without holes is as good") {
        TempFile full;
        full.write(0, file.read_all());
        const UniqueFd full_fd(::open(full.path().c_str(), O_RDONLY));
        CHECK(same(full_fd.get()) == "same");
    }
    SECTION("a changed byte, a moved page, another size") {
        file.write(2 * mib, Bytes{1});
        CHECK_THAT(same(fd.get()), Catch::Contains("damaged"));
        file.write(2 * mib, Bytes{0});
        CHECK(same(fd.get()) == "same");
        file.write(0, Bytes{0});
        file.write(page_size, Bytes{1});
        CHECK_THAT(same(fd.get()), Catch::Contains("damaged"));
        file.resize(4 * mib - page_size);
        CHECK_THAT(same(fd.get()), Catch::Contains("instead of"));
    }
}
