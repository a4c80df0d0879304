// SPDX-License-Identifier: Apache-2.0
// The header in front of every packet (virtio 1.2, 5.1.6): what is left to do for it, checksums and
// segments, in the form that the guest, the device and a TAP share.
//
// The guest's words are checked here before the kernel sees them. What a check lets through is
// rewritten to what it means, so that nothing else of the guest's reaches the kernel.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace fmvm {

// virtio 1.2, 5.1.3
inline constexpr std::uint64_t net_f_csum = 1ULL << 0;
inline constexpr std::uint64_t net_f_guest_csum = 1ULL << 1;
inline constexpr std::uint64_t net_f_ctrl_guest_offloads = 1ULL << 2;
inline constexpr std::uint64_t net_f_mtu = 1ULL << 3;
inline constexpr std::uint64_t net_f_mac = 1ULL << 5;
inline constexpr std::uint64_t net_f_guest_tso4 = 1ULL << 7;
inline constexpr std::uint64_t net_f_guest_tso6 = 1ULL << 8;
inline constexpr std::uint64_t net_f_guest_ecn = 1ULL << 9;
inline constexpr std::uint64_t net_f_host_tso4 = 1ULL << 11;
inline constexpr std::uint64_t net_f_host_tso6 = 1ULL << 12;
inline constexpr std::uint64_t net_f_host_ecn = 1ULL << 13;
inline constexpr std::uint64_t net_f_mrg_rxbuf = 1ULL << 15;
inline constexpr std::uint64_t net_f_status = 1ULL << 16;
inline constexpr std::uint64_t net_f_ctrl_vq = 1ULL << 17;
inline constexpr std::uint64_t net_f_guest_announce = 1ULL << 21;

// What received packets may leave to the guest, and what sent ones may leave to the host.
inline constexpr std::uint64_t guest_offload_features =
    net_f_guest_csum | net_f_guest_tso4 | net_f_guest_tso6 | net_f_guest_ecn;
inline constexpr std::uint64_t host_offload_features =
    net_f_csum | net_f_host_tso4 | net_f_host_tso6 | net_f_host_ecn;

// Without those that lack one that they need (5.1.3.1): a driver may take them apart.
std::uint64_t usable_offloads(std::uint64_t features);

inline constexpr std::size_t net_header_size = 12;
inline constexpr std::size_t ethernet_header_size = 14;
inline constexpr std::size_t vlan_tag_size = 4;
// Of a frame: an IP packet of 64 KiB behind an Ethernet header with a tag.
inline constexpr std::size_t net_frame_size_max = 65535 + ethernet_header_size + vlan_tag_size;
inline constexpr std::size_t net_packet_size_max = net_header_size + net_frame_size_max;

struct NetHeader {
    static constexpr std::uint8_t flag_needs_checksum = 1;
    static constexpr std::uint8_t flag_checksum_valid = 2;
    static constexpr std::uint8_t gso_none = 0;
    static constexpr std::uint8_t gso_tcp4 = 1;
    static constexpr std::uint8_t gso_tcp6 = 4;
    static constexpr std::uint8_t gso_ecn = 0x80;  // beside tcp4 or tcp6

    std::uint8_t flags = 0;
    std::uint8_t gso_type = 0;
    std::uint16_t header_length = 0;  // a hint: how many bytes come before the payload
    std::uint16_t gso_size = 0;       // payload of each segment
    std::uint16_t checksum_start = 0;
    std::uint16_t checksum_offset = 0;  // from checksum_start
    std::uint16_t buffers = 0;          // received packets: how many chains hold it
    bool operator==(const NetHeader&) const = default;
};

using NetHeaderBytes = std::array<std::uint8_t, net_header_size>;
NetHeader decode_net_header(std::span<const std::uint8_t, net_header_size> bytes);
NetHeaderBytes encode_net_header(const NetHeader& header);

// The header of a frame that the guest sends, as the kernel may see it. `features`: what the driver
// negotiated. frame_size_max: of a frame that is not to be segmented. False: not to be sent.
[[nodiscard]] bool check_sent_header(NetHeader& header, std::span<const std::uint8_t> frame,
                                     std::uint64_t features, std::size_t frame_size_max);

// Whether a guest that takes these offloads understands the header of a frame from outside.
[[nodiscard]] bool is_acceptable(const NetHeader& header, std::uint64_t offloads);

}  // namespace fmvm
