// SPDX-License-Identifier: Apache-2.0
#include "cli/options/import_arguments.h"

#include <catch2/catch.hpp>

using namespace fmvm::cli;
using namespace fmvm::node;

namespace {

fmvm::Result<ImportOptions> options_of(std::vector<std::string> image, std::vector<std::string> to,
                                       std::vector<std::string> format) {
    Arguments arguments;
    arguments.behind("FILE") = std::move(image);
    arguments.behind("--to") = std::move(to);
    arguments.behind("--format") = std::move(format);
    return import_options(arguments);
}

}  // namespace

TEST_CASE("import's options have defaults that the image's name tells", "[cli]") {
    const ImportOptions options = options_of({"a/debian-12.qcow2"}, {}, {}).value();
    CHECK(options.to == "debian-12");
    CHECK(options.format == ImageFormat::qcow2);
    CHECK(options_of({"x.img"}, {"vm/"}, {"vmdk"}).value().to == "vm");
    CHECK(options_of({"x.img"}, {}, {"vmdk"}).value().format == ImageFormat::vmdk);
    CHECK_FALSE(options_of({}, {}, {}).ok());
    CHECK_FALSE(options_of({"a.raw", "b.raw"}, {}, {}).ok());
    CHECK_FALSE(options_of({""}, {}, {"raw"}).ok());
    CHECK_FALSE(options_of({"a.raw"}, {""}, {}).ok());
    CHECK_FALSE(options_of({"a.raw"}, {"a", "b"}, {}).ok());
}
