// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value or an Error, for everything that can fail for a reason the user must hear.
// (g++ 12 has no std::expected.) Errors carry one plain sentence that names the thing and the
// remedy; callers add context by prefixing, never by translating codes twice.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace fmvm {

class [[nodiscard]] Error {
  public:
    explicit Error(std::string message) : message_(std::move(message)) {}
    const std::string& message() const { return message_; }

  private:
    std::string message_;
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
    Result(Error error) : error_(std::move(error.message())), ok_(false) {}

    bool ok() const { return ok_; }
    explicit operator bool() const { return ok_; }
    void value() const { FMVM_CHECK(ok_); }
    Error error() const {
        FMVM_CHECK(!ok_);
        return Error(error_);
    }

  private:
    std::string error_;
    bool ok_ = true;
};

}  // namespace fmvm

// auto x = FMVM_TRY(f());  FMVM_TRY(g());  Returns the error from the enclosing function. A GNU
// statement expression (g++ and clang++), so that the value can be used in place.
#define FMVM_TRY(expression)                                       \
    __extension__({                                                \
        auto fmvm_try_result = (expression);                       \
        if (!fmvm_try_result.ok()) return fmvm_try_result.error(); \
        std::move(fmvm_try_result).value();                        \
    })
