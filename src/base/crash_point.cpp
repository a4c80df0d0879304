// SPDX-License-Identifier: Apache-2.0
#include "base/crash_point.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstdlib>

namespace fmvm::detail {

namespace {

// What a variable of the environment says: a place, and at which visit.
class Armed {
  public:
    explicit Armed(const char* variable) {
        const char* const text = std::getenv(variable);
        if (text == nullptr) return;
        name_ = text;
        const std::size_t colon = name_.find(':');
        if (colon == std::string_view::npos) return;
        const std::string_view count = name_.substr(colon + 1);
        std::from_chars(count.data(), count.data() + count.size(), count_);
        name_ = name_.substr(0, colon);
    }
    bool is_armed() const { return !name_.empty(); }
    bool reaches(std::string_view name) { return name == name_ && ++visits_ == count_; }

  private:
    std::string_view name_;
    int count_ = 1;
    std::atomic<int> visits_{0};
};

Armed death("FMVM_CRASH_AT");
Armed hang("FMVM_HANG_AT");

}  // namespace

const bool crash_points_armed = death.is_armed() || hang.is_armed();

void visit_crash_point(std::string_view name) {
    if (death.reaches(name)) ::raise(SIGKILL);
    const bool hangs = hang.reaches(name);
    while (hangs)
        ::pause();  // until the process ends
}

}  // namespace fmvm::detail
