// SPDX-License-Identifier: Apache-2.0
// Says in the code which lock guards what, so that clang checks it (-Wthread-safety, run by
// scripts/lint; https://clang.llvm.org/docs/ThreadSafetyAnalysis.html). Other compilers see
// nothing.
//
// Only locks of base/mutex.h are known to the analysis. What a thread owns without a lock, such as
// the loop thread, a "Threads:" comment still says.
#pragma once

#ifdef __clang__
#define FMVM_THREAD_ANNOTATION(annotation) __attribute__((annotation))
#else
#define FMVM_THREAD_ANNOTATION(annotation)
#endif

// Of data: it is read and written only while the mutex is held.
#define FMVM_GUARDED_BY(mutex) FMVM_THREAD_ANNOTATION(guarded_by(mutex))
// Of a pointer: what it points to is.
#define FMVM_PT_GUARDED_BY(mutex) FMVM_THREAD_ANNOTATION(pt_guarded_by(mutex))
// Of a function: the caller holds the mutex, before and after.
#define FMVM_REQUIRES(mutex) FMVM_THREAD_ANNOTATION(requires_capability(mutex))
// Of a function: the caller does not hold the mutex, because the function takes it.
#define FMVM_EXCLUDES(mutex) FMVM_THREAD_ANNOTATION(locks_excluded(mutex))
// Of a function that is right for a reason that the analysis cannot see; the reason stands above
// it.
#define FMVM_NO_THREAD_SAFETY_ANALYSIS FMVM_THREAD_ANNOTATION(no_thread_safety_analysis)

// Of base/mutex.h only: a class that is a lock, a class that holds one while it lives, and
// functions that take and release one.
#define FMVM_CAPABILITY(name) FMVM_THREAD_ANNOTATION(capability(name))
#define FMVM_SCOPED_CAPABILITY FMVM_THREAD_ANNOTATION(scoped_lockable)
#define FMVM_ACQUIRE(...) FMVM_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define FMVM_RELEASE(...) FMVM_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
