// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/page_store.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::lockstep;

TEST_CASE("page store: a slot is free when its last user has freed it", "[store]") {
    const std::shared_ptr<PageStore> store = PageStore::create(2 * page_size).value();
    const PageStore::Slot first = store->allocate();
    const PageStore::Slot second = store->allocate();
    CHECK(store->allocate() == PageStore::none);
    auto lease = std::make_unique<SlotLease>(store);
    lease->add(first);
    store->free(first);
    CHECK(store->free_count() == 0);  // still on its way
    store->free(second);
    CHECK(store->allocate() == second);
    lease.reset();
    CHECK(store->allocate() == first);
}

TEST_CASE("page store: providing memory leaves what is in use alone", "[store]") {
    const std::shared_ptr<PageStore> store = PageStore::create(8 * page_size).value();
    const PageStore::Slot used = store->allocate();
    const PageStore::Slot freed = store->allocate();
    store->bytes(used)[0] = 77;
    store->free(freed);
    store->provide(5);
    CHECK(store->bytes(used)[0] == 77);
    store->provide(100);  // more than there is
    CHECK(store->bytes(used)[0] == 77);
}

TEST_CASE("page store: lasts as long as a lease", "[store]") {
    std::shared_ptr<PageStore> store = PageStore::create(page_size).value();
    const PageStore::Slot slot = store->allocate();
    const auto bytes = store->bytes(slot);
    bytes[7] = 77;
    SlotLease lease(store);
    lease.add(slot);
    store->free(slot);
    store.reset();
    CHECK(bytes[7] == 77);
}
