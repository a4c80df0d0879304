// SPDX-License-Identifier: Apache-2.0
// The control socket of a running fmvm (--control PATH): a Unix socket on which its user asks for
// things. A client sends one line, a JSON object {"command": NAME, ...}, and gets lines of JSON
// back; the last one is {"ok": true, ...} or {"error": TEXT}; then the connection ends.
//
// Only the user who started fmvm may connect (mode 0600). A request has 64 KiB and a few seconds to
// arrive; few clients are served at once, and one that does not read its answer loses it.
//
// Threads: those of the io_context, of which there must be one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "base/units.h"

namespace boost::asio {
class io_context;
}

namespace fmvm::node {

// The way back to one client. Copies are the same; the connection ends with the last of them.
class ControlReply {
  public:
    // Ends the answer: {"ok": true} with these members behind it.
    void ok(const JsonObject& members = {}) const;
    // Ends the answer: {"error": message}.
    void error(std::string_view message) const;
    // Sends a line before the end. Returns false when the client is gone or does not read.
    bool line(const JsonObject& object) const;
    // Called, once, when the client ends the connection before its answer has ended. It does not
    // keep the connection.
    void on_gone(std::function<void()> handler) const;

  private:
    friend class ControlSocket;
    struct Connection;
    explicit ControlReply(std::shared_ptr<Connection> connection)
        : connection_(std::move(connection)) {}
    std::shared_ptr<Connection> connection_;
};

class ControlSocket {
  public:
    // Answers now or later, by keeping the reply.
    using Handler = std::function<void(const JsonValue& request, const ControlReply& reply)>;

    // A socket that nobody serves any more is replaced; one that is in use, and anything else that
    // is not a socket, is refused. The io_context must outlive the socket.
    static Result<std::unique_ptr<ControlSocket>> open(boost::asio::io_context& context,
                                                       const std::string& path);
    // Removes the socket, if it is still this one.
    ~ControlSocket();
    ControlSocket(const ControlSocket&) = delete;
    ControlSocket& operator=(const ControlSocket&) = delete;

    void add(std::string command, Handler handler);

    static constexpr std::size_t request_bytes_max = 64 * kib;
    static constexpr int clients_max = 8;

  private:
    struct Parts;
    explicit ControlSocket(std::unique_ptr<Parts> parts);
    void accept();
    void accept_later();
    void serve(const std::shared_ptr<ControlReply::Connection>& connection);
    void answer(std::string_view text, const ControlReply& reply) const;

    const std::unique_ptr<Parts> parts_;
};

// Opens the socket of an option that may be empty; then there is none.
Result<std::unique_ptr<ControlSocket>> open_control(boost::asio::io_context& context,
                                                    const std::string& path);

}  // namespace fmvm::node
