// SPDX-License-Identifier: Apache-2.0
#include "cli/options/import_arguments.h"

#include <catch2/catch.hpp>

using namespace fmvm::cli;
using namespace fmvm::node;

TEST_CASE("import words: options and their defaults", "[cli]") {
    const ImportOptions options = import_options({{"a/debian-12.qcow2"}, {}, {}}).value();
    CHECK(options.to == "debian-12");
    CHECK(options.format == ImageFormat::qcow2);
    CHECK(import_options({{"x.img"}, {"vm/"}, {"vmdk"}}).value().to == "vm");
    CHECK(import_options({{"x.img"}, {}, {"vmdk"}}).value().format == ImageFormat::vmdk);
    CHECK_FALSE(import_options({{}, {}, {}}).ok());
    CHECK_FALSE(import_options({{"a.raw", "b.raw"}, {}, {}}).ok());
    CHECK_FALSE(import_options({{""}, {}, {"raw"}}).ok());
    CHECK_FALSE(import_options({{"a.raw"}, {""}, {}}).ok());
    CHECK_FALSE(import_options({{"a.raw"}, {"a", "b"}, {}}).ok());
}
