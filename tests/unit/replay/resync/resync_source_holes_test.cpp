// SPDX-License-Identifier: Apache-2.0
#include "support/resync_pair.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

TEST_CASE("holes on both sides are equal, and nobody looks at them") {
    ResyncPair pair;
    pair.source_image.holes = {3, 4, 5, block_count - 1};
    pair.target_image.holes = {4, 5, 6, block_count - 1};
    // The guest has begun to write where one was.
    REQUIRE(pair.source_map->mark(5 * disk_block_bytes, 512).ok());
    pair.run();
    CHECK(pair.source->progress().blocks_total == block_count - 2);
    Blocks read = all_blocks();
    std::erase_if(read, [](BlockIndex block) { return block == 4 || block == block_count - 1; });
    CHECK(pair.target_image.reads == read);
    CHECK(pair.target_map->dirty().size() == 0);
    BlockSet left = pair.source_map->dirty();
    CHECK(left.size() == 1);
    CHECK(left.contains(5));  // for the first epoch
    pair.source_map->end_change(5 * disk_block_bytes, 512, false);
}

TEST_CASE("two fresh disks without data are equal at once") {
    ResyncPair pair;
    pair.source_image.holes = pair.target_image.holes = all_blocks();
    pair.begin();
    CHECK(pair.source->finished());
    CHECK(pair.target->finished());
    CHECK_FALSE(pair.source->next().value().has_value());
    CHECK(pair.source_map->dirty().size() == 0);
    CHECK(pair.target_map->dirty().size() == 0);
}
