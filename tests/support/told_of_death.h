// SPDX-License-Identifier: Apache-2.0
// Somebody whom a sentinel tells of a death.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <optional>
#include <string>

#include "base/check.h"
#include "base/unique_fd.h"
#include "lockstep/sentinel/last_word.h"
#include "support/fake_lines.h"

namespace fmvm::test {

inline bool is_readable(int fd, std::chrono::milliseconds limit) {
    pollfd query{fd, POLLIN, 0};
    return ::poll(&query, 1, static_cast<int>(limit.count())) == 1;
}

// Until something comes, for as long as a test waits.
inline bool becomes_readable(int fd) {
    return is_readable(fd, wait_limit);
}

inline lockstep::LastBytes bytes_of(const std::string& text) {
    return lockstep::LastBytes(std::span<const std::uint8_t>(
        reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

inline void say(const UniqueFd& connection, const std::string& text) {
    REQUIRE(::send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
}

class DeathListener {
  public:
    static constexpr const char* answer = "yes";

    DeathListener() {
        address_.sin_family = AF_INET;
        address_.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
        bind();
        socklen_t size = sizeof address_;
        FMVM_CHECK(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address_), &size) ==
                   0);
    }
    void stop() { socket_.reset(); }
    void start_again() { bind(); }
    lockstep::LastWord word(const std::string& greeting, const std::string& last) const {
        lockstep::LastWord word;
        *reinterpret_cast<sockaddr_in*>(&word.listener) = address_;
        word.listener_size = sizeof address_;
        word.greeting = bytes_of(greeting);
        word.answer = bytes_of(answer);
        word.word = bytes_of(last);
        return word;
    }
    // Says nothing yet.
    UniqueFd accept_silently() const {
        REQUIRE(becomes_readable(socket_.get()));
        return UniqueFd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    UniqueFd accept() const {
        UniqueFd connection = accept_silently();
        say(connection, answer);
        return connection;
    }
    bool has_caller() const { return is_readable(socket_.get(), std::chrono::milliseconds(0)); }

  private:
    void bind() {
        socket_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const int yes = 1;
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        FMVM_CHECK(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address_),
                          sizeof address_) == 0);
        FMVM_CHECK(::listen(socket_.get(), 8) == 0);
    }
    sockaddr_in address_{};
    UniqueFd socket_;
};

// All that is said on a connection until it is closed; nothing if it stays open.
inline std::optional<std::string> all_said(const UniqueFd& connection) {
    std::string said;
    std::array<char, 256> part;
    while (becomes_readable(connection.get())) {
        const ssize_t size = ::read(connection.get(), part.data(), part.size());
        if (size <= 0) return said;
        said.append(part.data(), static_cast<std::size_t>(size));
    }
    return std::nullopt;
}

inline std::string said(const UniqueFd& connection, std::size_t size) {
    std::string text(size, '\0');
    REQUIRE(::recv(connection.get(), text.data(), size, MSG_WAITALL) == static_cast<ssize_t>(size));
    return text;
}

}  // namespace fmvm::test
