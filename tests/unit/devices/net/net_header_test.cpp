// SPDX-License-Identifier: Apache-2.0
#include "devices/net/net_header.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace fmvm;

namespace {

constexpr std::size_t frame_max = 1518;
constexpr std::uint64_t all_offloads = host_offload_features | guest_offload_features;

bool check(NetHeader& header, std::size_t frame_size, std::uint64_t features = all_offloads) {
    const std::vector<std::uint8_t> frame(frame_size);
    return check_sent_header(header, frame, features, frame_max);
}

// TCP over IPv4, 64 KiB to be cut.
NetHeader segmented() {
    NetHeader header;
    header.flags = NetHeader::flag_needs_checksum;
    header.gso_type = NetHeader::gso_tcp4;
    header.header_length = 54;
    header.gso_size = 1448;
    header.checksum_start = 34;
    header.checksum_offset = 16;
    return header;
}

}  // namespace

TEST_CASE("a header has its fields where virtio puts them", "[net]") {
    const NetHeaderBytes bytes{1, 0x81, 0x36, 0x01, 0xa8, 0x05, 0x22, 0x00, 0x10, 0x00, 0x03, 0x00};
    const NetHeader header = decode_net_header(bytes);
    CHECK(header == NetHeader{1, 0x81, 0x136, 0x5a8, 0x22, 0x10, 3});
    CHECK(encode_net_header(header) == bytes);
}

TEST_CASE("a sent header reaches the kernel as what it means, and nothing else", "[net]") {
    SECTION("nothing to do") {
        NetHeader header{0xfe, 0, 77, 88, 99, 111, 222};
        REQUIRE(check(header, 60));
        CHECK(header == NetHeader());
    }
    SECTION("a checksum") {
        NetHeader header{0xff, 0, 77, 88, 34, 6, 222};
        REQUIRE(check(header, 60));
        CHECK(header == NetHeader{1, 0, 0, 0, 34, 6, 0});
    }
    SECTION("segments") {
        NetHeader header = segmented();
        header.buffers = 9;
        REQUIRE(check(header, net_frame_size_max));
        CHECK(header == segmented());
        header.gso_type = NetHeader::gso_tcp6 | NetHeader::gso_ecn;
        REQUIRE(check(header, 60000));
    }
    SECTION("a hint longer than the frame") {
        NetHeader header = segmented();
        header.header_length = 0xffff;
        REQUIRE(check(header, 200));
        CHECK(header.header_length == 200);
    }
}

TEST_CASE("a bad sent header is found", "[net][hostile]") {
    NetHeader header = segmented();
    std::size_t size = 3000;
    std::uint64_t features = all_offloads;
    REQUIRE(check(header, size, features));
    SECTION("no Ethernet header") {
        header = NetHeader();
        size = 13;
    }
    SECTION("a frame beyond the MTU that is not to be cut") {
        header = NetHeader();
        size = frame_max + 1;
    }
    SECTION("a frame larger than any") {
        size = net_frame_size_max + 1;
    }
    SECTION("a checksum behind the frame") {
        header.gso_type = 0;
        size = 51;
    }
    SECTION("a checksum whose place overflows") {
        header.checksum_start = 0xffff;
        header.checksum_offset = 0xffff;
        size = net_frame_size_max;
    }
    SECTION("a checksum of the Ethernet header") {
        header.checksum_start = 13;
    }
    SECTION("a checksum that was not negotiated") {
        features &= ~net_f_csum;
    }
    SECTION("segments without a checksum") {
        header.flags = 0;
    }
    SECTION("segments of nothing") {
        header.gso_size = 0;
    }
    SECTION("segments of what is not TCP") {
        header.checksum_offset = 6;
    }
    SECTION("segments of a TCP header cut off") {
        header.checksum_start = 40;
        size = 59;
    }
    SECTION("segments of UDP") {
        header.gso_type = GENERATE(std::uint8_t{3}, std::uint8_t{5});
    }
    SECTION("an unknown kind of segments") {
        header.gso_type = GENERATE(std::uint8_t{2}, std::uint8_t{0x7f}, std::uint8_t{0x41});
    }
    SECTION("ECN alone") {
        header.gso_type = NetHeader::gso_ecn;
    }
    SECTION("IPv4 segments that were not negotiated") {
        features &= ~net_f_host_tso4;
    }
    SECTION("IPv6 segments that were not negotiated") {
        header.gso_type = NetHeader::gso_tcp6;
        features &= ~net_f_host_tso6;
    }
    SECTION("ECN that was not negotiated") {
        header.gso_type |= NetHeader::gso_ecn;
        features &= ~net_f_host_ecn;
    }
    CHECK_FALSE(check(header, size, features));
}

TEST_CASE("offloads that lack what they need are not used", "[net]") {
    CHECK(usable_offloads(all_offloads) == all_offloads);
    CHECK(usable_offloads(all_offloads & ~net_f_csum) == guest_offload_features);
    CHECK(usable_offloads(all_offloads & ~net_f_guest_csum) == host_offload_features);
    CHECK(usable_offloads(net_f_csum | net_f_host_ecn) == net_f_csum);
    CHECK(usable_offloads(net_f_guest_csum | net_f_guest_ecn) == net_f_guest_csum);
}

TEST_CASE("a guest gets only headers that it asked for", "[net]") {
    CHECK(is_acceptable(NetHeader(), 0));
    CHECK_FALSE(is_acceptable(NetHeader{NetHeader::flag_needs_checksum, 0, 0, 0, 34, 16, 0}, 0));
    CHECK_FALSE(is_acceptable(NetHeader{NetHeader::flag_checksum_valid, 0, 0, 0, 0, 0, 0}, 0));
    CHECK(is_acceptable(NetHeader{NetHeader::flag_checksum_valid, 0, 0, 0, 0, 0, 0},
                        net_f_guest_csum));
    NetHeader header = segmented();
    CHECK(is_acceptable(header, guest_offload_features));
    CHECK_FALSE(is_acceptable(header, guest_offload_features & ~net_f_guest_tso4));
    header.gso_type = NetHeader::gso_tcp6 | NetHeader::gso_ecn;
    CHECK_FALSE(is_acceptable(header, guest_offload_features & ~net_f_guest_ecn));
    CHECK(is_acceptable(header, guest_offload_features));
    header.flags = 4;
    CHECK_FALSE(is_acceptable(header, guest_offload_features));
}
