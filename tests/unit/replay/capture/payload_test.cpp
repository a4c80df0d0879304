// SPDX-License-Identifier: Apache-2.0
#include "replay/capture/payload.h"

#include <catch2/catch.hpp>

#include "base/units.h"

using namespace fmvm;
using namespace fmvm::replay;

namespace {

struct Bench {
    std::shared_ptr<PayloadBudget> budget = std::make_shared<PayloadBudget>(16 * kib);
    unsigned calls = 0;
    Bench() {
        budget->on_room([this] { ++calls; });
    }
};

}  // namespace

TEST_CASE("payload budget: nothing beyond it; room is told once half of it is free") {
    Bench bench;
    std::optional<Payload> first = bench.budget->take(8 * kib);
    std::optional<Payload> second = bench.budget->take(8 * kib);
    REQUIRE(first);
    REQUIRE(second);
    CHECK_FALSE(bench.budget->take(512));
    CHECK(bench.calls == 0);
    first.reset();
    CHECK(bench.calls == 1);
    second.reset();
    CHECK(bench.calls == 1);  // nobody asked since
    CHECK(bench.budget->take(16 * kib));
}

TEST_CASE("payload budget: what is larger than all of it goes when nothing else is held") {
    Bench bench;
    {
        const std::optional<Payload> small = bench.budget->take(512);
        CHECK_FALSE(bench.budget->take(17 * kib));
    }
    CHECK(bench.calls == 1);
    std::optional<Payload> large = bench.budget->take(1 * mib + 512);
    REQUIRE(large);
    CHECK(large->bytes().size() == 1 * mib + 512);
    large->bytes().back() = 1;
    CHECK(bench.budget->is_exceeded());
    CHECK_FALSE(bench.budget->take(512));
    large.reset();
    CHECK_FALSE(bench.budget->is_exceeded());
}

TEST_CASE("payload budget: what is held elsewhere counts, too") {
    Bench bench;
    bench.budget->charge(16 * kib);
    CHECK_FALSE(bench.budget->is_exceeded());
    CHECK_FALSE(bench.budget->take(1));
    bench.budget->charge(1);
    CHECK(bench.budget->is_exceeded());
    bench.budget->uncharge(16 * kib + 1);
    CHECK(bench.calls == 1);
    CHECK(bench.budget->take(16 * kib));
}

TEST_CASE("payload: aligned to pages, moves, gives back once") {
    Bench bench;
    for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, std::size_t{4097},
                                   std::size_t{12 * kib}, std::size_t{16 * kib}}) {
        std::optional<Payload> taken = bench.budget->take(size);
        REQUIRE(taken);
        CHECK(is_aligned(reinterpret_cast<std::uintptr_t>(taken->bytes().data()), page_size));
        std::ranges::fill(taken->bytes(), std::uint8_t{0xff});
        Payload moved = std::move(*taken);
        CHECK(taken->empty());
        taken.reset();
        CHECK(moved.bytes().size() == size);
        CHECK_FALSE(bench.budget->take(16 * kib));  // it still counts
        moved = Payload();
    }
    CHECK(bench.budget->take(16 * kib));
}

TEST_CASE("payload: outlives whoever made the budget; without a handler nobody is told") {
    Bench bench;
    const std::optional<Payload> taken = bench.budget->take(16 * kib);
    CHECK_FALSE(bench.budget->take(1));
    bench.budget->on_room(nullptr);
    bench.budget.reset();
    CHECK(taken->bytes().size() == 16 * kib);
}
