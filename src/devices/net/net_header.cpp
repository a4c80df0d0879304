// SPDX-License-Identifier: Apache-2.0
#include "devices/net/net_header.h"

#include <algorithm>

#include "base/little_endian.h"
#include "base/units.h"

namespace fmvm {

namespace {

constexpr std::size_t checksum_size = 2;
constexpr std::size_t tcp_header_size_min = 20;    // RFC 9293, 3.1
constexpr std::uint16_t tcp_checksum_offset = 16;  // ibid.

bool has(std::uint64_t features, std::uint64_t bit) {
    return (features & bit) != 0;
}

// What a segmentation needs: the feature of its kind, and that of ECN if it is marked.
bool is_allowed_gso(std::uint8_t type, std::uint64_t features, std::uint64_t tso4,
                    std::uint64_t tso6, std::uint64_t ecn) {
    if ((type & NetHeader::gso_ecn) != 0 && !has(features, ecn)) return false;
    switch (type & ~NetHeader::gso_ecn) {
        case NetHeader::gso_tcp4:
            return has(features, tso4);
        case NetHeader::gso_tcp6:
            return has(features, tso6);
        default:
            return false;
    }
}

}  // namespace

std::uint64_t usable_offloads(std::uint64_t features) {
    if (!has(features, net_f_csum)) features &= ~(net_f_host_tso4 | net_f_host_tso6);
    if (!has(features, net_f_guest_csum)) features &= ~(net_f_guest_tso4 | net_f_guest_tso6);
    if (!has(features, net_f_host_tso4 | net_f_host_tso6)) features &= ~net_f_host_ecn;
    if (!has(features, net_f_guest_tso4 | net_f_guest_tso6)) features &= ~net_f_guest_ecn;
    return features;
}

NetHeader decode_net_header(std::span<const std::uint8_t, net_header_size> bytes) {
    NetHeader header;
    header.flags = bytes[0];
    header.gso_type = bytes[1];
    header.header_length = load_le<std::uint16_t>(bytes, 2);
    header.gso_size = load_le<std::uint16_t>(bytes, 4);
    header.checksum_start = load_le<std::uint16_t>(bytes, 6);
    header.checksum_offset = load_le<std::uint16_t>(bytes, 8);
    header.buffers = load_le<std::uint16_t>(bytes, 10);
    return header;
}

NetHeaderBytes encode_net_header(const NetHeader& header) {
    NetHeaderBytes bytes{};
    bytes[0] = header.flags;
    bytes[1] = header.gso_type;
    store_le(bytes, 2, header.header_length);
    store_le(bytes, 4, header.gso_size);
    store_le(bytes, 6, header.checksum_start);
    store_le(bytes, 8, header.checksum_offset);
    store_le(bytes, 10, header.buffers);
    return bytes;
}

bool check_sent_header(NetHeader& header, std::span<const std::uint8_t> frame,
                       std::uint64_t features, std::size_t frame_size_max) {
    features = usable_offloads(features);
    if (frame.size() < ethernet_header_size || frame.size() > net_frame_size_max) return false;
    NetHeader checked;
    if ((header.flags & NetHeader::flag_needs_checksum) != 0) {
        const std::size_t end =
            std::size_t{header.checksum_start} + header.checksum_offset + checksum_size;
        if (!has(features, net_f_csum) || header.checksum_start < ethernet_header_size ||
            end > frame.size()) {
            return false;
        }
        checked.flags = NetHeader::flag_needs_checksum;  // 5.1.6.2.1: others are ignored
        checked.checksum_start = header.checksum_start;
        checked.checksum_offset = header.checksum_offset;
    }
    if (header.gso_type == NetHeader::gso_none) {
        if (frame.size() > frame_size_max) return false;
    } else {
        // 5.1.6.2: segments need their checksums, and it is TCP that is cut.
        if (!is_allowed_gso(header.gso_type, features, net_f_host_tso4, net_f_host_tso6,
                            net_f_host_ecn) ||
            checked.flags == 0 || header.checksum_offset != tcp_checksum_offset ||
            header.checksum_start + tcp_header_size_min > frame.size() || header.gso_size == 0) {
            return false;
        }
        checked.gso_type = header.gso_type;
        checked.gso_size = header.gso_size;
        // A hint that nobody may rely on; the kernel refuses one that is longer than the frame.
        checked.header_length =
            static_cast<std::uint16_t>(std::min<std::size_t>(header.header_length, frame.size()));
    }
    header = checked;
    return true;
}

bool is_acceptable(const NetHeader& header, std::uint64_t offloads) {
    offloads = usable_offloads(offloads);
    const std::uint8_t known = has(offloads, net_f_guest_csum)
                                   ? NetHeader::flag_needs_checksum | NetHeader::flag_checksum_valid
                                   : 0;
    if ((header.flags & ~known) != 0) return false;
    return header.gso_type == NetHeader::gso_none ||
           is_allowed_gso(header.gso_type, offloads, net_f_guest_tso4, net_f_guest_tso6,
                          net_f_guest_ecn);
}

}  // namespace fmvm
