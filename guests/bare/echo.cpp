// SPDX-License-Identifier: Apache-2.0
// A host on the network: ARP, ICMP echo (ping), and over UDP two services whose answers can be held
// to each other.
//
// Port 7: the datagram comes back, followed by the number of answers that this port has given (64
// bits, big-endian), this one included. So no two answers have one number.
// Port 1024: `<id> put <key> <value>` and `<id> get <key>`, in decimal; the answer is
// `<id> <key> <value>` with the largest value that was put there, 0 at first. Values never go back.
#include "lib/checksum.h"
#include "lib/guest.h"
#include "lib/memory.h"
#include "lib/network_card.h"
#include "lib/serial.h"

namespace bare {

constinit const std::string_view guest_name = "echo";

namespace {

constexpr uint32_t kEthernet = 14, kArp = 28, kIp = 20, kUdp = 8;
constexpr uint16_t kTypeIp = 0x0800, kTypeArp = 0x0806;
constexpr uint8_t kIcmp = 1, kUdpProtocol = 17;
constexpr uint16_t kEchoPort = 7, kValuePort = 1024;
constexpr uint32_t kKeys = 1024;

uint16_t get16(const uint8_t* at) {
    return static_cast<uint16_t>(at[0] << 8 | at[1]);
}
void put16(uint8_t* at, uint32_t value) {
    at[0] = static_cast<uint8_t>(value >> 8);
    at[1] = static_cast<uint8_t>(value);
}
uint32_t get32(const uint8_t* at) {
    return uint32_t{get16(at)} << 16 | get16(at + 2);
}
void put32(uint8_t* at, uint32_t value) {
    put16(at, value >> 16);
    put16(at + 2, value);
}

// RFC 1071
uint16_t internet_checksum(const uint8_t* bytes, uint32_t size) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i + 1 < size; i += 2)
        sum += get16(bytes + i);
    if (size % 2 != 0) sum += uint32_t{bytes[size - 1]} << 8;
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

std::optional<uint32_t> parse_address(std::string_view text) {
    uint32_t address = 0;
    for (int i = 0; i < 4; ++i) {
        const std::optional<uint64_t> part = take_number(text);
        if (!part || *part > 255) return std::nullopt;
        address = address << 8 | static_cast<uint32_t>(*part);
        if (i == 3) break;
        if (text.empty() || text[0] != '.') return std::nullopt;
        text.remove_prefix(1);
    }
    if (!text.empty()) return std::nullopt;
    return address;
}

void swap(uint8_t* a, uint8_t* b, uint32_t size) {
    for (uint32_t i = 0; i < size; ++i) {
        const uint8_t kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

class Host {
  public:
    Host(NetworkCard& card, uint32_t address) : card_(card), address_(address) {}

    // Tells the neighbours where this address is (RFC 5944, 4.6).
    void announce() {
        uint8_t frame[kEthernet + kArp] = {};
        fill(frame, 0xff, 6);
        copy(frame + 6, card_.address().bytes, 6);
        put16(frame + 12, kTypeArp);
        uint8_t* const arp = frame + kEthernet;
        put16(arp, 1);
        put16(arp + 2, kTypeIp);
        put16(arp + 4, 0x0604);
        put16(arp + 6, 1);
        copy(arp + 8, card_.address().bytes, 6);
        put32(arp + 14, address_);
        put32(arp + 24, address_);
        card_.send(frame, sizeof frame);
        card_.flush();
    }

    void handle(uint8_t* frame, uint32_t length) {
        if (length < kEthernet) return;
        const uint16_t type = get16(frame + 12);
        uint32_t answer = 0;
        if (type == kTypeArp) answer = handle_arp(frame + kEthernet, length - kEthernet);
        if (type == kTypeIp) answer = handle_ip(frame + kEthernet, length - kEthernet);
        if (answer == 0) return;
        copy(frame, frame + 6, 6);
        copy(frame + 6, card_.address().bytes, 6);
        card_.send(frame, kEthernet + answer);
    }

    uint64_t answers() const { return answers_; }
    bool is_over() const { return is_over_; }

  private:
    // Each handler makes the answer in place, and returns its size; 0: none.
    uint32_t handle_arp(uint8_t* arp, uint32_t length) {
        constexpr uint16_t request = 1, reply = 2;
        if (length < kArp || get16(arp + 6) != request || get32(arp + 24) != address_) return 0;
        put16(arp + 6, reply);
        copy(arp + 18, arp + 8, 10);
        copy(arp + 8, card_.address().bytes, 6);
        put32(arp + 14, address_);
        return kArp;
    }

    // No options, no fragments.
    uint32_t handle_ip(uint8_t* ip, uint32_t length) {
        if (length < kIp || ip[0] != 0x45 || get32(ip + 16) != address_) return 0;
        const uint32_t total = get16(ip + 2);
        if (total < kIp || total > length || (get16(ip + 6) & 0xbfff) != 0) return 0;
        uint32_t payload = 0;
        if (ip[9] == kIcmp) payload = handle_icmp(ip + kIp, total - kIp);
        if (ip[9] == kUdpProtocol) payload = handle_udp(ip + kIp, total - kIp);
        if (payload == 0) return 0;
        swap(ip + 12, ip + 16, 4);
        put16(ip + 2, kIp + payload);
        put16(ip + 10, 0);
        put16(ip + 10, internet_checksum(ip, kIp));
        return kIp + payload;
    }

    uint32_t handle_icmp(uint8_t* icmp, uint32_t length) {
        if (length < 8 || icmp[0] != 8 || icmp[1] != 0) return 0;
        icmp[0] = 0;
        put16(icmp + 2, 0);
        put16(icmp + 2, internet_checksum(icmp, length));
        return length;
    }

    uint32_t handle_udp(uint8_t* udp, uint32_t length) {
        if (length < kUdp || get16(udp + 4) < kUdp || get16(udp + 4) > length) return 0;
        uint8_t* const data = udp + kUdp;
        const uint32_t size = get16(udp + 4) - kUdp;
        uint32_t answer = 0;
        switch (get16(udp + 2)) {
            case kEchoPort:
                answer = echo(data, size);
                break;
            case kValuePort:
                answer = serve_value(data, size);
                break;
        }
        if (answer == 0) return 0;
        swap(udp, udp + 2, 2);
        put16(udp + 4, kUdp + answer);
        put16(udp + 6, 0);  // RFC 768: none
        return kUdp + answer;
    }

    uint32_t echo(uint8_t* data, uint32_t size) {
        constexpr uint32_t largest = NetworkCard::kFrameMax - kEthernet - kIp - kUdp - 8;
        if (size > largest) return 0;
        is_over_ = std::string_view(reinterpret_cast<char*>(data), size) == "quit";
        ++answers_;
        put32(data + size, static_cast<uint32_t>(answers_ >> 32));
        put32(data + size + 4, static_cast<uint32_t>(answers_));
        return size + 8;
    }

    uint32_t serve_value(uint8_t* data, uint32_t size) {
        std::string_view text(reinterpret_cast<char*>(data), size);
        const std::optional<uint64_t> id = take_number(text);
        const bool is_put = text.starts_with(" put ");
        if (!id || (!is_put && !text.starts_with(" get "))) return 0;
        text.remove_prefix(5);
        const std::optional<uint64_t> key = take_number(text);
        if (!key || *key >= kKeys) return 0;
        if (is_put) {
            if (!text.starts_with(" ")) return 0;
            text.remove_prefix(1);
            const std::optional<uint64_t> value = take_number(text);
            if (!value) return 0;
            if (*value > values_[*key]) values_[*key] = *value;
        }
        Text answer;
        answer << *id << ' ' << *key << ' ' << values_[*key];
        copy(data, answer.view().data(), answer.view().size());
        return static_cast<uint32_t>(answer.view().size());
    }

    NetworkCard& card_;
    const uint32_t address_;
    uint64_t answers_ = 0;
    uint64_t values_[kKeys] = {};
    bool is_over_ = false;
};

}  // namespace

void run(const Options& options, Text& summary) {
    const std::string_view text = options.text("ip", "10.0.2.15");
    const std::optional<uint32_t> address = parse_address(text);
    if (!address) fail("ip= is an address like 10.0.2.15");
    const bool polls = options.text("wait", "irq") == "poll";
    const DeviceList devices(options);
    NetworkCard card(devices.find(DeviceKind::kNet, options.number("net", 0)));
    static Host host(card, *address);
    Text line;
    line << "echo: ready at " << text << " mac";
    for (const uint8_t byte : card.address().bytes)
        line << ' ' << Hex{byte, 2};
    serial.write((line << '\n').view());
    host.announce();
    while (!host.is_over()) {
        const uint32_t count =
            card.receive([](uint8_t* frame, uint32_t length) { host.handle(frame, length); });
        card.flush();
        if (count == 0 && !polls) card.wait();
    }
    summary << "answers=" << host.answers() << " sent=" << card.sent();
}

}  // namespace bare
