// SPDX-License-Identifier: Apache-2.0
// Preloaded into fmvm (LD_PRELOAD) it makes the arbiter's directory a mount that hangs: while the
// file that FMVM_TEST_HANG names exists, looking for a file beside the arbiter's takes for ever.
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

extern "C" int faccessat(int directory, const char* path, int mode, int flags) noexcept {
    using Real = int (*)(int, const char*, int, int);
    static const auto real = reinterpret_cast<Real>(::dlsym(RTLD_NEXT, "faccessat"));
    const char* const hang = std::getenv("FMVM_TEST_HANG");
    struct stat ignored {};
    while (hang != nullptr && std::strstr(path, "/arbiter.") != nullptr &&
           ::stat(hang, &ignored) == 0)
        ::usleep(1000);
    return real(directory, path, mode, flags);
}
