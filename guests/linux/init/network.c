// SPDX-License-Identifier: Apache-2.0
// The card eth0 and the loopback interface: their addresses and links, by netdevice(7). There is no
// route beyond the card's own network.
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "init.h"

static void set_address(int fd, const char* name, unsigned long request, struct in_addr address) {
    struct ifreq interface = {0};
    const struct sockaddr_in value = {.sin_family = AF_INET, .sin_addr = address};
    snprintf(interface.ifr_name, sizeof interface.ifr_name, "%s", name);
    memcpy(&interface.ifr_addr, &value, sizeof value);
    if (ioctl(fd, (int)request, &interface) != 0)
        fail("cannot give %s an address (is there a network card?): %s", name, strerror(errno));
}

static void set_up(int fd, const char* name) {
    struct ifreq interface = {0};
    snprintf(interface.ifr_name, sizeof interface.ifr_name, "%s", name);
    if (ioctl(fd, SIOCGIFFLAGS, &interface) == 0) {
        interface.ifr_flags |= IFF_UP;
        if (ioctl(fd, SIOCSIFFLAGS, &interface) == 0) return;
    }
    fail("cannot set %s up: %s", name, strerror(errno));
}

// "ADDRESS/BITS"
static void configure(int fd, const char* name, const char* text) {
    char address_text[32];
    unsigned bits;
    char rest;
    struct in_addr address;
    if (sscanf(text, "%31[0-9.]/%u%c", address_text, &bits, &rest) != 2 ||
        inet_pton(AF_INET, address_text, &address) != 1 || bits < 1 || bits > 32)
        fail("fmvm.address=%s is not an address like 10.0.2.15/24", text);
    const struct in_addr mask = {htonl(UINT32_MAX << (32 - bits))};
    set_address(fd, name, SIOCSIFADDR, address);
    set_address(fd, name, SIOCSIFNETMASK, mask);
    set_up(fd, name);
}

void set_up_network(const char* address) {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("cannot open a socket: %s", strerror(errno));
    configure(fd, "lo", "127.0.0.1/8");
    configure(fd, "eth0", address);
    close(fd);
}
