// SPDX-License-Identifier: Apache-2.0
// A process with a sentinel, and much memory that it has written to: mortal PORT MIB
//
// It says "channel" to 127.0.0.1:PORT on a connection of its own. Its sentinel says "hello" there,
// waits for "yes", and says "dead" when this process has died. When both have connected it prints
// "ready". It ends at the end of its standard input.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <thread>

#include "base/units.h"
#include "lockstep/sentinel/sentinel.h"

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

LastBytes bytes_of(std::string_view text) {
    return LastBytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

sockaddr_in address_of(const char* port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    address.sin_port = ::htons(static_cast<std::uint16_t>(std::stoi(port)));
    return address;
}

LastWord last_word(const sockaddr_in& address) {
    LastWord word;
    *reinterpret_cast<sockaddr_in*>(&word.listener) = address;
    word.listener_size = sizeof address;
    word.greeting = bytes_of("hello");
    word.answer = bytes_of("yes");
    word.word = bytes_of("dead");
    return word;
}

UniqueFd connect_channel(const sockaddr_in& address) {
    constexpr std::string_view greeting = "channel";
    UniqueFd channel(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    FMVM_CHECK(
        ::connect(channel.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    FMVM_CHECK(::send(channel.get(), greeting.data(), greeting.size(), 0) ==
               static_cast<ssize_t>(greeting.size()));
    return channel;
}

void wait_until_connected(Sentinel& sentinel) {
    pollfd query{sentinel.report_fd(), POLLIN, 0};
    FMVM_CHECK(::poll(&query, 1, 60'000) == 1);
    const auto report = sentinel.next_report().next;
    FMVM_CHECK(report && report->state == SentinelReport::State::connected);
}

// In small pages, as a guest's are after a while.
void write_to_memory(std::size_t size) {
    void* const memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FMVM_CHECK(memory != MAP_FAILED);
    ::madvise(memory, size, MADV_NOHUGEPAGE);
    for (std::size_t at = 0; at < size; at += page_size)
        static_cast<volatile char*>(memory)[at] = 1;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) return 2;
    const std::unique_ptr<Sentinel> sentinel = Sentinel::start().value();
    const sockaddr_in address = address_of(arguments[1]);
    FMVM_CHECK(sentinel->say_when_dead(last_word(address)));
    const UniqueFd channel = connect_channel(address);
    wait_until_connected(*sentinel);
    write_to_memory(std::stoull(arguments[2]) * mib);
    std::thread emitter([&sentinel] {
        sentinel->emitters()->hold();
        std::puts("ready");
        std::fflush(stdout);
        while (std::getchar() != EOF) {
        }
    });
    emitter.join();
    return 0;
}
