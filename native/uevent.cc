// The kernel's uevents: netlink(7), family NETLINK_KOBJECT_UEVENT, group 1. Group 2 is udev's, which
// isn't there on every host. Reading never waits, so it happens on the event loop's own thread.
#include <linux/netlink.h>
#include <sys/socket.h>
#include <uv.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "arguments.h"
#include "errors.h"
#include "file.h"
#include "functions.h"

namespace holdfast {

namespace {

constexpr uint32_t kKernelGroup = 1;
// A message is a path and UEVENT_BUFFER_SIZE (2 KiB) of variables; one that is longer counts as lost.
constexpr size_t kMessageBytesMax = 16 * 1024;
// Bytes of queue: some hundred messages. The kernel takes less where net.core.rmem_max is lower.
constexpr int kQueueBytes = 1024 * 1024;
// Messages per turn of the event loop: in a flood others get their turns.
constexpr int kMessagesPerTurn = 256;
constexpr size_t kSubsystemBytesMax = 64;

struct Batch {
  std::vector<std::string> messages;
  bool lost = false;
};

// A process may send to the group too, if it is privileged enough. What comes from the kernel has port
// 0 and the credentials of no process; a process in a PID namespace that we don't see has pid 0 as well,
// but never port 0.
bool IsFromKernel(const msghdr& header, const sockaddr_nl& sender) {
  if (header.msg_namelen != sizeof sender || sender.nl_pid != 0) return false;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
       part = CMSG_NXTHDR(const_cast<msghdr*>(&header), part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS) continue;
    ucred credentials;
    memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
    return credentials.pid == 0 && credentials.uid == 0;
  }
  return false;
}

// One message; false when there is none now. `wanted` is part of those that are kept.
bool Receive(int fd, const std::string& wanted, Batch* batch) {
  char bytes[kMessageBytesMax];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  sockaddr_nl sender = {};
  iovec part = {bytes, sizeof bytes};
  msghdr header = {};
  header.msg_name = &sender;
  header.msg_namelen = sizeof sender;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t length = recvmsg(fd, &header, MSG_DONTWAIT);
  if (length < 0) {
    // The queue was full: what didn't fit is gone, what is in it is still to be read.
    if (errno == ENOBUFS) batch->lost = true;
    return errno == ENOBUFS || errno == EINTR;
  }
  if (!IsFromKernel(header, sender)) return true;
  std::string message(bytes, static_cast<size_t>(length));
  if ((header.msg_flags & MSG_TRUNC) != 0) {
    batch->lost = true;
  } else if (message.find(wanted) != std::string::npos) {
    batch->messages.push_back(std::move(message));
  }
  return true;
}

// An open socket that the event loop watches. It deletes itself when the loop has let it go.
class Watch {
 public:
  Watch(Napi::Env env, int fd, const std::string& subsystem, Napi::Function listener)
      : env_(env),
        listener_(Napi::Persistent(listener)),
        // A whole variable: each ends with a NUL, and one comes before the first.
        wanted_('\0' + ("SUBSYSTEM=" + subsystem) + '\0'),
        file_(fd) {}

  // Returns errno. Takes itself over when it is 0.
  int Start() {
    uv_loop_t* loop = nullptr;
    if (napi_get_uv_event_loop(env_, &loop) != napi_ok) return EINVAL;
    if (const int error = uv_poll_init_socket(loop, &poll_, file_.fd()); error != 0) return -error;
    poll_.data = this;
    // A process that has nothing else to do may end.
    uv_unref(reinterpret_cast<uv_handle_t*>(&poll_));
    napi_add_async_cleanup_hook(env_, OnEnvironmentEnd, this, &hook_);
    uv_poll_start(&poll_, UV_READABLE, OnReadable);
    return 0;
  }

  void Close() {
    if (closing_) return;
    closing_ = true;
    listener_.Reset();
    uv_poll_stop(&poll_);
    uv_close(reinterpret_cast<uv_handle_t*>(&poll_), [](uv_handle_t* handle) {
      Watch* watch = static_cast<Watch*>(handle->data);
      const napi_async_cleanup_hook_handle hook = watch->hook_;
      delete watch;
      napi_remove_async_cleanup_hook(hook);
    });
  }

 private:
  static void OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* data) {
    static_cast<Watch*>(data)->Close();
  }

  // The one error that the socket may have is a queue that overflowed: libuv stops watching then.
  static void OnReadable(uv_poll_t* poll, int status, int) {
    Watch* watch = static_cast<Watch*>(poll->data);
    if (status < 0) uv_poll_start(poll, UV_READABLE, OnReadable);
    Batch batch;
    for (int i = 0; i < kMessagesPerTurn; i += 1) {
      if (!Receive(watch->file_.fd(), watch->wanted_, &batch)) break;
    }
    if (batch.lost || !batch.messages.empty()) watch->Tell(batch);
  }

  void Tell(const Batch& batch) {
    Napi::HandleScope scope(env_);
    Napi::Array messages = Napi::Array::New(env_, batch.messages.size());
    for (size_t i = 0; i < batch.messages.size(); i += 1) {
      messages.Set(i, Napi::String::New(env_, batch.messages[i]));
    }
    listener_.MakeCallback(env_.Global(), {messages, Napi::Boolean::New(env_, batch.lost)});
    if (!env_.IsExceptionPending()) return;
    napi_fatal_exception(env_, env_.GetAndClearPendingException().Value());
  }

  Napi::Env env_;
  Napi::FunctionReference listener_;
  const std::string wanted_;
  File file_;
  uv_poll_t poll_ = {};
  napi_async_cleanup_hook_handle hook_ = nullptr;
  bool closing_ = false;
};

// Returns errno, and the failed call.
int OpenSocket(int* fd, const char** syscall) {
  File file(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  *syscall = "socket";
  if (!file.ok()) return errno;
  const int on = 1;
  *syscall = "setsockopt";
  if (setsockopt(file.fd(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) return errno;
  if (setsockopt(file.fd(), SOL_SOCKET, SO_RCVBUF, &kQueueBytes, sizeof kQueueBytes) != 0) return errno;
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = kKernelGroup;
  *syscall = "bind";
  if (bind(file.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return errno;
  *fd = file.Release();
  return 0;
}

}  // namespace

Napi::Value WatchUevents(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string subsystem;
  if (!TextArgument(env, info[0], "subsystem", kSubsystemBytesMax, &subsystem)) return {};
  if (!info[1].IsFunction()) {
    Refuse(env, "listener must be a function");
    return {};
  }
  int fd = -1;
  const char* syscall = nullptr;
  int error = OpenSocket(&fd, &syscall);
  if (error == 0) {
    auto watch = std::make_unique<Watch>(env, fd, subsystem, info[1].As<Napi::Function>());
    syscall = "epoll_ctl";
    error = watch->Start();
    if (error == 0) {
      Watch* open = watch.release();
      return Napi::Function::New(env, [open, closed = false](const Napi::CallbackInfo&) mutable {
        if (!closed) open->Close();
        closed = true;
      });
    }
  }
  MakeError(env, {error, syscall, "", "", "netlink uevents"}).ThrowAsJavaScriptException();
  return {};
}

}  // namespace holdfast
