// SPDX-License-Identifier: Apache-2.0
#include "node/control/control_client.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "node/control/control_socket.h"
#include "support/temp_directory.h"

using namespace fmvm;
using namespace fmvm::node;

namespace {

// A control socket that is served.
class Server {
  public:
    Server() : socket_(ControlSocket::open(control_, path()).value()) {
        socket_->add("greet", [](const JsonValue& request, const ControlReply& reply) {
            const JsonValue* const name = find_member(request, "name");
            if (name == nullptr) return reply.error("greet needs a \"name\"");
            reply.line(JsonObject().add("progress", 1));
            reply.ok(JsonObject().add("result", "hello " + name->text));
        });
        thread_ = std::thread([this] { control_.run(); });
    }
    ~Server() {
        control_.stop();
        thread_.join();
    }
    std::string path() const { return directory_.file("control"); }

  private:
    test::TempDirectory directory_;
    boost::asio::io_context control_{1};
    std::unique_ptr<ControlSocket> socket_;
    std::thread thread_;
};

}  // namespace

TEST_CASE("a control request gets its answer, line by line", "[control]") {
    const Server server;
    std::vector<std::string> lines;
    const Result<JsonValue> answer =
        control_request(server.path(), JsonObject().add("command", "greet").add("name", "a\"\n"),
                        [&](const JsonValue& line) { lines.push_back(line.children.at(0).key); });
    REQUIRE(answer.ok());
    CHECK(lines == std::vector<std::string>{"progress", "ok"});
    CHECK(find_member(answer.value(), "result")->text == "hello a\"\n");
}

TEST_CASE("a control request that is refused returns the refusal", "[control]") {
    const Server server;
    const auto refusal = [&](const JsonObject& request) {
        const Result<JsonValue> answer = control_request(server.path(), request);
        return answer.ok() ? "" : answer.error().message();
    };
    CHECK(refusal(JsonObject().add("command", "greet")) == "greet needs a \"name\"");
    CHECK(refusal(JsonObject().add("command", "sing")).find("'sing' is not known") !=
          std::string::npos);
    CHECK(refusal(JsonObject()).find("\"command\"") != std::string::npos);
}

TEST_CASE("a control socket that cannot be made is the fault of what was given", "[control]") {
    boost::asio::io_context control;
    const auto opened = open_control(control, "/nonexistent/control");
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().kind() == Error::Kind::input);
    CHECK(open_control(control, "").value() == nullptr);
}
