// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "base/digest.h"
#include "replay/image/label_file.h"
#include "support/sync_watch.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::replay;
using test::SyncWatch;
using test::TempFile;

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t labelled_bytes = 20 * mib + 512;

LabelId id_of(std::uint8_t first) {
    LabelId id{};
    id[0] = first;
    id[15] = 1;
    return id;
}

DiskLabel some_label() {
    return {.vm = id_of(1),
            .disk = 3,
            .disks = 5,
            .image_bytes = labelled_bytes,
            .generation = 7,
            .pair = id_of(2),
            .offered = id_of(3),
            .role = DiskRole::following,
            .boot = id_of(4),
            .origin = id_of(5)};
}

// A name that goes away with the test, and what is made there.
struct LabelPath {
    TempFile unique;
    std::string path = unique.path() + ".fmvm";
    ~LabelPath() { std::filesystem::remove(path); }

    Bytes read() const {
        std::ifstream in(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    }
    void write(const Bytes& bytes) const {
        std::ofstream out(path, std::ios::binary | std::ios::trunc);
        out.write(reinterpret_cast<const char*>(bytes.data()),
                  static_cast<std::streamsize>(bytes.size()));
    }
    FoundLabel found() const { return find_label(path).value(); }
};

}  // namespace

TEST_CASE("a label survives encoding; damage at any byte is found") {
    const Bytes bytes = some_label().encode();
    REQUIRE(bytes.size() == DiskLabel::encoded_bytes);
    CHECK(DiskLabel::decode(bytes) == some_label());
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        for (const int bit : {0, 7}) {
            Bytes damaged = bytes;
            damaged[at] = static_cast<std::uint8_t>(damaged[at] ^ 1U << bit);
            CHECK_FALSE(DiskLabel::decode(damaged));
        }
        CHECK_FALSE(DiskLabel::decode(std::span(bytes).first(at)));
    }
    Bytes longer = bytes;  // as in the file, where other things stand behind
    longer.push_back(1);
    CHECK(DiskLabel::decode(longer) == some_label());
}

TEST_CASE("a label of version 1 is read: what it does not say is not known") {
    ByteWriter out;
    out.raw(std::array<std::uint8_t, 8>{'f', 'm', 'v', 'm', 'd', 'i', 's', 'k'});
    out.u32(1);
    out.raw(id_of(1));
    out.u32(3);
    out.u64(labelled_bytes);
    out.u64(7);
    out.raw(id_of(2));
    out.raw(id_of(3));
    out.u8(2);
    out.raw(id_of(4));
    out.u64(digest_of(out.bytes()));
    Bytes bytes = out.take();
    DiskLabel expected = some_label();
    expected.disks = 0;
    expected.origin = {};
    CHECK(DiskLabel::decode(bytes) == expected);
    bytes.resize(4096);  // as in the file
    CHECK(DiskLabel::decode(bytes) == expected);
    bytes[40] ^= 1;
    CHECK_FALSE(DiskLabel::decode(bytes));
}

TEST_CASE("a label that is whole, but says what cannot be, counts as damaged") {
    DiskLabel label = some_label();
    label.role = static_cast<DiskRole>(4);
    CHECK_FALSE(DiskLabel::decode(label.encode()));
    label = some_label();
    label.image_bytes = 0;
    CHECK_FALSE(DiskLabel::decode(label.encode()));
}

TEST_CASE("a pair counts while it is offered, none never does") {
    DiskLabel label = some_label();
    CHECK(label.is_paired_by(label.pair));
    CHECK(label.is_paired_by(label.offered));
    CHECK_FALSE(label.is_paired_by(id_of(9)));
    label.offered = label.pair = {};
    CHECK_FALSE(label.is_paired_by({}));
}

TEST_CASE("a label file is made whole, found and opened again") {
    LabelPath at;
    CHECK(at.found().state == LabelState::absent);
    {
        LabelFile file = LabelFile::create(at.path, some_label()).value();
        CHECK(file.blocks()[0] == ~std::uint64_t{0});
        file.blocks()[0] = 5;
        file.regions()[0] = 6;
        // Locked, for others and for us.
        CHECK(LabelFile::open(at.path).error().message().find("in use") != std::string::npos);
        CHECK_FALSE(LabelFile::create(at.path, some_label()).ok());
        CHECK(at.found().label == some_label());
    }
    LabelFile file = LabelFile::open(at.path).value();
    CHECK(file.label() == some_label());
    CHECK(file.blocks()[0] == 5);
    CHECK(file.regions()[0] == 6);
    CHECK_FALSE(std::filesystem::exists(at.path + ".new"));
}

TEST_CASE("a label file cut short or with more behind it is damaged") {
    LabelPath at;
    (void)LabelFile::create(at.path, some_label()).value();
    const Bytes whole = at.read();
    for (std::size_t length = 0; length < whole.size(); length += length < 300 ? 1 : 97) {
        at.write(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
        CHECK(at.found().state == LabelState::damaged);
        CHECK_FALSE(LabelFile::open(at.path).ok());
    }
    Bytes longer = whole;
    longer.push_back(0);
    at.write(longer);
    CHECK(at.found().state == LabelState::damaged);
    // And it can be replaced.
    (void)LabelFile::create(at.path, some_label()).value();
    CHECK(at.found().state == LabelState::whole);
}

TEST_CASE("a label file without its last page gets it, and all it says stays") {
    LabelPath at;
    {
        LabelFile file = LabelFile::create(at.path, some_label()).value();
        file.blocks()[0] = 5;
        file.progress().begin(some_label().pair);
        file.progress().count_sent();
    }
    Bytes bytes = at.read();
    CHECK(LabelFile::open(at.path).value().progress().under(some_label().pair).sent == 1);
    bytes.resize(bytes.size() - page_size);
    at.write(bytes);
    REQUIRE(at.found().label == some_label());
    {
        LabelFile file = LabelFile::open(at.path).value();
        CHECK(file.label() == some_label());
        CHECK(file.blocks()[0] == 5);
        CHECK(file.progress().under(some_label().pair) == PairProgress{});
        file.progress().begin(some_label().pair);
    }
    CHECK(at.read().size() == bytes.size() + page_size);
    CHECK(at.found().label == some_label());
}

TEST_CASE("damage to one copy of a label is made good by the other, to both it is noticed") {
    LabelPath at;
    (void)LabelFile::create(at.path, some_label()).value();
    const Bytes whole = at.read();
    for (std::size_t byte = 0; byte < DiskLabel::encoded_bytes; ++byte) {
        Bytes damaged = whole;
        damaged[byte] ^= 0x10;
        at.write(damaged);
        CHECK(at.found().label == some_label());
        damaged[4096 + byte] ^= 0x10;
        at.write(damaged);
        CHECK(at.found().state == LabelState::damaged);
        damaged[byte] ^= 0x10;
        at.write(damaged);
        CHECK(at.found().label == some_label());
    }
}

TEST_CASE("wherever the power goes while a label changes, it is the old one or the new one") {
    LabelPath at;
    LabelFile file = LabelFile::create(at.path, some_label()).value();
    DiskLabel changed = some_label();
    changed.role = DiskRole::syncing;
    changed.pair = id_of(0x77);
    changed.generation = 0x0102030405060708;

    // Between two syncs any part of what was written since may be on the disk.
    std::vector<Bytes> durable{at.read()};
    {
        const SyncWatch watch([&](int) {
            durable.push_back(at.read());
            return std::nullopt;
        });
        REQUIRE(file.write(changed).ok());
    }
    REQUIRE(durable.back() == at.read());
    LabelPath crashed;
    std::vector<DiskLabel> seen;
    for (std::size_t step = 1; step < durable.size(); ++step) {
        Bytes partly = durable[step - 1];
        for (std::size_t byte = 0; byte <= partly.size(); ++byte) {
            const bool differs = byte < partly.size() && partly[byte] != durable[step][byte];
            if (!differs && byte != partly.size()) continue;
            crashed.write(partly);
            REQUIRE(crashed.found().state == LabelState::whole);
            const DiskLabel label = crashed.found().label;
            REQUIRE((label == some_label() || label == changed));
            // Never back again.
            if (!seen.empty() && seen.back() == changed) REQUIRE(label == changed);
            seen.push_back(label);
            if (differs) partly[byte] = durable[step][byte];
        }
    }
    CHECK(seen.front() == some_label());
    CHECK(seen.back() == changed);
}

TEST_CASE("a label file is durable before it gets its name") {
    LabelPath at;
    bool synced = false;
    {
        const SyncWatch watch([&](int) {
            synced = true;
            CHECK_FALSE(std::filesystem::exists(at.path));
            return std::nullopt;
        });
        (void)LabelFile::create(at.path, some_label()).value();
    }
    CHECK(synced);
    // One that cannot be made leaves nothing.
    LabelPath other;
    const SyncWatch watch([&](int) { return EIO; });
    CHECK_FALSE(LabelFile::create(other.path, some_label()).ok());
    CHECK_FALSE(std::filesystem::exists(other.path));
    CHECK_FALSE(std::filesystem::exists(other.path + ".new"));
}

TEST_CASE("after a failed sync a label file is not written any more") {
    LabelPath at;
    LabelFile file = LabelFile::create(at.path, some_label()).value();
    {
        const SyncWatch watch([](int) { return EIO; });
        CHECK_FALSE(file.sync().ok());
    }
    CHECK_FALSE(file.sync().ok());
    CHECK_FALSE(file.write(some_label()).ok());
}

TEST_CASE("a label path that is no file is refused") {
    CHECK_FALSE(find_label("/tmp").ok());
    CHECK_FALSE(find_label("/dev/null").ok());
    CHECK_FALSE(LabelFile::open("/dev/null").ok());
    CHECK_FALSE(LabelFile::create("/nonexistent/x.fmvm", some_label()).ok());
}

TEST_CASE("the label stands beside the file, whatever name it was given") {
    TempFile image(4096);
    const std::string link = image.path() + ".link";
    std::filesystem::create_symlink(image.path(), link);
    CHECK(default_label_path(link) == default_label_path(image.path()));
    CHECK(default_label_path(image.path()) ==
          std::filesystem::canonical(image.path()).string() + ".fmvm");
    std::filesystem::remove(link);
}

TEST_CASE("this host's run has an identity, always the same") {
    CHECK(this_boot() != LabelId{});
    CHECK(this_boot() == this_boot());
}
