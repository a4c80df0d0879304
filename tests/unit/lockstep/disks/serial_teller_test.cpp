// SPDX-License-Identifier: Apache-2.0
#include "lockstep/disks/serial_teller.h"

#include <catch2/catch.hpp>

#include "replay/resync/resync_messages.h"

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

// A label with a pair, all of whose regions are inactive.
std::unique_ptr<replay::DirtyBlockMap> joined_map() {
    replay::DiskLabel label;
    label.image_bytes = 4 * replay::label_region_bytes;
    auto map = replay::DirtyBlockMap::unsaved(label).value();
    label.pair = {2};
    REQUIRE(map->set_label(label).ok());
    map->clear({{0, 4 * replay::blocks_per_region}});
    const auto prune = map->begin_prune(replay::DirtyBlockMap::Prune::all);
    map->end_prune(prune.value(), true);
    return map;
}

void write(replay::DirtyBlockMap& map, std::uint64_t region) {
    REQUIRE(map.mark(region * replay::label_region_bytes, 512).ok());
    map.end_change(region * replay::label_region_bytes, 512, false);
}

struct Told {
    unsigned disk;
    std::uint64_t serial;
    bool operator==(const Told&) const = default;
};

std::vector<Told> all_told(SerialTeller& teller) {
    std::vector<Told> told;
    for (OutgoingMessage message = teller.next(); !message.empty(); message = teller.next()) {
        REQUIRE(message.type == FrameType::disk_serial);
        const auto serial = replay::SerialMessage::decode(message.body.flat()).value();
        told.push_back({serial.disk, serial.serial});
    }
    return told;
}

}  // namespace

TEST_CASE("the serial of each disk that has joined is told once, and again when it has advanced") {
    const auto first = joined_map();
    const auto second = joined_map();
    SerialTeller teller;
    teller.begin(0, *first);
    CHECK(all_told(teller).empty());
    write(*first, 0);
    write(*second, 0);
    CHECK(all_told(teller) == std::vector<Told>{{0, 1}});
    teller.begin(1, *second);
    write(*first, 0);  // a region that is active
    CHECK(all_told(teller) == std::vector<Told>{{1, 1}});
    write(*first, 1);
    write(*first, 2);
    write(*second, 3);
    CHECK(all_told(teller) == std::vector<Told>{{0, 3}, {1, 2}});
}
