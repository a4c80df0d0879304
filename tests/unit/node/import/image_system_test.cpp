// SPDX-License-Identifier: Apache-2.0
// What is read out of an image, of which all is hostile.
#include "node/import/image_system.h"

#include <catch2/catch.hpp>

using namespace fmvm::node;

namespace {

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("image names: only harmless ones are taken from a listing", "[cli]") {
    CHECK(harmless_names("vmlinuz-6.1.0-1 initrd.img-6.1.0-1 grub/ \n") ==
          Names{"vmlinuz-6.1.0-1", "initrd.img-6.1.0-1", "grub/"});
    CHECK(harmless_names("a\x1b[2J b;c $(d) ../e / 'f' \xc3\xa9 g+1~rc_2") == Names{"g+1~rc_2"});
    CHECK(harmless_names("").empty());
    CHECK(harmless_names(" \n / //").empty());
}

TEST_CASE("image devices: as GRUB calls them", "[cli]") {
    CHECK(grub_device(PartitionTable::Kind::none, {}) == "loop0");
    CHECK(grub_device(PartitionTable::Kind::gpt, {15, ""}) == "loop0,gpt15");
    CHECK(grub_device(PartitionTable::Kind::mbr, {2, ""}) == "loop0,msdos2");
}
