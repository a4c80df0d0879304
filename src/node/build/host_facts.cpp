// SPDX-License-Identifier: Apache-2.0
#include "node/build/host_facts.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/if_bridge.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <limits>

#include "base/thread.h"
#include "base/thread_priority.h"
#include "base/unique_fd.h"
#include "base/units.h"

namespace fmvm::node {

namespace {

// A file of /proc: no size, read to its end (or as much as anyone needs of it).
std::string read_proc(const char* path) {
    constexpr std::size_t size_max = 64 * kib;
    std::string text;
    UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
    char buffer[4096];
    while (fd && text.size() < size_max) {
        const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        text.append(buffer, static_cast<std::size_t>(got));
    }
    return text;
}

// The value of the first "name<blanks>: value" line; empty when there is none.
std::string_view field(std::string_view text, std::string_view name) {
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos || !line.starts_with(name)) continue;
        if (line.substr(name.size(), colon - name.size()).find_first_not_of(" \t") !=
            std::string_view::npos) {
            continue;
        }
        const std::size_t start = line.find_first_not_of(" \t", colon + 1);
        return start == std::string_view::npos ? std::string_view() : line.substr(start);
    }
    return {};
}

}  // namespace

Result<std::uint64_t> parse_memory_total(std::string_view meminfo) {
    const std::string_view value = field(meminfo, "MemTotal");
    std::uint64_t count = 0;
    const auto [rest, error] = std::from_chars(value.data(), value.data() + value.size(), count);
    const std::string_view unit(rest, static_cast<std::size_t>(value.end() - rest));
    if (error != std::errc() || unit != " kB" ||
        count > std::numeric_limits<std::uint64_t>::max() / kib) {
        return Error("/proc/meminfo does not tell MemTotal; is /proc mounted?");
    }
    return count * kib;
}

Result<std::uint64_t> host_memory_bytes() {
    return parse_memory_total(read_proc("/proc/meminfo"));
}

std::string parse_cpu_model(std::string_view cpuinfo) {
    const std::string_view vendor = field(cpuinfo, "vendor_id");
    const std::string_view model = field(cpuinfo, "model name");
    if (vendor.empty() && model.empty()) return "unknown";
    return fmt::format("{}, {}", vendor, model);
}

std::string host_cpu_model() {
    return parse_cpu_model(read_proc("/proc/cpuinfo"));
}

Result<void> try_io_uring() {
    io_uring ring;
    const int result = ::io_uring_queue_init(8, &ring, 0);
    if (result >= 0) {
        ::io_uring_queue_exit(&ring);
        return {};
    }
    switch (-result) {
        case EPERM:
            if (read_proc("/proc/sys/kernel/io_uring_disabled").starts_with('0')) {
                return Error("forbidden by a seccomp filter, as containers have; allow io_uring");
            }
            return Error("forbidden by the administrator; set sysctl kernel.io_uring_disabled=0");
        case ENOSYS:
            return Error("not in this kernel, or hidden by a seccomp filter; allow io_uring");
        case ENOMEM:
            return Error("not enough locked memory; raise ulimit -l");
        default:
            return errno_error(-result, "io_uring_setup failed");
    }
}

Result<void> try_tap() {
    const UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    if (fd) return {};
    const int error_number = errno;
    if (error_number == EACCES || error_number == EPERM) {
        return Error("/dev/net/tun: permission denied; give this user access to it");
    }
    return errno_error(error_number, "/dev/net/tun (modprobe tun)");
}

Result<void> try_real_time() {
    bool permitted = false;
    start_thread("check", [&permitted] { permitted = set_real_time(0); }).join();
    if (permitted) return {};
    return Error(
        "signs of life wait behind other work; give fmvm CAP_SYS_NICE, or an RLIMIT_RTPRIO of 1");
}

Result<void> may_make_taps() {
    constexpr unsigned net_admin = 12;  // <linux/capability.h>
    const std::string status = read_proc("/proc/self/status");
    const std::string_view effective = field(status, "CapEff");
    std::uint64_t capabilities = 0;
    std::from_chars(effective.data(), effective.data() + effective.size(), capabilities, 16);
    if ((capabilities >> net_admin & 1) != 0) return {};
    return Error(
        "only root may; it makes one for a user with ip tuntap add NAME mode tap user NAME");
}

// The question for the version of the kernel's bridges, which needs no right and changes nothing.
Result<void> try_bridges() {
    std::array<unsigned long, 3> question{BRCTL_GET_VERSION};
    const UniqueFd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (control && ::ioctl(control.get(), SIOCGIFBR, question.data()) >= 0) return {};
    return errno_error(errno, "not in this kernel (modprobe bridge)");
}

}  // namespace fmvm::node
