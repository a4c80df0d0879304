// SPDX-License-Identifier: Apache-2.0
// The AML builder, byte for byte (ACPI 6.5: chapter 20, 6.4).
#include "vmm/firmware/aml.h"

#include <catch2/catch.hpp>

namespace fmvm {
namespace {

using Bytes = firmware::Bytes;

TEST_CASE("aml: integers take the shortest encoding", "[firmware]") {
    CHECK(aml::integer(0) == Bytes{0x00});
    CHECK(aml::integer(1) == Bytes{0x01});
    CHECK(aml::integer(2) == Bytes{0x0a, 0x02});
    CHECK(aml::integer(0xff) == Bytes{0x0a, 0xff});
    CHECK(aml::integer(0x100) == Bytes{0x0b, 0x00, 0x01});
    CHECK(aml::integer(0xffff) == Bytes{0x0b, 0xff, 0xff});
    CHECK(aml::integer(0x10000) == Bytes{0x0c, 0x00, 0x00, 0x01, 0x00});
    CHECK(aml::integer(0xffffffff) == Bytes{0x0c, 0xff, 0xff, 0xff, 0xff});
    CHECK(aml::integer(0x100000000) == Bytes{0x0e, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00});
}

TEST_CASE("aml: strings and EISA ids", "[firmware]") {
    CHECK(aml::string("LNRO") == Bytes{0x0d, 'L', 'N', 'R', 'O', 0x00});
    CHECK(aml::string("") == Bytes{0x0d, 0x00});
    CHECK(aml::eisa_id("PNP0501") == Bytes{0x0c, 0x41, 0xd0, 0x05, 0x01});
    CHECK(aml::eisa_id("ACP00AF") == Bytes{0x0c, 0x04, 0x70, 0x00, 0xaf});
}

TEST_CASE("aml: names are padded to four characters", "[firmware]") {
    CHECK(aml::name("_UID", aml::integer(0)) == Bytes{0x08, '_', 'U', 'I', 'D', 0x00});
    CHECK(aml::name("_S5", aml::integer(1)) == Bytes{0x08, '_', 'S', '5', '_', 0x01});
    CHECK(aml::name("A", aml::integer(1)) == Bytes{0x08, 'A', '_', '_', '_', 0x01});
}

TEST_CASE("aml: packages, scopes and devices", "[firmware]") {
    CHECK(aml::package({}) == Bytes{0x12, 0x02, 0x00});
    CHECK(aml::package({aml::integer(5), aml::integer(0)}) ==
          Bytes{0x12, 0x05, 0x02, 0x0a, 0x05, 0x00});
    CHECK(aml::scope("_SB", {}) == Bytes{0x10, 0x05, '_', 'S', 'B', '_'});
    CHECK(aml::device("COM1", aml::name("_UID", aml::integer(1))) ==
          Bytes{0x5b, 0x82, 0x0b, 'C', 'O', 'M', '1', 0x08, '_', 'U', 'I', 'D', 0x01});
}

TEST_CASE("aml: resource descriptors", "[firmware]") {
    CHECK(aml::io_ports(0x3f8, 8) == Bytes{0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08});
    CHECK(aml::memory32_fixed(0xd0001000, 0x1000) ==
          Bytes{0x86, 0x09, 0x00, 0x01, 0x00, 0x10, 0x00, 0xd0, 0x00, 0x10, 0x00, 0x00});
    CHECK(aml::interrupt_edge_high(23) ==
          Bytes{0x89, 0x06, 0x00, 0x03, 0x01, 0x17, 0x00, 0x00, 0x00});
    CHECK(aml::resource_template({}) == Bytes{0x11, 0x05, 0x0a, 0x02, 0x79, 0x00});
    CHECK(aml::resource_template({aml::io_ports(0x60, 1)}) == Bytes{0x11, 0x0d, 0x0a, 0x0a, 0x47,
                                                                    0x01, 0x60, 0x00, 0x60, 0x00,
                                                                    0x01, 0x01, 0x79, 0x00});
}

// A scope's length field counts itself, 4 bytes of name and the body.
Bytes length_field_of(std::size_t body_size) {
    const Bytes body(body_size, 0xa3);  // NoopOp
    const Bytes scope = aml::scope("ABCD", body);
    const std::size_t field_size = scope.size() - 1 - 4 - body_size;
    REQUIRE(scope[0] == 0x10);
    REQUIRE(scope[1 + field_size] == 'A');
    REQUIRE(scope.back() == (body_size == 0 ? 'D' : 0xa3));
    return {scope.begin() + 1, scope.begin() + 1 + static_cast<std::ptrdiff_t>(field_size)};
}

TEST_CASE("aml: package lengths at the borders of each encoding", "[firmware]") {
    CHECK(length_field_of(0) == Bytes{0x05});
    CHECK(length_field_of(58) == Bytes{0x3f});                      // 63: the most for one byte
    CHECK(length_field_of(59) == Bytes{0x41, 0x04});                // 65
    CHECK(length_field_of(0xfff - 6) == Bytes{0x4f, 0xff});         // the most for two
    CHECK(length_field_of(0x1000 - 6) == Bytes{0x81, 0x00, 0x01});  // one more byte of body
    CHECK(length_field_of(0xfffff - 7) == Bytes{0x8f, 0xff, 0xff});
    CHECK(length_field_of(0x100000 - 7) == Bytes{0xc1, 0x00, 0x00, 0x01});
}

}  // namespace
}  // namespace fmvm
