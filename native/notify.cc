// sd_notify(3) without libsystemd: one datagram to the service manager's socket.
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "arguments.h"
#include "file.h"
#include "functions.h"
#include "errors.h"

namespace holdfast {

namespace {

// A state message is a few short lines.
constexpr size_t kMessageBytesMax = 4096;

}  // namespace

Napi::Value SdNotify(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path;
  std::string message;
  if (!PathArgument(env, info[0], "socket", &path)) return {};
  if (!TextArgument(env, info[1], "message", kMessageBytesMax, &message)) return {};
  const auto fail = [&](int error, const char* syscall) -> Napi::Value {
    MakeError(env, {error, syscall, path, "", ""}).ThrowAsJavaScriptException();
    return {};
  };
  if (path[0] != '/' && path[0] != '@') return fail(EAFNOSUPPORT, "connect");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(ENAMETOOLONG, "connect");
  memcpy(address.sun_path, path.data(), path.size());
  // An abstract name starts with NUL and ends with its length, a path ends with NUL.
  const bool abstract = path[0] == '@';
  if (abstract) address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() +
                                             (abstract ? 0 : 1));
  const File socket_file(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_file.ok()) return fail(errno, "socket");
  // Never wait: this is the main thread, and a full queue means that the manager is stuck.
  if (sendto(socket_file.fd(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
             reinterpret_cast<const sockaddr*>(&address), length) < 0) {
    return fail(errno, "sendto");
  }
  return env.Undefined();
}

}  // namespace holdfast
