// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/endpoint.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <charconv>

namespace fmvm::lockstep {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;

std::string Endpoint::text() const {
    const bool v6 = address.find(':') != std::string::npos;
    return v6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

bool Endpoint::is_loopback() const {
    ErrorCode error;
    const auto parsed = asio::ip::make_address(address, error);
    return !error && parsed.is_loopback();
}

Result<Endpoint> Endpoint::parse(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    Endpoint endpoint;
    const char* const end = text.data() + text.size();
    bool good = colon != std::string::npos && colon != 0;
    if (good) {
        const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, endpoint.port);
        good = error == std::errc() && rest == end;
        endpoint.address = text.substr(0, colon);
        if (endpoint.address.size() > 2 && endpoint.address.front() == '[' &&
            endpoint.address.back() == ']') {
            endpoint.address = endpoint.address.substr(1, endpoint.address.size() - 2);
        }
    }
    ErrorCode error;
    if (good) asio::ip::make_address(endpoint.address, error);
    if (!good || error)
        return make_error("'{}' is not ADDRESS:PORT, such as 127.0.0.1:7000 or [::1]:7000", text);
    return endpoint;
}

std::string_view address_in(std::string_view endpoint) {
    return endpoint.substr(0, endpoint.rfind(':'));
}

std::string network_in(std::string_view endpoint) {
    const std::string address(address_in(endpoint));
    ErrorCode error;
    const bool bracketed = address.size() > 2 && address.front() == '[';
    const auto v6 = bracketed
                        ? asio::ip::make_address_v6(address.substr(1, address.size() - 2), error)
                        : asio::ip::address_v6();
    if (!bracketed || error || v6.is_v4_mapped()) return address;
    return asio::ip::network_v6(v6, 64).canonical().to_string();
}

}  // namespace fmvm::lockstep
