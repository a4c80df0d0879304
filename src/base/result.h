// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value or an Error, for everything that can fail for a reason the user must hear.
// (g++ 12 has no std::expected.) Errors carry one plain sentence that names the thing and the
// remedy, and whose fault it is; callers add context by prefixing, never by translating codes
// twice.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace fmvm {

class [[nodiscard]] Error {
  public:
    // Whose fault it is. Only exit statuses depend on it.
    enum class Kind {
        host,   // this host's, or fmvm's own: what was asked for is right, and may work elsewhere
        input,  // what was given is bad: an option, a configuration, a kernel, a disk
    };

    explicit Error(std::string message, Kind kind = Kind::host)
        : message_(std::move(message)), kind_(kind) {}
    const std::string& message() const& { return message_; }
    // Of an error that goes at once, as what Result::error() returns does.
    std::string message() && { return std::move(message_); }
    Kind kind() const { return kind_; }
    // The same error, told with the thing that it is about: "<what>: <message>".
    Error about(std::string_view what) const {
        return Error(fmt::format("{}: {}", what, message_), kind_);
    }

  private:
    std::string message_;
    Kind kind_;
};

template <typename... Args>
Error make_error(fmt::format_string<Args...> format, Args&&... args) {
    return Error(fmt::format(format, std::forward<Args>(args)...));
}

// "<what>: <strerror(error_number)>"; pass errno read at once after the failing call.
inline Error errno_error(int error_number, std::string_view what) {
    return Error(fmt::format("{}: {}", what, std::strerror(error_number)));
}

template <typename T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    T& value() & {
        FMVM_CHECK(ok());
        return std::get<0>(state_);
    }
    const T& value() const& {
        FMVM_CHECK(ok());
        return std::get<0>(state_);
    }
    T value() && {
        FMVM_CHECK(ok());
        return std::get<0>(std::move(state_));
    }
    Error error() const {
        FMVM_CHECK(!ok());
        return std::get<1>(state_);
    }
    T* operator->() { return &value(); }
    T& operator*() & { return value(); }

  private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    bool ok() const { return !error_; }
    explicit operator bool() const { return ok(); }
    void value() const { FMVM_CHECK(ok()); }
    Error error() const {
        FMVM_CHECK(!ok());
        return *error_;
    }

  private:
    std::optional<Error> error_;
};

// The same result; an error is the fault of what was given.
template <typename T>
Result<T> blame_input(Result<T> result) {
    if (result.ok()) return result;
    return Error(result.error().message(), Error::Kind::input);
}

// The same result; an error is told with the thing that it is about.
template <typename T>
Result<T> about(std::string_view what, Result<T> result) {
    if (result.ok()) return result;
    return result.error().about(what);
}

}  // namespace fmvm

// auto x = FMVM_TRY(f());  FMVM_TRY(g());  Returns the error from the enclosing function. A GNU
// statement expression (g++ and clang++), so that the value can be used in place.
#define FMVM_TRY(expression)                                       \
    __extension__({                                                \
        auto fmvm_try_result = (expression);                       \
        if (!fmvm_try_result.ok()) return fmvm_try_result.error(); \
        std::move(fmvm_try_result).value();                        \
    })
