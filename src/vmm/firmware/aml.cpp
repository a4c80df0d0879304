// SPDX-License-Identifier: Apache-2.0
#include "vmm/firmware/aml.h"

#include <limits>

namespace fmvm::aml {

namespace {

using firmware::append;
using firmware::append_text;

// 20.2.4: the length counts its own bytes. One byte holds up to 63; otherwise bits 7-6 of the
// first byte count the bytes that follow, its low nibble holds the low bits, the rest follows.
Bytes with_package_length(const Bytes& content) {
    if (content.size() + 1 <= 0x3f) {
        return join({{static_cast<std::uint8_t>(content.size() + 1)}, content});
    }
    std::size_t following = 1;
    while ((content.size() + 1 + following) >> (4 + 8 * following) != 0)
        ++following;
    FMVM_CHECK(following <= 3);
    const std::size_t length = content.size() + 1 + following;
    Bytes bytes{static_cast<std::uint8_t>(following << 6 | (length & 0xf))};
    for (std::size_t i = 0; i < following; ++i) {
        bytes.push_back(static_cast<std::uint8_t>(length >> (4 + 8 * i)));
    }
    return join({bytes, content});
}

// 20.2.2: NameSeg
Bytes name_segment(std::string_view name) {
    FMVM_CHECK(!name.empty() && name.size() <= 4);
    Bytes bytes(name.begin(), name.end());
    bytes.resize(4, '_');
    return bytes;
}

std::uint8_t hex_digit(char digit) {
    FMVM_CHECK((digit >= '0' && digit <= '9') || (digit >= 'A' && digit <= 'F'));
    return static_cast<std::uint8_t>(digit <= '9' ? digit - '0' : digit - 'A' + 10);
}

}  // namespace

Bytes join(std::initializer_list<Bytes> terms) {
    Bytes bytes;
    for (const Bytes& term : terms)
        bytes.insert(bytes.end(), term.begin(), term.end());
    return bytes;
}

Bytes integer(std::uint64_t value) {
    Bytes bytes;
    if (value <= 1) {  // ZeroOp, OneOp
        append<std::uint8_t>(bytes, static_cast<std::uint8_t>(value));
    } else if (value <= std::numeric_limits<std::uint8_t>::max()) {
        append<std::uint8_t>(bytes, 0x0a);  // BytePrefix
        append<std::uint8_t>(bytes, static_cast<std::uint8_t>(value));
    } else if (value <= std::numeric_limits<std::uint16_t>::max()) {
        append<std::uint8_t>(bytes, 0x0b);  // WordPrefix
        append<std::uint16_t>(bytes, static_cast<std::uint16_t>(value));
    } else if (value <= std::numeric_limits<std::uint32_t>::max()) {
        append<std::uint8_t>(bytes, 0x0c);  // DWordPrefix
        append<std::uint32_t>(bytes, static_cast<std::uint32_t>(value));
    } else {
        append<std::uint8_t>(bytes, 0x0e);  // QWordPrefix
        append<std::uint64_t>(bytes, value);
    }
    return bytes;
}

Bytes string(std::string_view text) {
    Bytes bytes{0x0d};  // StringPrefix
    append_text(bytes, text);
    append<std::uint8_t>(bytes, 0);
    return bytes;
}

// Three letters of 5 bits and four hexadecimal digits, in big-endian order.
Bytes eisa_id(std::string_view id) {
    FMVM_CHECK(id.size() == 7);
    const auto letter = [&](std::size_t i) {
        FMVM_CHECK(id[i] >= 'A' && id[i] <= 'Z');
        return static_cast<unsigned>(id[i] - 'A' + 1);
    };
    const unsigned letters = letter(0) << 10 | letter(1) << 5 | letter(2);
    Bytes bytes{0x0c};  // DWordPrefix
    append<std::uint8_t>(bytes, static_cast<std::uint8_t>(letters >> 8));
    append<std::uint8_t>(bytes, static_cast<std::uint8_t>(letters));
    append<std::uint8_t>(bytes,
                         static_cast<std::uint8_t>(hex_digit(id[3]) << 4 | hex_digit(id[4])));
    append<std::uint8_t>(bytes,
                         static_cast<std::uint8_t>(hex_digit(id[5]) << 4 | hex_digit(id[6])));
    return bytes;
}

Bytes package(std::initializer_list<Bytes> elements) {
    FMVM_CHECK(elements.size() <= std::numeric_limits<std::uint8_t>::max());
    const Bytes count{static_cast<std::uint8_t>(elements.size())};
    return join({{0x12}, with_package_length(join({count, join(elements)}))});  // PackageOp
}

Bytes name(std::string_view name, const Bytes& value) {
    return join({{0x08}, name_segment(name), value});  // NameOp
}

Bytes scope(std::string_view name, const Bytes& body) {
    return join({{0x10}, with_package_length(join({name_segment(name), body}))});  // ScopeOp
}

Bytes device(std::string_view name, const Bytes& body) {
    // ExtOpPrefix DeviceOp
    return join({{0x5b, 0x82}, with_package_length(join({name_segment(name), body}))});
}

Bytes resource_template(std::initializer_list<Bytes> descriptors) {
    const Bytes end_tag{0x79, 0x00};  // 6.4.2.9; checksum 0: not to be checked
    const Bytes list = join({join(descriptors), end_tag});
    return join({{0x11}, with_package_length(join({integer(list.size()), list}))});  // BufferOp
}

Bytes io_ports(std::uint16_t base, std::uint8_t count) {
    Bytes bytes{0x47, 0x01};  // 6.4.2.5; decodes 16 bits
    append<std::uint16_t>(bytes, base);
    append<std::uint16_t>(bytes, base);
    append<std::uint8_t>(bytes, 1);  // alignment
    append<std::uint8_t>(bytes, count);
    return bytes;
}

Bytes memory32_fixed(std::uint32_t base, std::uint32_t size) {
    Bytes bytes{0x86, 0x09, 0x00, 0x01};  // 6.4.3.4; 9 bytes follow; writable
    append<std::uint32_t>(bytes, base);
    append<std::uint32_t>(bytes, size);
    return bytes;
}

Bytes interrupt_edge_high(std::uint32_t gsi) {
    // 6.4.3.6; 6 bytes follow; consumer, edge-triggered, active high, exclusive; one interrupt.
    Bytes bytes{0x89, 0x06, 0x00, 0x03, 0x01};
    append<std::uint32_t>(bytes, gsi);
    return bytes;
}

}  // namespace fmvm::aml
