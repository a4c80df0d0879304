// SPDX-License-Identifier: Apache-2.0
#include "node/control/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "base/log.h"
#include "base/unique_fd.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::node {

namespace {

using Protocol = boost::asio::local::stream_protocol;

constexpr std::chrono::seconds request_time_max{5};
// After a failure to accept, for example because there are no file descriptors left.
constexpr std::chrono::seconds accept_pause{1};

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return make_error("control {}: a socket's path has 1 to {} bytes; give a shorter one", path,
                          sizeof address.sun_path - 1);
    }
    path.copy(address.sun_path, path.size());
    return address;
}

// Removes an old socket that nobody serves, so that a new one can take its place.
Result<void> make_way(const std::string& path, const sockaddr_un& address) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return {};
    if (!S_ISSOCK(status.st_mode))
        return make_error("control {}: it exists and is not a socket; give another path", path);
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe) return errno_error(errno, "cannot make a socket");
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
        errno != ECONNREFUSED) {
        return make_error("control {}: in use by another process; give another path", path);
    }
    if (::unlink(path.c_str()) != 0)
        return errno_error(errno,
                           fmt::format("control {}: the old socket cannot be removed", path));
    return {};
}

Result<UniqueFd> listen_at(const std::string& path) {
    const sockaddr_un address = FMVM_TRY(address_of(path));
    FMVM_TRY(make_way(path, address));
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // Linux gives the file the socket's mode, so that nobody else ever sees it open.
    if (!fd || ::fchmod(fd.get(), 0600) != 0 ||
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd.get(), ControlSocket::clients_max) != 0) {
        return errno_error(errno, fmt::format("control {}: the socket cannot be made; name a path "
                                              "in a directory that fmvm may write",
                                              path));
    }
    return fd;
}

}  // namespace

struct ControlReply::Connection {
    Connection(Protocol::socket accepted, std::shared_ptr<int> count)
        : socket(std::move(accepted)), deadline(socket.get_executor()), clients(std::move(count)) {
        ++*clients;
    }
    ~Connection() { --*clients; }

    // Answers are small; a client whose buffer is full does not read them.
    bool send(std::string line) {
        line += '\n';
        const ssize_t sent =
            ::send(socket.native_handle(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent == static_cast<ssize_t>(line.size())) return true;
        boost::system::error_code ignored;
        socket.shutdown(Protocol::socket::shutdown_both, ignored);
        return false;
    }

    Protocol::socket socket;
    boost::asio::steady_timer deadline;
    std::string request;
    std::shared_ptr<int> clients;
    TaskScope tasks;  // last: its tasks use the rest
};

void ControlReply::ok(const JsonObject& members) const {
    line(JsonObject().add("ok", true).add_all(members));
}

void ControlReply::error(std::string_view message) const {
    line(JsonObject().add("error", message));
}

bool ControlReply::line(const JsonObject& object) const {
    return connection_->send(object.line());
}

// A client that says more is not gone; nobody listens to it.
void ControlReply::on_gone(std::function<void()> handler) const {
    Protocol::socket& socket = connection_->socket;
    socket.async_wait(
        Protocol::socket::wait_read,
        connection_->tasks.bind([&socket, handler = std::move(handler)](
                                    const boost::system::error_code& error) {
            char byte = 0;
            if (!error && ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
                handler();
        }));
}

struct ControlSocket::Parts {
    Parts(boost::asio::io_context& context, UniqueFd listener)
        : acceptor(context, Protocol(), listener.release()), pause(context) {}
    Protocol::acceptor acceptor;
    boost::asio::steady_timer pause;
    std::map<std::string, Handler, std::less<>> handlers;
    std::shared_ptr<int> clients = std::make_shared<int>(0);
    std::string path;
    struct stat file {};
    TaskScope tasks;  // last: its tasks use the rest
};

ControlSocket::ControlSocket(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<ControlSocket>> ControlSocket::open(boost::asio::io_context& context,
                                                           const std::string& path) {
    auto parts = std::make_unique<Parts>(context, FMVM_TRY(listen_at(path)));
    parts->path = path;
    if (::lstat(path.c_str(), &parts->file) != 0)
        return errno_error(errno, fmt::format("control {}: the socket is gone", path));
    std::unique_ptr<ControlSocket> socket(new ControlSocket(std::move(parts)));
    socket->accept();
    return socket;
}

ControlSocket::~ControlSocket() {
    struct stat now {};
    if (::lstat(parts_->path.c_str(), &now) == 0 && now.st_ino == parts_->file.st_ino &&
        now.st_dev == parts_->file.st_dev) {
        ::unlink(parts_->path.c_str());
    }
}

void ControlSocket::add(std::string command, Handler handler) {
    parts_->handlers[std::move(command)] = std::move(handler);
}

void ControlSocket::accept() {
    parts_->acceptor.async_accept(parts_->tasks.bind([this](const boost::system::error_code& error,
                                                            Protocol::socket socket) {
        if (error) {
            log::debug("control", "a client could not be accepted: {}", error.message());
            return accept_later();
        }
        if (*parts_->clients < clients_max) {
            serve(std::make_shared<ControlReply::Connection>(std::move(socket), parts_->clients));
        }
        accept();
    }));
}

void ControlSocket::accept_later() {
    parts_->pause.expires_after(accept_pause);
    parts_->pause.async_wait(
        parts_->tasks.bind([this](const boost::system::error_code&) { accept(); }));
}

void ControlSocket::serve(const std::shared_ptr<ControlReply::Connection>& connection) {
    // The timer must not keep the connection, which ends with its last reply.
    connection->deadline.expires_after(request_time_max);
    connection->deadline.async_wait(connection->tasks.bind(
        [&socket = connection->socket](const boost::system::error_code& error) {
            boost::system::error_code ignored;
            if (!error) socket.cancel(ignored);
        }));
    auto& socket = connection->socket;
    auto buffer = boost::asio::dynamic_buffer(connection->request, request_bytes_max);
    boost::asio::async_read_until(
        socket, buffer, '\n',
        parts_->tasks.bind(
            [this, connection](const boost::system::error_code& error, std::size_t size) {
                connection->deadline.cancel();
                const ControlReply reply(connection);
                if (error) {
                    reply.error("no whole line came, of at most 64 KiB, within 5 seconds");
                    return;
                }
                answer(std::string_view(connection->request).substr(0, size), reply);
            }));
}

void ControlSocket::answer(std::string_view text, const ControlReply& reply) const {
    const Result<JsonValue> request = parse_json(text);
    if (!request.ok()) return reply.error(request.error().message());
    const JsonValue* const command = find_member(request.value(), "command");
    if (command == nullptr || command->kind != JsonValue::Kind::string)
        return reply.error("a request is an object with a \"command\"");
    const auto handler = parts_->handlers.find(command->text);
    if (handler == parts_->handlers.end())
        return reply.error(fmt::format("the command '{}' is not known here", command->text));
    handler->second(request.value(), reply);
}

Result<std::unique_ptr<ControlSocket>> open_control(boost::asio::io_context& context,
                                                    const std::string& path) {
    if (path.empty()) return std::unique_ptr<ControlSocket>();
    return blame_input(ControlSocket::open(context, path));
}

}  // namespace fmvm::node
