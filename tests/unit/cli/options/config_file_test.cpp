// SPDX-License-Identifier: Apache-2.0
#include "cli/options/config_file.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "base/json.h"
#include "support/temp_directory.h"

using namespace fmvm;
using namespace fmvm::cli;
using namespace fmvm::node;

namespace {

std::string config_error(std::string_view text) {
    const Result<GivenOptions> given = parse_config(text, "vm.json");
    INFO(text);
    REQUIRE_FALSE(given.ok());
    return given.error().message();
}

// The error starts with "vm.json, line L, column C: " and names `part`.
void check_error(std::string_view text, std::size_t line, std::size_t column,
                 std::string_view part) {
    const std::string error = config_error(text);
    INFO(error);
    CHECK(error.starts_with(fmt::format("vm.json, line {}, column {}: ", line, column)));
    CHECK(error.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("configuration: every key") {
    const GivenOptions given = parse_config(R"({
        "kernel": "vmlinux", "initrd": "i.cpio", "cmdline": "console=ttyS0 \"x\"",
        "memory": "1G", "cpus": 2, "console": "file:log", "host-quirks": "off", "verbose": 2,
        "control": "vm.sock", "restore": "saved",
        "disks": [{"path": "a,b.img", "readonly": true, "direct": true, "serial": "s",
                   "label": "l.fmvm"},
                  "path=c.img,readonly", {"path": "d.img", "format": "raw"}]
    })",
                                            "vm.json")
                                   .value();
    CHECK(given.kernel == "vmlinux");
    CHECK(given.initrd == "i.cpio");
    CHECK(given.cmdline == "console=ttyS0 \"x\"");
    CHECK(given.memory_bytes == gib);
    CHECK(given.cpus == 2U);
    CHECK(given.console == ConsoleOptions{ConsoleKind::file, "log"});
    CHECK(given.control == "vm.sock");
    CHECK(given.restore == "saved");
    CHECK(given.host_quirks == HostQuirks::off);
    CHECK(given.verbosity == 2);
    REQUIRE(given.disks->size() == 3);
    CHECK(given.disks->at(0) == DiskOptions{"a,b.img", true, true, "s", "l.fmvm"});
    CHECK(given.disks->at(1) == DiskOptions{"c.img", true, false, ""});
    CHECK(given.disks->at(2) == DiskOptions{"d.img", false, false, "", "", true});
}

TEST_CASE("configuration: what is absent stays absent, and a number of memory is MiB") {
    const GivenOptions given = parse_config(R"({"memory": 64})", "vm.json").value();
    CHECK(given.memory_bytes == 64 * mib);
    CHECK_FALSE(given.kernel);
    CHECK_FALSE(given.disks);
    CHECK_FALSE(given.console);
    CHECK_FALSE(parse_config("{}", "vm.json").value().cpus);
}

TEST_CASE("configuration: errors name line, column and key") {
    check_error("{\n  \"cpus\": 1,\n  \"memroy\": 5\n}", 3, 3, "'memroy': unknown key");
    check_error("{\n  \"cpus\": \"two\"\n}", 2, 3, "'cpus': a whole number is expected");
    check_error(R"({"disks": [{"path": "a", "format": "qcow2"}]})", 1, 26, "disks are raw");
    check_error("{\"cpus\": -1}", 1, 2, "'cpus': a whole number");
    check_error("{\"cpus\": 1.5}", 1, 2, "'cpus': a whole number");
    check_error("{\"cpus\": 4294967297}", 1, 2, "'cpus': the number is too large");
    check_error("{\"kernel\": 7}", 1, 2, "'kernel': a string is expected");
    check_error("{\"kernel\": null}", 1, 2, "'kernel': a string is expected");
    check_error("{\"memory\": true}", 1, 2, "'memory': a size");
    check_error("{\"memory\": \"9Q\"}", 1, 2, "'memory': '9Q' is not a size");
    check_error("{\"memory\": 99999999999999999}", 1, 2, "'memory': ");
    check_error("{\"console\": \"tty\"}", 1, 2, "'console': 'tty' is not a console");
    check_error("{\"host-quirks\": \"on\"}", 1, 2, "'host-quirks': 'on'");
    check_error("{\"cpus\":1,\n\t\"cpus\":2}", 2, 2, "'cpus' stands twice");
    check_error("[1]", 1, 1, "an object in braces");
}

TEST_CASE("configuration: errors in disks are found where they stand") {
    check_error("{\"disks\": {}}", 1, 2, "'disks': an array");
    check_error("{\"disks\": [\n 12,\n 3]}", 2, 2, "'disks': an array of objects");
    check_error("{\"disks\": [\n \"path=a\",\n  \"path=b,ro\"]}", 3, 3, "'ro' is not a disk key");
    check_error("{\"disks\": [{\"path\":\"a\"},\n {\"readonly\":true}]}", 2, 2, "needs a \"path\"");
    check_error("{\"disks\": [{\"path\":\"a\",\n \"ro\":true}]}", 2, 2, "'ro': is not a disk key");
    check_error("{\"disks\": [{\"path\":\"a\",\"readonly\":1}]}", 1, 24, "'readonly': true or");
}

TEST_CASE("configuration: malformed JSON") {
    check_error("", 1, 1, "not well-formed JSON");
    check_error("{\n\"cpus\": 1,\n}", 3, 1, "not well-formed JSON");
    check_error("{\n\"cpus\": tru\n}", 2, 12, "not well-formed JSON");
    check_error("{\"cpus\": 1} x", 1, 13, "not well-formed JSON");
    check_error("{\"a\xff\": 1}", 1, 4, "not well-formed JSON");
    check_error("{\"disks\": [[[[[[[[[[[[[[[]]]]]]]]]]]]]]}", 1, 18, "nested too deeply");
    for (const char* text :
         {"{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"cpus\":1", "nul", "\"", "-"}) {
        CHECK(config_error(text).find('\n') == std::string::npos);
    }
}

TEST_CASE("configuration: a FIFO is refused and not waited for") {
    const test::TempDirectory directory;
    REQUIRE(::mkfifo(directory.file("fifo").c_str(), 0600) == 0);
    CHECK(read_config_file(directory.file("fifo")).error().message() ==
          fmt::format("configuration file {}: is a FIFO, not a file", directory.file("fifo")));
}

TEST_CASE("configuration: a file that cannot be read is named") {
    CHECK(read_config_file("/nonexistent/vm.json").error().message().find("/nonexistent/vm.json") !=
          std::string::npos);
    CHECK(read_config_file("/").error().message() ==
          "configuration file /: is a directory, not a file");
    CHECK(read_config_file("/dev/zero").error().message() ==
          "configuration file /dev/zero: is a device, not a file");
}
