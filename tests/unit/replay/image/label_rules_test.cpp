// SPDX-License-Identifier: Apache-2.0
#include "replay/image/label_rules.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <initializer_list>

using namespace fmvm;
using namespace fmvm::replay;

namespace {

const LabelId our_vm{1};
const LabelId other_vm{9};

// Disk 1 of the three of our guest, left in generation 7.
DiskLabel label_of(DiskRole role) {
    DiskLabel label;
    label.vm = our_vm;
    label.disk = 1;
    label.disks = 3;
    label.image_bytes = 1;
    label.generation = 7;
    label.role = role;
    return label;
}

FoundLabel found(const DiskLabel& label) {
    return {LabelState::whole, label};
}

constexpr std::initializer_list<DiskRole> all_roles{DiskRole::clean, DiskRole::running,
                                                    DiskRole::following, DiskRole::syncing};

bool message_names(const Result<void>& result, std::initializer_list<const char*> parts) {
    const std::string message = result.error().message();
    return message.find('\n') == std::string::npos &&
           std::ranges::all_of(
               parts, [&](const char* part) { return message.find(part) != std::string::npos; });
}

}  // namespace

TEST_CASE("fmvm run takes images without a label or with a clean one") {
    CHECK(may_run({LabelState::absent, {}}, "a.img").ok());
    CHECK(may_run(found(label_of(DiskRole::clean)), "a.img").ok());
    for (const DiskRole role : {DiskRole::running, DiskRole::following}) {
        CHECK(message_names(may_run(found(label_of(role)), "a.img"),
                            {"disk a.img", "generation 7", "gone on elsewhere", "backup"}));
    }
    CHECK(message_names(may_run(found(label_of(DiskRole::syncing)), "a.img"),
                        {"disk a.img", "partly", "backup"}));
    CHECK(message_names(may_run({LabelState::damaged, {}}, "a.img"),
                        {"disk a.img", "damaged", "whole"}));
}

TEST_CASE("a backup overwrites no other guest's image, nor another disk's, whatever its role") {
    for (const DiskRole role : all_roles) {
        DiskLabel label = label_of(role);
        CHECK(may_follow(label, "b.img", {our_vm, 1, 3}, {}).ok());
        // The primary may have been given fewer disks, or more, on purpose.
        CHECK(may_follow(label, "b.img", {our_vm, 1, 2}, {}).ok());
        CHECK(message_names(may_follow(label, "b.img", {our_vm, 0, 3}, {}),
                            {"disk b.img", "disk 1 of this guest, not 0", "order"}));
        CHECK(message_names(may_follow(label, "b.img", {other_vm, 1, 3}, {}),
                            {"disk b.img", "another guest's", "own"}));
        label.generation = 0;  // made just now, because there was none
        CHECK(may_follow(label, "b.img", {other_vm, 0, 3}, {}).ok());
    }
}

TEST_CASE(
    "a backup overwrites no state of its guest from which the primary's disk does not descend") {
    const DiskPlace place{our_vm, 1, 3};
    for (const DiskRole role : all_roles) {
        DiskLabel label = label_of(role);
        label.origin = {5};
        CHECK(may_follow(label, "b.img", place, {5}).ok());
        const Result<void> other = may_follow(label, "b.img", place, {6});
        if (role == DiskRole::syncing) {  // no state that any guest ever saw
            CHECK(other.ok());
        } else {
            CHECK(message_names(other, {"disk b.img", "generation 7", name_of(role), "descend"}));
            CHECK(other.error().message().find("--") == std::string::npos);
        }
        label.generation = 0;
        CHECK(may_follow(label, "b.img", place, {6}).ok());
    }
}

TEST_CASE("a primary takes no disk without a label once its guest has run, but for an added one") {
    DiskLabel fresh;
    fresh.image_bytes = 1;
    const auto why = [&](bool is_added, std::uint64_t newest) {
        return may_protect(found(fresh), "a.img", {our_vm, 1, 3, is_added}, newest);
    };
    CHECK(why(false, 0).ok());
    CHECK(why(true, 7).ok());
    CHECK(message_names(why(false, 7), {"disk a.img", "no label", "generation 7"}));
    CHECK(message_names(may_protect({LabelState::absent, {}}, "a.img", {our_vm, 1, 3}, 7),
                        {"disk a.img", "no label"}));
}

TEST_CASE("a primary takes what its arbiter knows nothing newer than") {
    const DiskPlace place{our_vm, 1, 3};
    CHECK(may_protect({LabelState::absent, {}}, "a.img", place, 0).ok());
    CHECK_FALSE(may_protect({LabelState::damaged, {}}, "a.img", place, 7).ok());
    const auto allowed = [&](DiskRole role, std::uint64_t newest) {
        return may_protect(found(label_of(role)), "a.img", place, newest).ok();
    };
    CHECK(allowed(DiskRole::clean, 7));
    CHECK(allowed(DiskRole::running, 7));
    CHECK_FALSE(allowed(DiskRole::following, 7));
    CHECK_FALSE(allowed(DiskRole::syncing, 7));
    CHECK_FALSE(allowed(DiskRole::clean, 8));
    CHECK_FALSE(allowed(DiskRole::running, 8));
    CHECK_FALSE(allowed(DiskRole::running, 6));
    // An arbiter that knows of no generation: a new one, or none.
    CHECK(allowed(DiskRole::clean, 0));
    CHECK_FALSE(allowed(DiskRole::running, 0));
    CHECK_FALSE(allowed(DiskRole::following, 0));
    // Made just now, because there was none.
    FoundLabel fresh = found(label_of(DiskRole::clean));
    fresh.label.generation = 0;
    CHECK(may_protect(fresh, "a.img", {other_vm, 0, 1}, 0).ok());
    fresh.label.role = DiskRole::syncing;  // or because it was damaged
    CHECK_FALSE(may_protect(fresh, "a.img", place, 0).ok());
}

TEST_CASE("a primary takes its guest's disks only, all of them, and in their order") {
    for (const DiskRole role : {DiskRole::clean, DiskRole::running}) {
        const FoundLabel label = found(label_of(role));
        const auto why = [&](const DiskPlace& place) {
            return may_protect(label, "a.img", place, 7);
        };
        CHECK(why({our_vm, 1, 3}).ok());
        CHECK(why({our_vm, 1, 4}).ok());  // one is new
        CHECK(message_names(why({our_vm, 0, 3}), {"disk a.img", "disk 1 of this guest, not 0"}));
        CHECK(message_names(why({our_vm, 1, 2}), {"disk a.img", "3 disks, of which 2"}));
        CHECK(message_names(why({other_vm, 1, 3}), {"disk a.img", "another guest's"}));
    }
    DiskLabel old = label_of(DiskRole::clean);
    old.disks = 0;  // written by an older fmvm
    CHECK(may_protect(found(old), "a.img", {our_vm, 1, 2}, 7).ok());
}

TEST_CASE(
    "an image that is only read is at the place that its label knows, if it is this guest's") {
    for (const DiskRole role : all_roles) {
        const FoundLabel label = found(label_of(role));
        CHECK(may_be_seen(label, "a.img", {our_vm, 1, 3}).ok());
        CHECK(may_be_seen(label, "a.img", {other_vm, 0, 1}).ok());
        CHECK(message_names(may_be_seen(label, "a.img", {our_vm, 2, 3}), {"disk a.img", "order"}));
    }
    CHECK(may_be_seen({LabelState::absent, {}}, "a.img", {our_vm, 2, 3}).ok());
}
