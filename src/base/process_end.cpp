// SPDX-License-Identifier: Apache-2.0
#include "base/process_end.h"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>

#include "base/standard_error.h"

namespace fmvm {

namespace {

const char* remedy_for(const char* what) {
    const bool descriptors = std::strstr(what, "Too many open files") != nullptr;
    return descriptors ? "; raise the limit of open files (ulimit -n)" : "";
}

[[noreturn]] void on_terminate() {
    if (std::current_exception() != nullptr) end_process_by_exception();
    say_last_words("fmvm: internal error: std::terminate was called; please report this\n");
    std::abort();
}

}  // namespace

void describe_exception(std::span<char> text) noexcept {
    const auto say = [&](const char* what) {
        std::snprintf(text.data(), text.size(), "%s%s", what, remedy_for(what));
    };
    try {
        throw;
    } catch (const std::bad_alloc&) {
        say("this host gives it no more memory");
    } catch (const std::exception& error) {
        say(error.what());
    } catch (...) {
        say("something was thrown that is no std::exception");
    }
}

void end_process_by_exception() noexcept {
    static std::atomic_flag ending;
    if (ending.test_and_set()) {
        while (true)
            ::pause();  // another thread is at it
    }
    std::array<char, 16> thread{};
    ::pthread_getname_np(::pthread_self(), thread.data(), thread.size());
    std::array<char, 512> why{};
    describe_exception(why);
    std::array<char, 640> sentence{};
    std::snprintf(sentence.data(), sentence.size(), "fmvm: the thread %s cannot go on: %s\n",
                  thread.data(), why.data());
    say_last_words(sentence.data());
    std::quick_exit(failed_process_status);
}

void prepare_process_end() {
    std::set_terminate(on_terminate);
}

}  // namespace fmvm
