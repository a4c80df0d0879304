// SPDX-License-Identifier: Apache-2.0
#include "cli/options/net_values.h"

#include <algorithm>

#include "cli/options/json_values.h"
#include "cli/options/option_values.h"
#include "devices/net/tap_device.h"

namespace fmvm::cli {

namespace {

using node::NetOptions;
using Kind = NetOptions::Kind;

// IPv6 needs 1280 (RFC 8200, 5), IPv4 68 (RFC 791, 3.2). A TAP takes no more than 65,521.
constexpr unsigned mtu_min = 68;
constexpr unsigned mtu_max = 65521;

constexpr std::string_view form =
    "tap=NAME[,bridge=NAME], socket=PATH or fd=N, each with [,mac=ADDRESS][,mtu=BYTES]";

// Takes the items of one card one by one.
class Reader {
  public:
    Result<void> take(std::string_view key, std::string_view value) {
        if (std::ranges::find(seen_, key) != seen_.end())
            return make_error("'{}' stands twice; give it once", key);
        seen_.emplace_back(key);
        if (key == "tap") return plug(Kind::tap, value);
        if (key == "socket") return plug(Kind::socket, value);
        if (key == "fd") {
            net_.descriptor = static_cast<int>(FMVM_TRY(number(value, 0, 1 << 20)));
            return plug(Kind::descriptor, {});
        }
        if (key == "bridge") {
            if (!is_interface_name(value))
                return make_error("bridge={}: no interface has such a name", value);
            net_.bridge = value;
            return {};
        }
        if (key == "mac") {
            net_.mac = FMVM_TRY(parse_mac_address(value));
            return {};
        }
        if (key == "mtu") {
            net_.mtu = static_cast<std::uint16_t>(FMVM_TRY(number(value, mtu_min, mtu_max)));
            return {};
        }
        return make_error("'{}' is not a key of a network card; give {}", key, form);
    }

    Result<NetOptions> finish() const {
        if (!is_plugged_) return make_error("it is plugged into nothing; give {}", form);
        if (!net_.bridge.empty() && net_.kind != Kind::tap)
            return Error("bridge= is for a TAP that fmvm makes; leave it out, or give tap=NAME");
        return net_;
    }

  private:
    static Result<unsigned> number(std::string_view text, unsigned least, unsigned most) {
        const unsigned value = FMVM_TRY(parse_count(text));
        if (value >= least && value <= most) return value;
        return make_error("{} is out of range; give {} to {}", value, least, most);
    }
    Result<void> plug(Kind kind, std::string_view name) {
        if (is_plugged_) return make_error("it is plugged into two things; give one of {}", form);
        if (kind == Kind::tap && !is_interface_name(name))
            return make_error(
                "tap={}: no interface has such a name; give one of 1 to 15 "
                "characters",
                name);
        if (kind == Kind::socket && (name.empty() || name.find('\0') != std::string_view::npos))
            return make_error("socket={}: no socket has such a path; give one", name);
        is_plugged_ = true;
        net_.kind = kind;
        net_.name = name;
        return {};
    }

    NetOptions net_;
    bool is_plugged_ = false;
    std::vector<std::string> seen_;
};

Result<std::string> text_of(const JsonValue& member) {
    if (member.kind == JsonValue::Kind::unsigned_integer && member.key != "tap" &&
        member.key != "socket") {
        return std::to_string(member.number);
    }
    return string_of(member);
}

Result<NetOptions> net_of_object(const JsonValue& object) {
    Reader reader;
    for (const JsonValue& member : object.children) {
        const Result<std::string> text = text_of(member);
        if (!text.ok()) return located(member, text.error());
        const Result<void> taken = reader.take(member.key, text.value());
        if (!taken.ok()) return located(member, taken.error());
    }
    const Result<NetOptions> net = reader.finish();
    if (!net.ok()) return located(object, net.error());
    return net;
}

}  // namespace

Result<NetOptions> parse_net(std::string_view text) {
    Reader reader;
    for (std::string_view rest = text;;) {
        const std::size_t comma = rest.find(',');
        const std::string_view item = rest.substr(0, comma);
        const std::size_t equals = item.find('=');
        if (equals == std::string_view::npos)
            return make_error("'{}' is not KEY=VALUE; give {}", item, form);
        FMVM_TRY(reader.take(item.substr(0, equals), item.substr(equals + 1)));
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
    }
    return reader.finish();
}

Result<std::vector<NetOptions>> nets_of(const JsonValue& value) {
    constexpr std::string_view expected =
        "an array of objects or of strings like \"tap=tap0,mtu=1500\" is expected here";
    if (value.kind != JsonValue::Kind::array) return located(value, Error(std::string(expected)));
    std::vector<NetOptions> nets;
    for (const JsonValue& item : value.children) {
        if (item.kind == JsonValue::Kind::object) {
            nets.push_back(FMVM_TRY(net_of_object(item)));
        } else if (item.kind == JsonValue::Kind::string) {
            const Result<NetOptions> net = parse_net(item.text);
            if (!net.ok()) return located(item, net.error());
            nets.push_back(net.value());
        } else {
            return error_at(item.position, fmt::format("'{}': {}", value.key, expected));
        }
    }
    return nets;
}

Result<void> check_nets(const std::vector<NetOptions>& nets) {
    if (nets.size() > net_count_max) {
        return make_error("net: {} network cards are too many; give at most {}", nets.size(),
                          net_count_max);
    }
    for (std::size_t i = 0; i < nets.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            if (to_text(nets[i]) == to_text(nets[j]))
                return make_error("net {}: two cards are plugged into it; give each its own",
                                  to_text(nets[i]));
            if (nets[i].mac && nets[i].mac == nets[j].mac)
                return make_error("net {}: has the address of another card; give it its own mac=",
                                  to_text(nets[i]));
        }
    }
    return {};
}

}  // namespace fmvm::cli
