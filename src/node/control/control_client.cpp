// SPDX-License-Identifier: Apache-2.0
#include "node/control/control_client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/unique_fd.h"
#include "base/units.h"

namespace fmvm::node {

namespace {

constexpr std::size_t line_bytes_max = 16 * mib;

Result<UniqueFd> connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return make_error("control {}: this is not the path of a socket", path);
    path.copy(address.sun_path, path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd) return errno_error(errno, "cannot make a socket");
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return make_error("control {}: no running fmvm can be reached there: {}", path,
                          std::strerror(errno));
    }
    return fd;
}

Result<void> send_all(int fd, std::string_view left) {
    while (!left.empty()) {
        const ssize_t sent = ::send(fd, left.data(), left.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return errno_error(errno, "the request could not be sent");
        left.remove_prefix(static_cast<std::size_t>(sent));
    }
    return {};
}

// From now on nobody waits longer for more of the answer.
Result<void> set_limit(int fd, std::chrono::milliseconds limit) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
    const timeval time{seconds.count(), std::chrono::microseconds(limit - seconds).count()};
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) == 0) return {};
    return errno_error(errno, "a socket takes no time limit");
}

// More of the answer, behind what there is; false at its end.
Result<bool> receive(int fd, std::string& answer) {
    char buffer[4096];
    while (true) {
        const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return Error("no answer came in time; it is given up");
        if (got < 0 && errno != ECONNRESET) return errno_error(errno, "no answer came");
        if (got <= 0) return false;
        answer.append(buffer, static_cast<std::size_t>(got));
        if (answer.size() > line_bytes_max) return Error("the answer is too long");
        return true;
    }
}

}  // namespace

Result<JsonValue> control_request(const std::string& path, const JsonObject& request,
                                  const std::function<void(const JsonValue&)>& on_line,
                                  std::optional<std::chrono::milliseconds> limit) {
    const UniqueFd fd = FMVM_TRY(connect_to(path));
    if (limit) FMVM_TRY(set_limit(fd.get(), *limit));
    FMVM_TRY(send_all(fd.get(), request.line() + '\n'));
    std::string answer;
    JsonValue last;
    while (FMVM_TRY(receive(fd.get(), answer))) {
        for (std::size_t end; (end = answer.find('\n')) != answer.npos; answer.erase(0, end + 1)) {
            Result<JsonValue> line = parse_json(std::string_view(answer).substr(0, end));
            if (!line.ok()) return make_error("control {}: the answer is not JSON", path);
            if (on_line) on_line(*line);
            last = std::move(*line);
        }
    }
    if (const JsonValue* const error = find_member(last, "error")) return Error(error->text);
    if (find_member(last, "ok") == nullptr)
        return make_error("control {}: fmvm ended before it answered", path);
    return last;
}

}  // namespace fmvm::node
