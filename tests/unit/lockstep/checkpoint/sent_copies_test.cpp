// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/sent_copies.h"

#include <catch2/catch.hpp>

#include "lockstep/checkpoint/page_store.h"

using namespace fmvm;
using namespace fmvm::lockstep;

TEST_CASE("sent copies: they make room, spared pages last", "[store]") {
    const std::shared_ptr<PageStore> store = PageStore::create(4 * page_size).value();
    SentCopies copies(*store, 10);
    for (PageIndex page = 0; page < 4; ++page)
        copies.keep(page, store->allocate());
    CHECK(store->free_count() == 0);
    copies.make_room(3, [](PageIndex page) { return page == 2; });
    CHECK(store->free_count() == 3);
    CHECK(copies.find(2) != PageStore::none);
    copies.make_room(4, [](PageIndex page) { return page == 2; });
    CHECK(store->free_count() == 4);
    CHECK(copies.find(2) == PageStore::none);
}

TEST_CASE("sent copies: what is kept is freed with them, or when it is replaced", "[store]") {
    const std::shared_ptr<PageStore> store = PageStore::create(4 * page_size).value();
    {
        SentCopies copies(*store, 10);
        copies.keep(1, store->allocate());
        copies.keep(1, store->allocate());
        CHECK(store->free_count() == 3);
        copies.keep(2, store->allocate());
    }
    CHECK(store->free_count() == 4);
}
