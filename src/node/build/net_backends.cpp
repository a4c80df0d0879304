// SPDX-License-Identifier: Apache-2.0
#include "node/build/net_backends.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "base/file_io.h"
#include "devices/net/stream_backend.h"
#include "devices/net/tap_backend.h"
#include "devices/net/tap_device.h"

namespace fmvm::node {

namespace {

bool is_stream(int fd) {
    int domain = 0;
    int type = 0;
    socklen_t size = sizeof domain;
    if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return false;
    size = sizeof type;
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && domain == AF_UNIX &&
           type == SOCK_STREAM;
}

Result<std::unique_ptr<NetBackend>> adopt(EventLoop& loop, const NetOptions& options) {
    const int fd = options.descriptor;
    if (is_tap(fd))
        return std::unique_ptr<NetBackend>(
            std::make_unique<TapBackend>(loop, FMVM_TRY(adopt_tap(fd)), to_text(options)));
    if (!is_stream(fd)) {
        return make_error(
            "fd={}: is neither a TAP nor a connected Unix stream socket; give the number of one "
            "that this process was started with",
            fd);
    }
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy || ::fcntl(copy.get(), F_SETFL, O_NONBLOCK) != 0)
        return errno_error(errno, fmt::format("fd={}", fd));
    return std::unique_ptr<NetBackend>(std::make_unique<StreamBackend>(loop, std::move(copy), ""));
}

Result<std::unique_ptr<NetBackend>> open(EventLoop& loop, const NetOptions& options) {
    switch (options.kind) {
        case NetOptions::Kind::tap: {
            UniqueFd tap = FMVM_TRY(open_tap({options.name, options.bridge, options.mtu}));
            return std::unique_ptr<NetBackend>(
                std::make_unique<TapBackend>(loop, std::move(tap), options.name));
        }
        case NetOptions::Kind::socket: {
            UniqueFd socket = FMVM_TRY(connect_stream(options.name));
            return std::unique_ptr<NetBackend>(
                std::make_unique<StreamBackend>(loop, std::move(socket), options.name));
        }
        case NetOptions::Kind::descriptor:
            break;
    }
    return adopt(loop, options);
}

// What tells this host from others, or nothing.
std::string machine_id() {
    const UniqueFd file(::open("/etc/machine-id", O_RDONLY | O_CLOEXEC));
    std::string text(64, '\0');
    const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : 0;
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return text;
}

}  // namespace

Result<std::unique_ptr<NetBackend>> open_net(EventLoop& loop, const NetOptions& options) {
    return about("net", open(loop, options));
}

MacAddress mac_address_of(const NetOptions& options, const lockstep::VmId& vm, unsigned number) {
    if (options.mac) return *options.mac;
    const std::string owner = vm == lockstep::VmId{} ? machine_id() + to_text(options)
                                                     : std::string(vm.begin(), vm.end());
    return derived_mac_address(owner, number);
}

}  // namespace fmvm::node
