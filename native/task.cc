#include "task.h"

#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

namespace holdfast {

namespace {

// Calls in flight in this process. Healthy calls take milliseconds, so this many at once means that
// the host's storage is stuck, and more threads would only hide it.
constexpr int kTasksInFlightMax = 64;

// Bytes of stack per thread: the calls below need a few kB (paths, ioctl structs).
constexpr size_t kStackBytes = 256 * 1024;

std::atomic<int> tasks_in_flight{0};

struct Call {
  std::function<Outcome()> work;
  Outcome outcome;
  napi_deferred deferred = nullptr;
  napi_threadsafe_function door = nullptr;
  // Node frees the door with its environment, without asking who still holds it.
  std::mutex door_mutex;
  bool door_closed = false;
};

using CallRef = std::shared_ptr<Call>;

// Carries results from the stuck-prone threads to the event loop. Never blocks on anything else.
class Courier {
 public:
  void Post(CallRef call) {
    std::lock_guard<std::mutex> lock(mutex_);
    done_.push_back(std::move(call));
    wake_.notify_one();
  }

  void Loop() {
    for (;;) Deliver(Next());
  }

 private:
  CallRef Next() {
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [this] { return !done_.empty(); });
    CallRef call = std::move(done_.front());
    done_.pop_front();
    return call;
  }

  static void Deliver(const CallRef& call) {
    std::lock_guard<std::mutex> lock(call->door_mutex);
    if (call->door_closed) return;
    // A closing door has counted this thread out already: it must not be released again.
    if (napi_call_threadsafe_function(call->door, nullptr, napi_tsfn_nonblocking) != napi_ok) return;
    napi_release_threadsafe_function(call->door, napi_tsfn_release);
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<CallRef> done_;  // at most kTasksInFlightMax plus what JavaScript didn't await
};

// Never deleted: detached threads may still use it while the process' destructors run.
Courier* courier = nullptr;
std::mutex courier_mutex;

// Starts a detached thread with every signal blocked; returns errno.
int StartThread(void* (*body)(void*), void* argument) {
  sigset_t all;
  sigset_t before;
  pthread_attr_t attributes;
  pthread_t thread;
  sigfillset(&all);
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  // Blocked before the thread exists: libuv's handler in a thread without its pipe would abort.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&thread, &attributes, body, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return error;
}

int StartCourier() {
  std::lock_guard<std::mutex> lock(courier_mutex);
  if (courier != nullptr) return 0;
  auto fresh = std::make_unique<Courier>();
  const auto body = [](void* self) -> void* {
    static_cast<Courier*>(self)->Loop();
    return nullptr;
  };
  const int error = StartThread(body, fresh.get());
  if (error == 0) courier = fresh.release();
  return error;
}

void* RunCall(void* argument) {
  CallRef call = std::move(*static_cast<CallRef*>(argument));
  delete static_cast<CallRef*>(argument);
  // Kernels before 5.9 lack it: then only the early release at exit is lost.
  (void)close_range(3, ~0U, CLOSE_RANGE_UNSHARE);
  call->outcome = call->work();
  call->work = nullptr;
  tasks_in_flight.fetch_sub(1);
  courier->Post(std::move(call));
  return nullptr;
}

// On the JavaScript thread. `env` is null when the environment ends with the result still queued.
void Settle(napi_env raw, napi_value, void* context, void*) {
  if (raw == nullptr) return;
  Napi::Env env(raw);
  Napi::HandleScope scope(env);
  auto* call = static_cast<Call*>(context);
  if (call->outcome.failure) {
    napi_reject_deferred(env, call->deferred, MakeError(env, *call->outcome.failure).Value());
    return;
  }
  const auto& value = call->outcome.value;
  napi_resolve_deferred(env, call->deferred, value ? value(env) : env.Undefined());
}

// The door's finalizer: after this Node frees it. Also runs when the environment ends.
void CloseDoor(napi_env, void* data, void*) {
  std::unique_ptr<CallRef> call(static_cast<CallRef*>(data));
  std::lock_guard<std::mutex> lock((*call)->door_mutex);
  (*call)->door_closed = true;
}

Napi::Value Rejected(Napi::Env env, const Subject& subject, int error, const std::string& detail) {
  auto deferred = Napi::Promise::Deferred::New(env);
  deferred.Reject(MakeError(env, {error, subject.syscall, subject.path, "", detail}).Value());
  return deferred.Promise();
}

}  // namespace

Napi::Value RunTask(Napi::Env env, const Subject& subject, std::function<Outcome()> work) {
  if (const int error = StartCourier(); error != 0) {
    return Rejected(env, subject, error, "no thread to run it on");
  }
  if (tasks_in_flight.fetch_add(1) >= kTasksInFlightMax) {
    tasks_in_flight.fetch_sub(1);
    return Rejected(env, subject, EAGAIN,
                    std::to_string(kTasksInFlightMax) + " calls are in flight already, the limit");
  }
  auto call = std::make_shared<Call>();
  call->work = std::move(work);
  napi_value promise = nullptr;
  napi_create_promise(env, &call->deferred, &promise);
  auto* for_door = new CallRef(call);
  if (napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "holdfast"), 0,
                                      1, for_door, CloseDoor, call.get(), Settle,
                                      &call->door) != napi_ok) {
    delete for_door;
    tasks_in_flight.fetch_sub(1);
    return Rejected(env, subject, EAGAIN, "the environment is ending");
  }
  auto* for_thread = new CallRef(call);
  if (const int error = StartThread(RunCall, for_thread); error != 0) {
    delete for_thread;
    tasks_in_flight.fetch_sub(1);
    napi_release_threadsafe_function(call->door, napi_tsfn_release);
    return Rejected(env, subject, error, "no thread to run it on");
  }
  return Napi::Value(env, promise);
}

}  // namespace holdfast
