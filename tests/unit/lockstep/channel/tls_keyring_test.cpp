// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tls_keyring.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "support/captured_log.h"
#include "support/tls_ends.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

TEST_CASE("a keyring has the keys that its file has now", "[tls]") {
    const CapturedLog log;
    const KeyFile file({1});
    const auto keys = file.open();
    const auto before = keys->context();
    CHECK(before->offered().key == keys_of({1}).front());
    CHECK(keys->context() == before);
    file.write({2, 1});
    const auto after = keys->context();
    CHECK(after->offered().key == keys_of({2}).front());
    REQUIRE(after->find(before->offered().id) != nullptr);
    CHECK(after->find(before->offered().id)->key == keys_of({1}).front());
    CHECK(after->find("") == nullptr);
    CHECK(log.count("has changed") == 1);
}

TEST_CASE("a key file that cannot be used any more is told of, and the keys stay", "[tls]") {
    const CapturedLog log;
    const KeyFile file({1});
    const auto keys = file.open();
    const auto before = keys->context();
    SECTION("others may read it") {
        REQUIRE(::chmod(file.path().c_str(), 0644) == 0);
    }
    SECTION("it is gone") {
        REQUIRE(::unlink(file.path().c_str()) == 0);
    }
    SECTION("it is empty") {
        REQUIRE(::truncate(file.path().c_str(), 0) == 0);
    }
    CHECK(keys->context() == before);
    CHECK(keys->context() == before);
    CHECK(log.count("the keys that it had before still hold") == 1);
}

TEST_CASE("the id of a key shows nothing of it, and is another for each", "[tls]") {
    const TlsContext one(keys_of({1})), two(keys_of({2}));
    CHECK(one.offered().id != two.offered().id);
    CHECK(one.offered().id == TlsContext(keys_of({1})).offered().id);
    CHECK(one.offered().id.size() == 21);
    CHECK(one.offered().id.find("0101") == std::string::npos);
}
