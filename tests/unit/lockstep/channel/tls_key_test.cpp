// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tls_key.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "support/temp_directory.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

const std::string first_key(64, '1');
const std::string second_key(64, '2');

std::string why_none(const std::string& text) {
    return parse_tls_keys(text).error().message();
}

// A key file with this content.
struct WrittenKey {
    explicit WrittenKey(const std::string& text, mode_t mode = 0600)
        : path(directory.write("vm.key", text)) {
        REQUIRE(::chmod(path.c_str(), mode) == 0);
    }
    const TempDirectory directory;
    const std::string path;
};

}  // namespace

TEST_CASE("a key file holds one key, or two while keys are changed, the offered one first",
          "[tls]") {
    const TlsKeys keys = parse_tls_keys(second_key + "\n" + first_key + "\n").value();
    REQUIRE(keys.size() == 2);
    CHECK(keys[0].bytes[31] == 0x22);
    CHECK(keys[1].bytes[0] == 0x11);
    CHECK(parse_tls_keys(first_key).value() == TlsKeys{keys[1]});
    CHECK(parse_tls_keys("0123456789abcdefABCDEF" + std::string(42, '0')).ok());
}

TEST_CASE("what is no key file is refused, and no error shows any of it", "[tls]") {
    CHECK(why_none("").find("is empty") == 0);
    for (const std::string& bad :
         {first_key.substr(1), first_key + "1", "\n" + first_key, first_key + "\n\n",
          first_key + "\r\n", " " + first_key, first_key + " ", "0x" + first_key.substr(2),
          "-1" + first_key.substr(2), "g" + first_key.substr(1), std::string(64, '\0'),
          first_key + std::string("\0", 1), "# a comment\n" + first_key,
          first_key + "\n" + second_key.substr(1)}) {
        const std::string why = why_none(bad);
        CHECK(why.find("is no key; a line has 64 hexadecimal digits") != std::string::npos);
        CHECK(why.find("111") == std::string::npos);
        CHECK(why.find("222") == std::string::npos);
    }
    CHECK(why_none(std::string(64, '0')) == "holds a key of zeroes, which is no secret");
    CHECK(why_none(first_key + "\n" + first_key) == "holds the same key twice");
    CHECK(why_none(first_key + "\n" + second_key + "\n" + std::string(64, '3')) ==
          "holds more than two keys");
}

TEST_CASE("a key that is made can be read, by its owner only, and is another each time", "[tls]") {
    const TempDirectory directory;
    const std::string a = directory.file("a"), b = directory.file("b");
    REQUIRE(create_tls_key(a).ok());
    REQUIRE(create_tls_key(b).ok());
    struct stat info {};
    REQUIRE(::stat(a.c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0600);
    CHECK(info.st_nlink == 1);
    REQUIRE(read_tls_keys(a).value().size() == 1);
    CHECK(read_tls_keys(a).value() != read_tls_keys(b).value());
}

TEST_CASE("a key is never overwritten", "[tls]") {
    const WrittenKey file(first_key);
    const Error error = create_tls_key(file.path).error();
    CHECK(error.message() ==
          "key " + file.path + " is there already, and stays; give the name of a new file");
    CHECK(error.kind() == Error::Kind::input);
    CHECK(file.directory.read("vm.key") == first_key);
    CHECK_FALSE(create_tls_key(file.directory.file("none/vm.key")).ok());
}

TEST_CASE("a key file that others may reach is refused", "[tls]") {
    for (const mode_t mode : {0640, 0604, 0620, 0601}) {
        const WrittenKey file(first_key, mode);
        const Error error = read_tls_keys(file.path).error();
        CHECK(error.message().find("key " + file.path + " is a key that others may reach") == 0);
        CHECK(error.kind() == Error::Kind::input);
    }
    CHECK(read_tls_keys(WrittenKey(first_key, 0400).path).ok());
}

TEST_CASE("what is no readable file is no key file", "[tls]") {
    const TempDirectory directory;
    CHECK_FALSE(read_tls_keys(directory.file("none")).ok());
    CHECK_FALSE(read_tls_keys(directory.path()).ok());
    const std::string fifo = directory.file("fifo");
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    CHECK(read_tls_keys(fifo).error().message() == "key " + fifo + " is a FIFO, not a file");
    CHECK_FALSE(
        read_tls_keys(WrittenKey(first_key + "\n" + second_key + "\n" + first_key).path).ok());
    CHECK_FALSE(read_tls_keys("/dev/zero").ok());
}
