// The one way a call that may block runs: on a thread of its own, settling a promise.
//
// A call into a sick disk sleeps in the kernel for as long as it likes; nothing can wake it, not even
// SIGKILL. On libuv's pool four of those would stop every file operation of the agent. So each call
// gets its own detached thread, and such a thread owns nothing that the rest needs:
//
// - no signal: all are blocked in it, they belong to the main thread;
// - no descriptor above 2: it leaves the process' table (close_range(2), CLOSE_RANGE_UNSHARE). A
//   process ends only when its last thread has left the kernel; would the stuck thread share the
//   table, the agent's sockets and its lock would stay taken after exit, even after SIGKILL, and the
//   next agent couldn't start. For the same reason the thread can't wake the event loop itself
//   (libuv writes to a descriptor): it hands its result to one courier thread that still can.
// - no JavaScript: when the environment goes first (exit, a worker's end), the result is dropped.
#pragma once

#include <napi.h>

#include <functional>
#include <optional>

#include "errors.h"

namespace holdfast {

struct Outcome {
  std::optional<Failure> failure;
  // Makes the promise's value, on the JavaScript thread; absent means undefined.
  std::function<Napi::Value(Napi::Env)> value;
};

// What the call is about, for the error when no thread is to be had.
struct Subject {
  const char* syscall;
  std::string path;
};

// Runs `work` on its own thread. Rejects with EAGAIN when too many calls are in flight.
Napi::Value RunTask(Napi::Env env, const Subject& subject, std::function<Outcome()> work);

}  // namespace holdfast
