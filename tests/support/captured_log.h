// SPDX-License-Identifier: Apache-2.0
// What the log says while this lives, in place of standard error.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <string>

#include "base/log.h"
#include "base/standard_error.h"
#include "base/unique_fd.h"

namespace fmvm::test {

class CapturedLog {
  public:
    explicit CapturedLog(log::Level level = log::Level::notice)
        : before_(::dup(STDERR_FILENO)), file_(::memfd_create("log", MFD_CLOEXEC)) {
        finish_standard_error();  // what was said before goes where it belongs
        log::set_level(level);
        ::dup2(file_.get(), STDERR_FILENO);
    }
    ~CapturedLog() {
        finish_standard_error();
        ::dup2(before_.get(), STDERR_FILENO);
        log::set_level(log::Level::error);
    }
    CapturedLog(const CapturedLog&) = delete;
    CapturedLog& operator=(const CapturedLog&) = delete;

    std::string text() const {
        finish_standard_error();
        std::string text;
        std::array<char, 4096> part{};
        ssize_t count = 0;
        while ((count = ::pread(file_.get(), part.data(), part.size(),
                                static_cast<off_t>(text.size()))) > 0)
            text.append(part.data(), static_cast<std::size_t>(count));
        return text;
    }
    // How often it says so.
    std::size_t count(std::string_view words) const {
        const std::string all = text();
        std::size_t found = 0;
        for (std::size_t at = all.find(words); at != std::string::npos;
             at = all.find(words, at + 1))
            ++found;
        return found;
    }
    bool has(std::string_view words) const { return count(words) != 0; }

  private:
    const UniqueFd before_;
    const UniqueFd file_;
};

}  // namespace fmvm::test
