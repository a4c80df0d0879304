// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tls_socket.h"

#include <openssl/bio.h>
#include <sys/socket.h>

#include <cerrno>
#include <new>

#include "base/check.h"

namespace fmvm::lockstep {

namespace {

TlsSocket& socket_of(BIO* bio) {
    return *static_cast<TlsSocket*>(BIO_get_data(bio));
}

// What a system call came to, as OpenSSL wants to be told; errno is its own.
int tell(BIO* bio, ssize_t count, void (*try_again)(BIO*)) {
    BIO_clear_retry_flags(bio);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) try_again(bio);
    socket_of(bio).error = count < 0 ? errno : 0;
    return static_cast<int>(count);
}

int write_socket(BIO* bio, const char* bytes, int size) {
    const ssize_t count = ::send(socket_of(bio).fd, bytes, static_cast<std::size_t>(size),
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
    return tell(bio, count, [](BIO* self) { BIO_set_retry_write(self); });
}

int read_socket(BIO* bio, char* space, int size) {
    const ssize_t count =
        ::recv(socket_of(bio).fd, space, static_cast<std::size_t>(size), MSG_DONTWAIT);
    return tell(bio, count, [](BIO* self) { BIO_set_retry_read(self); });
}

// Nothing is kept back, so that there is nothing to flush; all other questions have no answer.
long answer_control(BIO*, int command, long, void*) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD* make_method() {
    BIO_METHOD* const method =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "fmvm's socket");
    FMVM_CHECK(method != nullptr && BIO_meth_set_write(method, write_socket) == 1 &&
               BIO_meth_set_read(method, read_socket) == 1 &&
               BIO_meth_set_ctrl(method, answer_control) == 1);
    return method;
}

}  // namespace

BIO* new_bio(TlsSocket& socket) {
    static const BIO_METHOD* const method = make_method();
    BIO* const bio = BIO_new(method);
    if (bio == nullptr) throw std::bad_alloc();
    BIO_set_data(bio, &socket);
    BIO_set_init(bio, 1);
    return bio;
}

}  // namespace fmvm::lockstep
